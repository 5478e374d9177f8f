//! What a workload is like, found out by reading it once, without running it.
//!
//! Pure: operations go in with their place in the volume, numbers come out; no clock, no store, no engine. Memory is bounded
//! whatever the trace's length. Where a bound is reached, blocks are sampled by a hash of their number, and the result
//! says so. Discards are counted as requests, but touch no block: an LRU cache of a disk neither gains nor saves by them.

use std::ops::Range;

use anyhow::{Result, bail};
use s3b_scenarios::{Op, OpKind};

pub mod coalescing;
pub mod curve;
pub mod distance;
pub mod features;
pub mod fingerprint;
pub mod histogram;
pub mod medoids;
pub mod prime;
pub mod rates;
pub mod shards;
pub mod streams;
pub mod windows;

/// The unit of working sets, in bytes: a page, and the block of most filesystems.
pub const PAGE: u64 = 4096;

/// Bytes of the largest read or write that is believed. Linux never sends more than 32 MiB at once; one absurd record would
/// otherwise stand for billions of blocks.
pub const REQUEST_MAX: u64 = 1 << 30;

/// Walks through a workload, handing each operation over with its first byte in the volume.
///
/// # Errors
/// Whatever the workload yields, and a read or write of more than [`REQUEST_MAX`] bytes, with its number from 1.
pub fn walk(
    ops: impl Iterator<Item = Result<Op>>,
    device_starts: &[u64],
    mut visit: impl FnMut(&Op, u64),
) -> Result<()> {
    for (number, op) in (1u64..).zip(ops) {
        let op = op?;
        if matches!(op.kind, OpKind::Read | OpKind::Write) && op.len > REQUEST_MAX {
            bail!(
                "operation {number}: a {} of {} bytes at byte {}; no disk takes more than {REQUEST_MAX} at once, so \
                 the trace is damaged or of another format",
                op.kind.name(),
                op.len,
                op.offset
            );
        }
        visit(&op, device_starts[op.device as usize] + op.offset);
    }
    Ok(())
}

/// The numbers of the blocks of `1 << shift` bytes that a request of at least one byte touches.
pub fn blocks(at: u64, len: u64, shift: u32) -> Range<u64> {
    at >> shift..((at + (len - 1)) >> shift) + 1
}

/// The exponent of a block size.
pub fn shift_of(block_size: u64) -> u32 {
    assert!(block_size.is_power_of_two(), "{block_size} is no block size");
    block_size.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_touches_every_block_it_has_a_byte_in() {
        assert_eq!(blocks(4095, 2, 12), 0..2);
        assert_eq!(blocks(4096, 4096, 12), 1..2);
        assert_eq!(blocks(u64::MAX - 1, 1, 12).count(), 1);
    }

    #[test]
    fn an_absurd_request_is_named_by_its_number() {
        let ops = [Op::new(0, OpKind::Discard, 0, 1 << 50), Op::new(0, OpKind::Read, 7, 1 << 40)].map(Ok);
        let mut seen = 0;
        let error = walk(ops.into_iter(), &[0], |_, _| seen += 1).unwrap_err().to_string();
        assert!(seen == 1 && error.starts_with("operation 2: a read of 1099511627776 bytes at byte 7"), "{error}");
    }
}
