//! Hit ratios of an LRU cache of 4 KiB blocks: reads and writes both count, both bring the block in, and every block of a
//! request is one access.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use s3b_engine::settings::{CacheSize, Settings};
use s3b_scenarios::{Op, OpKind};

use super::samples::Sample;
use crate::simulate::{Ended, Found, Job, Tape, run};

const BLOCK: u64 = 4096;

/// Expected share of hits for one cache size in blocks.
#[derive(Clone, Copy, Debug)]
pub struct HitRatio {
    pub sample: Sample,
    pub blocks: u64,
    pub ratio: f64,
}

const fn row(sample: Sample, blocks: u64, ratio: f64) -> HitRatio {
    HitRatio { sample, blocks, ratio }
}

const MIB: u64 = (1 << 20) / BLOCK;

/// Exact, from stack distances; OLTP.lis as published with it.
pub const HIT_RATIOS: [HitRatio; 25] = [
    row(Sample::VmIo, 4 * MIB, 0.0989),
    row(Sample::VmIo, 16 * MIB, 0.1045),
    row(Sample::VmIo, 64 * MIB, 0.1157),
    row(Sample::VmIo, 128 * MIB, 0.1313),
    row(Sample::VmIo, 256 * MIB, 0.2492),
    row(Sample::VmIo, 512 * MIB, 0.4683),
    row(Sample::VmIo, 1024 * MIB, 0.7642),
    row(Sample::Postmark, 4 * MIB, 0.1660),
    row(Sample::Postmark, 16 * MIB, 0.1660),
    row(Sample::Postmark, 64 * MIB, 0.1660),
    row(Sample::Postmark, 128 * MIB, 0.1660),
    row(Sample::Postmark, 256 * MIB, 0.1663),
    row(Sample::Postmark, 512 * MIB, 0.1727),
    row(Sample::Postmark, 1024 * MIB, 0.1924),
    row(Sample::Sqlite, 4 * MIB, 0.0978),
    row(Sample::Sqlite, 16 * MIB, 0.9583),
    row(Sample::Sqlite, 1024 * MIB, 0.9583),
    row(Sample::Oltp, 1000, 0.3283),
    row(Sample::Oltp, 2000, 0.4247),
    row(Sample::Oltp, 5000, 0.5365),
    row(Sample::Oltp, 7000, 0.5732),
    row(Sample::Oltp, 10_000, 0.6070),
    row(Sample::Oltp, 12_000, 0.6249),
    row(Sample::Oltp, 15_000, 0.6463),
    row(Sample::Sqlite, 64 * MIB, 0.9583),
];

/// The reads and writes of a workload alone, far enough apart for the engine to be idle between them.
pub fn lru_accesses(ops: &[Op]) -> Vec<Op> {
    let used = ops.iter().filter(|op| matches!(op.kind, OpKind::Read | OpKind::Write));
    let at = |(n, op): (usize, &Op)| Op { time_ns: n as u64 * 2000, flush_before: false, durable: false, ..*op };
    used.enumerate().map(at).collect()
}

/// The share of block accesses that the engine answers from a cache of this many blocks: no latency, no write delay, no
/// read-ahead.
///
/// # Errors
/// A simulation that fails.
pub fn simulate_lru(ops: &[Op], blocks: u64) -> Result<f64> {
    let tape = Arc::new(Tape::of_ops("accesses", lru_accesses(ops), Found::WhatIsTouched));
    let mut settings = Settings::default();
    settings.volume.block_size = Some(BLOCK);
    let cache = &mut settings.block_cache;
    cache.size = CacheSize::Blocks(blocks);
    cache.threads = 1 << 20;
    cache.write_delay = Duration::ZERO;
    cache.read_ahead = Some(0);
    let simulated = run(&Job { settle: true, ..Job::new(settings, tape) })?;
    ensure!(
        simulated.ended == Ended::Whole && simulated.measured.failures() == 0,
        "operations failed or were left out"
    );
    let cache = &simulated.ledger.cache;
    let hits = cache.read_hits + cache.write_hits;
    Ok(hits as f64 / (hits + cache.read_misses + cache.write_misses).max(1) as f64)
}

/// The same from a list of blocks in the order of their use.
pub fn exact_lru(ops: &[Op], blocks: u64) -> f64 {
    let (mut used_at, mut order) = (BTreeMap::new(), BTreeMap::new());
    let (mut accesses, mut hits) = (0u64, 0u64);
    for op in lru_accesses(ops) {
        for block in op.offset / BLOCK..op.end().div_ceil(BLOCK) {
            accesses += 1;
            let key = (op.device, block);
            match used_at.insert(key, accesses) {
                Some(before) => {
                    hits += 1;
                    order.remove(&before);
                }
                None if order.len() as u64 == blocks => {
                    if let Some((_, evicted)) = order.pop_first() {
                        used_at.remove(&evicted);
                    }
                }
                None => {}
            }
            order.insert(accesses, key);
        }
    }
    hits as f64 / accesses.max(1) as f64
}
