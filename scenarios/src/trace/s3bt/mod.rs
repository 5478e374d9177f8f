//! s3bt, our own trace format: what a mount records. Layout: `docs/TRACE-FORMAT.md`.
//!
//! A header, then frames. Each frame carries a checksum and can be read without the one before, so that a recording
//! that was torn is readable up to there. Holds offsets, lengths, kinds and times, never content. Does no I/O.

mod decode;
mod encode;

pub use decode::S3bt;
pub use encode::{Encoder, Frame, Packing};

use super::source::{u16_at, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"\x89s3bt\r\n\x1a";
const VERSION: u16 = 1;
const HEADER_LEN: usize = 64;

const FRAME_MAGIC: [u8; 4] = *b"s3bf";
const FRAME_HEADER_LEN: usize = 24;
/// The largest content of a frame, packed or not; a decoder needs no more memory than this.
const MAX_CONTENT: usize = 1 << 20;

/// Kinds of frame.
const OPS: u8 = 1;
const STATEMENT: u8 = 2;

/// An operation's first byte: its kind in bits 0 and 1, then these.
mod tag {
    pub const FLUSH_BEFORE: u8 = 1 << 2;
    pub const DURABLE: u8 = 1 << 3;
    /// As long as the one before of its kind.
    pub const SAME_LEN: u8 = 1 << 4;
    /// Begins where the one before of its kind ended.
    pub const ADJACENT: u8 = 1 << 5;
    /// Offset and length in bytes rather than 512-byte sectors.
    pub const BYTES: u8 = 1 << 6;
    /// On another device than the one before.
    pub const DEVICE: u8 = 1 << 7;
}

/// What the whole recording has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size of the volume in bytes; 0: not known.
    pub volume_bytes: u64,
    /// The mount's block size; 0: not known.
    pub block_bytes: u32,
    /// When the recording began, in milliseconds since 1970 in UTC; 0: not known.
    pub started_unix_ms: u64,
    /// Times are kept in units of so many nanoseconds, from 1.
    pub tick_ns: u32,
}

impl Default for Header {
    /// Nothing known, and times to the nanosecond.
    fn default() -> Self {
        Self { volume_bytes: 0, block_bytes: 0, started_unix_ms: 0, tick_ns: 1 }
    }
}

impl Header {
    /// The first bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(0u16.to_le_bytes());
        bytes.extend(self.block_bytes.to_le_bytes());
        bytes.extend(self.volume_bytes.to_le_bytes());
        bytes.extend(self.started_unix_ms.to_le_bytes());
        bytes.extend(self.tick_ns.max(1).to_le_bytes());
        bytes.resize(HEADER_LEN - 4, 0);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, String> {
        if bytes[..8] != MAGIC {
            return Err("does not begin as an s3bt trace does".into());
        }
        let (version, flags) = (u16_at(bytes, 8), u16_at(bytes, 10));
        if version != VERSION {
            return Err(format!("s3bt version {version}; this build reads version {VERSION}"));
        }
        if u32_at(bytes, HEADER_LEN - 4) != crc32c::crc32c(&bytes[..HEADER_LEN - 4]) {
            return Err("the header's checksum does not match: the file is damaged".into());
        }
        let tick_ns = u32_at(bytes, 32);
        if flags != 0 || tick_ns == 0 {
            return Err(format!("header with flags {flags} and a tick of {tick_ns} ns: not written by this version"));
        }
        let (block_bytes, volume_bytes) = (u32_at(bytes, 12), u64_at(bytes, 16));
        Ok(Self { volume_bytes, block_bytes, started_unix_ms: u64_at(bytes, 24), tick_ns })
    }
}

pub fn recognise(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// What a recorder says beside the operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// So many operations are missing here: they came faster than they could be written down.
    Dropped(u64),
    /// The recording ends here, after so many operations in all.
    Ended { reason: EndReason, ops: u64 },
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The volume was unmounted, or a conversion was done.
    Complete,
    SizeLimit,
    /// The disk was full, or writing failed otherwise.
    WriteFailed,
}

impl EndReason {
    const ALL: [EndReason; 3] = [Self::Complete, Self::SizeLimit, Self::WriteFailed];
}

/// What each operation is written relative to; begins anew with each frame.
#[derive(Default)]
struct Previous {
    ticks: u64,
    device: u32,
    /// By kind.
    end: [u64; 4],
    len: [u64; 4],
}

/// A difference that may be negative, small ones first: 0, -1, 1, -2.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (((difference as i64) >> 63) as u64)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests;
