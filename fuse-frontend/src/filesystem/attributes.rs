//! Owner, modes, sizes and times of the files.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use s3b_engine::clock;
use s3b_engine::geometry::Geometry;

/// Names never change, attributes do with every write.
pub const ENTRY_TTL: Duration = Duration::from_secs(365 * 86400);
pub const NO_TTL: Duration = Duration::ZERO;

/// `st_blocks` counts these.
const STAT_UNIT: u64 = 512;

/// Who owns the files and with which mode.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub file_mode: u32,
}

/// Last read, last write, and start, as nanoseconds since 1970. Relaxed: they are for people to look at.
#[derive(Debug)]
pub struct Times {
    started: SystemTime,
    read: AtomicU64,
    written: AtomicU64,
}

impl Times {
    pub fn now() -> Self {
        let started = clock::wall();
        let nanos = nanos(started);
        Self { started, read: nanos.into(), written: nanos.into() }
    }

    pub fn read(&self) {
        self.read.store(nanos(clock::wall()), Relaxed);
    }

    pub fn written(&self) {
        self.written.store(nanos(clock::wall()), Relaxed);
    }

    /// `utimens(2)`.
    pub fn set(&self, read: Option<TimeOrNow>, written: Option<TimeOrNow>) {
        for (time, to) in [(read, &self.read), (written, &self.written)] {
            match time {
                Some(TimeOrNow::SpecificTime(time)) => to.store(nanos(time), Relaxed),
                Some(TimeOrNow::Now) => to.store(nanos(clock::wall()), Relaxed),
                None => {}
            }
        }
    }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn time(nanos: &AtomicU64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos.load(Relaxed))
}

impl Identity {
    pub fn root(&self, times: &Times) -> FileAttr {
        FileAttr { kind: FileType::Directory, nlink: 2, ..self.any(INodeNo::ROOT, 0o755, 0, times.started) }
    }

    /// Every byte counts as allocated: which blocks are zero is known only in part.
    pub fn file(&self, inode: INodeNo, geometry: Geometry, times: &Times) -> FileAttr {
        FileAttr {
            blocks: geometry.size().div_ceil(STAT_UNIT),
            blksize: geometry.block_size(),
            atime: time(&times.read),
            mtime: time(&times.written),
            ctime: time(&times.written),
            ..self.any(inode, self.file_mode, geometry.size(), times.started)
        }
    }

    pub fn stats(&self, inode: INodeNo, size: u64, times: &Times) -> FileAttr {
        let now = clock::wall();
        FileAttr { atime: now, mtime: now, ctime: now, ..self.any(inode, 0o444, size, times.started) }
    }

    fn any(&self, ino: INodeNo, mode: u32, size: u64, time: SystemTime) -> FileAttr {
        FileAttr {
            ino,
            size,
            blocks: 0,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: FileType::RegularFile,
            perm: mode as u16,
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_in_512_bytes() {
        let identity = Identity { uid: 1, gid: 2, file_mode: 0o600 };
        let geometry = Geometry::new(65536, 1 << 20).unwrap();
        let attributes = identity.file(INodeNo(2), geometry, &Times::now());
        assert_eq!((attributes.size, attributes.blocks, attributes.blksize), (1 << 20, 2048, 65536));
    }
}
