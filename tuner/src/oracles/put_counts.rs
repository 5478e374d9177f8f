//! PUTs that write-back sends for a trace's writes: a block is stored once for all writes within the write delay of the
//! first. Exact counts; the engine reproduces them within half a percent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use s3b_engine::settings::{CacheSize, Settings};
use s3b_scenarios::{Op, OpKind};

use super::samples::Sample;
use crate::simulate::{Ended, Found, Job, Simulated, Tape, run};

/// The write delays of each row, in milliseconds.
pub const DELAYS_MS: [u64; 5] = [0, 250, 1000, 5000, 30_000];

/// Expected PUTs of one trace at one block size, for each of [`DELAYS_MS`].
#[derive(Clone, Copy, Debug)]
pub struct PutCount {
    pub sample: Sample,
    pub block_size: u64,
    pub puts: [u64; 5],
}

const fn row(sample: Sample, block_size: u64, puts: [u64; 5]) -> PutCount {
    PutCount { sample, block_size, puts }
}

/// Computed from the traces alone.
pub const PUT_COUNTS: [PutCount; 10] = [
    row(Sample::VmIo, 4 << 10, [656_169, 611_279, 607_169, 566_508, 491_514]),
    row(Sample::VmIo, 64 << 10, [103_425, 59_667, 56_342, 49_198, 39_944]),
    row(Sample::VmIo, 256 << 10, [76_072, 30_572, 27_058, 21_556, 15_723]),
    row(Sample::VmIo, 1 << 20, [69_146, 22_043, 18_647, 13_591, 8_758]),
    row(Sample::VmIo, 4 << 20, [67_458, 18_836, 15_493, 10_590, 6_075]),
    row(Sample::Sqlite, 4 << 10, [292_162, 143_127, 67_151, 27_679, 14_946]),
    row(Sample::Sqlite, 64 << 10, [68_341, 14_120, 5_601, 1_894, 949]),
    row(Sample::Sqlite, 1 << 20, [54_208, 1_376, 525, 157, 68]),
    row(Sample::Postmark, 64 << 10, [146_137, 142_167, 141_949, 141_544, 136_345]),
    row(Sample::Postmark, 1 << 20, [18_955, 13_815, 13_423, 12_947, 10_293]),
];

/// The least cache, in blocks: much smaller ones would be half full of dirty blocks, and pressure cut the delay short.
const ROOMY_BLOCKS: u64 = 4096;

/// The writes of a workload alone, without their flushes.
pub fn writes_only(ops: &[Op]) -> Vec<Op> {
    let writes = ops.iter().filter(|op| op.kind == OpKind::Write);
    writes.map(|op| Op { flush_before: false, durable: false, ..*op }).collect()
}

/// Runs the writes of a workload under the conditions of the formula: a cache as large as the volume, no limit of
/// concurrency, a store that answers at once, every block in the store beforehand, content that is never zero, the
/// engine idle between operations.
///
/// # Errors
/// A simulation that fails, or one that did not keep the conditions.
pub fn simulate_puts(ops: &[Op], block_size: u64, delay: Duration) -> Result<Simulated> {
    let tape = Arc::new(Tape::of_ops("writes", writes_only(ops), Found::WhatIsTouched));
    let mut settings = Settings::default();
    settings.volume.block_size = Some(block_size);
    // No larger than the trace needs, but never so small that what is dirty would press on it.
    let extent = tape.summary.stacked(block_size).and_then(|starts| starts.last().copied()).unwrap_or(0);
    settings.volume.size = Some(extent.max(ROOMY_BLOCKS * block_size));
    let cache = &mut settings.block_cache;
    cache.size = CacheSize::Blocks(u64::from(u32::MAX));
    cache.threads = 1 << 20;
    cache.write_delay = delay;
    cache.read_ahead = Some(0);
    // No cache is larger than its volume, and a half dirty one shortens the delay.
    let (fitted, _) = tape.fit(&settings)?;
    settings.volume.size = fitted.volume.size.map(|size| size.saturating_mul(4));
    let simulated = run(&Job { settle: true, ..Job::new(settings, tape) })?;
    let cache = &simulated.ledger.cache;
    ensure!(
        simulated.ended == Ended::Whole && simulated.measured.failures() == 0,
        "operations failed or were left out"
    );
    ensure!(cache.pressure_waits == 0 && cache.evictions == 0, "the cache was not unbounded: {cache:?}");
    Ok(simulated)
}
