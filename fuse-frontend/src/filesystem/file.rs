//! What is done to the volume's file: hits at once, the rest in a task that holds the reply.

use std::cell::RefCell;

use bytes::Bytes;
use fuser::{Errno, ReplyData, ReplyEmpty, ReplyWrite};
use s3b_engine::error::Error;
use s3b_scenarios::OpKind;

use super::{Shared, VolumeFilesystem};

thread_local! {
    /// Where hits that span blocks are put together; one per FUSE thread.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl VolumeFilesystem {
    pub(super) fn read_file(&self, offset: u64, len: usize, reply: ReplyData) {
        let size = self.shared.volume.geometry().size();
        let len = len.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
        if len == 0 {
            return reply.data(&[]);
        }
        self.note(OpKind::Read, offset, len as u64);
        self.times.read();
        let missed = SCRATCH.with_borrow_mut(|scratch| match self.shared.volume.try_read(offset, len, scratch) {
            Some(Ok(bytes)) => {
                reply.data(&bytes);
                None
            }
            Some(Err(error)) => {
                reply.error(self.shared.failed("read", offset, len as u64, &error));
                None
            }
            None => Some(reply),
        });
        if let Some(reply) = missed {
            let shared = self.shared.clone();
            self.runtime.spawn(async move {
                match shared.volume.read(offset, len).await {
                    Ok(bytes) => reply.data(&bytes),
                    Err(error) => reply.error(shared.failed("read", offset, len as u64, &error)),
                }
            });
        }
    }

    pub(super) fn write_file(&self, offset: u64, data: &[u8], reply: ReplyWrite) {
        let size = self.shared.volume.geometry().size();
        let room = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        if room == 0 && !data.is_empty() {
            return reply.error(Errno::ENOSPC);
        }
        // As on a block device: what fits is written, the next write gets ENOSPC.
        let data = &data[..data.len().min(room)];
        let len = data.len() as u32;
        if len > 0 {
            self.note(OpKind::Write, offset, len.into());
        }
        self.times.written();
        match self.shared.volume.try_write(offset, data) {
            Ok(taken) if taken == data.len() => reply.written(len),
            Ok(taken) => {
                let rest = Bytes::copy_from_slice(&data[taken..]);
                let offset = offset + taken as u64;
                let shared = self.shared.clone();
                self.runtime.spawn(async move {
                    let length = rest.len() as u64;
                    match shared.volume.write(offset, rest).await {
                        Ok(()) => reply.written(len),
                        Err(error) => reply.error(shared.failed("write", offset, length, &error)),
                    }
                });
            }
            Err(error) => reply.error(self.shared.failed("write", offset, data.len() as u64, &error)),
        }
    }

    /// A flush that somebody waits for.
    pub(super) fn noted_flush(&self, doing: &'static str, reply: ReplyEmpty) {
        self.note(OpKind::Flush, 0, 0);
        self.flush_volume(doing, reply);
    }

    pub(super) fn flush_volume(&self, doing: &'static str, reply: ReplyEmpty) {
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            match shared.volume.flush().await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(shared.failed(doing, 0, 0, &error)),
            }
        });
    }

    pub(super) fn zero(&self, offset: u64, len: u64, reply: ReplyEmpty) {
        self.note(OpKind::Discard, offset, len);
        self.times.written();
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            match shared.volume.zero(offset, len).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(shared.failed("zeroing", offset, len, &error)),
            }
        });
    }

    /// For the recording: what the kernel asks for, as it arrives.
    fn note(&self, kind: OpKind, offset: u64, len: u64) {
        if let Some(recorder) = &self.recorder {
            recorder.push(kind, offset, len);
        }
    }
}

impl Shared {
    fn failed(&self, doing: &str, offset: u64, len: u64, error: &Error) -> Errno {
        self.errors.failed(doing, offset, len, self.volume.geometry(), error)
    }
}
