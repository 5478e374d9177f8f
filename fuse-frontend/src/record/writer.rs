//! The thread that packs frames and appends them to the file. It alone may wait for the disk.
//!
//! What cannot be written is counted, and said in the file as soon as that can be written again: never more often in the
//! log than once per kind of trouble, and never by an error to anybody who uses the mount.
//!
//! Whole frames are synced soon after they are written, but at most once a second: a machine that loses its power loses
//! the last seconds, and the disk of a busy one has more to do than this.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use s3b_engine::clock;
use s3b_scenarios::trace::s3bt::{EndReason, Frame, Packing, Statement};

use super::intake::{Batch, Counts, Intake};

/// A frame that is not full after this long is written all the same: a crash costs no more than these seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What was written is synced after so long.
const SYNC_DELAY: Duration = Duration::from_secs(1);
/// Room kept for the last words: two statements.
pub const LAST_WORDS: u64 = 128;

/// What a recording is written to.
pub trait RecordFile {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
}

impl RecordFile for File {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

pub struct Writer<F = File> {
    file: F,
    path: PathBuf,
    /// Largest size of the file.
    limit: u64,
    /// Bytes of whole frames; what lies behind them is cut off.
    len: u64,
    ops: u64,
    missing: u64,
    /// When the first of the bytes was written that may not be on the disk yet.
    unsynced: Option<clock::Instant>,
    /// The last attempt to write failed.
    failing: bool,
    /// What the log was told already.
    told_of_failure: bool,
    told_of_missing: bool,
    counts: Arc<Counts>,
}

/// Whether there is room for more.
pub enum Room {
    Left,
    Full,
}

impl<F: RecordFile> Writer<F> {
    /// `file` holds `len` bytes and may grow to `limit`.
    pub fn new(file: F, path: PathBuf, len: u64, limit: u64, counts: Arc<Counts>) -> Self {
        counts.bytes.set(len);
        let (ops, missing, unsynced, failing, told_of_failure, told_of_missing) = (0, 0, None, false, false, false);
        Self { file, path, limit, len, ops, missing, unsynced, failing, told_of_failure, told_of_missing, counts }
    }

    /// Writes until the intake is closed or the file is full, then the end.
    pub fn run(mut self, intake: &Intake, queue: Receiver<Batch>) {
        loop {
            let wait = if self.unsynced.is_some() { SYNC_DELAY } else { LONGEST_WAIT };
            let batch = match queue.recv_timeout(wait) {
                Ok(batch) => Some(batch),
                Err(RecvTimeoutError::Timeout) if self.unsynced.is_some() => {
                    self.sync();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => intake.waiting(&queue),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(batch) = batch
                && let Room::Full = self.append(&batch)
            {
                intake.close();
                self.counts.full.set(1);
                let (path, limit) = (self.path.display(), self.limit);
                tracing::warn!("--record={path}: stopped at --record-max-size, {limit} bytes; the mount goes on");
                return self.end(EndReason::SizeLimit);
            }
            self.sync_if_due(clock::now());
        }
        match self.append(&intake.rest()) {
            Room::Left => self.end(EndReason::Complete),
            Room::Full => self.end(EndReason::SizeLimit),
        }
    }

    pub fn append(&mut self, batch: &Batch) -> Room {
        if batch.missing > 0 && !self.told_of_missing {
            self.told_of_missing = true;
            tracing::warn!(
                "--record={}: too slow a disk; operations are missing, so far {}",
                self.path.display(),
                batch.missing
            );
        }
        self.missing += batch.missing;
        let Some(frame) = &batch.frame else { return Room::Left };
        let mut bytes = self.missing_statement();
        bytes.extend(frame.seal(Packing::Zstd));
        if self.len + bytes.len() as u64 + LAST_WORDS > self.limit {
            return Room::Full;
        }
        if self.write(&bytes) {
            self.missing = 0;
            self.ops += batch.ops();
            self.counts.ops.set(self.ops);
        } else {
            self.missing += batch.ops();
            self.counts.dropped.add(batch.ops());
        }
        Room::Left
    }

    fn missing_statement(&self) -> Vec<u8> {
        match self.missing {
            0 => Vec::new(),
            missing => Frame::stating(Statement::Dropped(missing)).seal(Packing::Plain),
        }
    }

    fn end(&mut self, reason: EndReason) {
        let reason = if self.failing { EndReason::WriteFailed } else { reason };
        let mut bytes = self.missing_statement();
        bytes.extend(Frame::stating(Statement::Ended { reason, ops: self.ops }).seal(Packing::Plain));
        if self.write(&bytes) {
            self.sync();
        }
    }

    /// Not more often than [`SYNC_DELAY`].
    pub fn sync_if_due(&mut self, now: clock::Instant) {
        if self.unsynced.is_some_and(|since| now.saturating_duration_since(since) >= SYNC_DELAY) {
            self.sync();
        }
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.file.sync_data() {
            self.complain(&error);
        }
    }

    /// All of it or nothing.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let written = self.file.write_all_at(bytes, self.len);
        self.failing = written.is_err();
        match written {
            Ok(()) => {
                self.len += bytes.len() as u64;
                self.unsynced.get_or_insert_with(clock::now);
                self.counts.bytes.set(self.len);
            }
            Err(error) => {
                self.complain(&error);
                // Readers take what is left behind for a torn end; the next write overwrites it.
                let _ = self.file.set_len(self.len);
            }
        }
        !self.failing
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.told_of_failure, true) {
            tracing::error!(
                "--record={}: {error}; operations will be missing in it, the mount goes on",
                self.path.display()
            );
        }
    }
}
