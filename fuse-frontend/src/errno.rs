//! What the kernel is told when the engine fails, and what the log is told.
//!
//! Every I/O error is logged with its blocks and offset, but never more than a few lines a second: a store that is
//! down makes thousands.

use std::time::Duration;

use fuser::Errno;
use parking_lot::Mutex;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::{Error, ErrorKind};
use s3b_engine::geometry::Geometry;

/// The errno of an engine error.
pub fn errno(kind: ErrorKind) -> Errno {
    match kind {
        ErrorKind::ReadOnly => Errno::EROFS,
        ErrorKind::OutOfRange | ErrorKind::NoSpace => Errno::ENOSPC,
        ErrorKind::Denied => Errno::EACCES,
        ErrorKind::Busy => Errno::EBUSY,
        // A file system on top knows EIO and retries or reports it; anything finer would be guessing for it.
        ErrorKind::Config
        | ErrorKind::NoBucket
        | ErrorKind::Redirect
        | ErrorKind::Transient
        | ErrorKind::Timeout
        | ErrorKind::Stale
        | ErrorKind::Conflict
        | ErrorKind::Corrupt
        | ErrorKind::Failed
        | ErrorKind::Closed => Errno::EIO,
    }
}

/// Logs failed operations, a limited number a second.
#[derive(Debug, Default)]
pub struct ErrorLog(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

const WINDOW: Duration = Duration::from_secs(1);
const LINES_PER_WINDOW: u32 = 10;

impl ErrorLog {
    /// Logs the failure and answers its errno. What the caller asked wrongly (range, read-only) is not logged.
    pub fn failed(&self, doing: &str, offset: u64, len: u64, geometry: Geometry, error: &Error) -> Errno {
        let code = errno(error.kind());
        if matches!(error.kind(), ErrorKind::ReadOnly | ErrorKind::OutOfRange) {
            return code;
        }
        if let Some(suppressed) = self.admit(clock::now()) {
            if suppressed > 0 {
                tracing::error!("{suppressed} more errors of this kind were not logged");
            }
            tracing::error!("{}: {error}", place(doing, offset, len, geometry));
        }
        code
    }

    /// Whether one more line may be written now, and how many were held back before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock();
        if window.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            window.since = Some(now);
            window.lines = 0;
        }
        if window.lines >= LINES_PER_WINDOW {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

fn place(doing: &str, offset: u64, len: u64, geometry: Geometry) -> String {
    if len == 0 {
        return doing.to_owned();
    }
    let block_size = u64::from(geometry.block_size());
    let (first, last) = (offset / block_size, (offset + len - 1) / block_size);
    if first == last {
        format!("{doing} of {len} bytes at offset {offset} (block {first:08x})")
    } else {
        format!("{doing} of {len} bytes at offset {offset} (blocks {first:08x} to {last:08x})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_errnos_that_callers_understand() {
        assert_eq!(errno(ErrorKind::OutOfRange).code(), libc::ENOSPC);
        assert_eq!(errno(ErrorKind::ReadOnly).code(), libc::EROFS);
        assert_eq!(errno(ErrorKind::Corrupt).code(), libc::EIO);
    }

    #[test]
    fn places_name_blocks_and_offset() {
        let geometry = Geometry::new(4096, 1 << 20).unwrap();
        assert_eq!(place("read", 8192, 4096, geometry), "read of 4096 bytes at offset 8192 (block 00000002)");
        assert!(place("write", 4095, 2, geometry).ends_with("(blocks 00000000 to 00000001)"));
        assert_eq!(place("fsync", 0, 0, geometry), "fsync");
    }

    #[test]
    fn a_storm_of_errors_is_counted_not_logged() {
        let log = ErrorLog::default();
        let start = clock::now();
        let admitted = (0..100).filter(|_| log.admit(start).is_some()).count();
        assert_eq!(admitted, LINES_PER_WINDOW as usize);
        assert_eq!(log.admit(start + WINDOW), Some(90), "the next second says how many were left out");
    }
}
