//! What a write delay can save: how often blocks are stored when writes to a dirty block join the store that is due anyway.
//!
//! The rule of the block cache, without limits: a write to a clean block makes it dirty, and it is stored when it has been dirty for
//! the delay; writes until then, that instant included, are stored with it. With delay 0 every write is a store. No cache size, no
//! pressure, no slow store: fewer stores than this are never made, except that discards are left out.

use std::collections::VecDeque;

use hashbrown::HashMap;
use s3b_scenarios::{Op, OpKind};
use serde::Serialize;

use super::shards::Sample;
use super::{blocks, shift_of};

/// How many delays are tried at once.
pub const DELAYS: usize = 4;

/// 250 ms, 1 s, 5 s, 30 s, in nanoseconds.
pub const WRITE_DELAYS_NS: [u64; DELAYS] = [250_000_000, 1_000_000_000, 5_000_000_000, 30_000_000_000];

/// The stores of blocks of one size under one write delay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stores {
    /// Bytes.
    pub block_size: u64,
    pub write_delay_ms: u64,
    /// Writes of a block, each of which would be a store without a delay.
    pub block_writes: u64,
    /// Stores when only the delay decides.
    pub stores: u64,
    /// The most dirty bytes at any time then: what a crash without flushes may lose.
    pub dirty_bytes_peak: u64,
    /// Stores when each flush also stores all that is dirty.
    pub stores_with_flushes: u64,
    pub dirty_bytes_peak_with_flushes: u64,
}

/// Follows the writes of one workload in blocks of one size, under several delays.
pub struct Coalescing {
    by_delay: Dirty,
    with_flushes: Dirty,
    /// Until the first flush both are the same, and only one is followed.
    flushed: bool,
    shift: u32,
    block_writes: u64,
}

impl Coalescing {
    /// `delays_ns` ascend; at most `limit` blocks are followed, beyond that a sample of them.
    pub fn new(block_size: u64, delays_ns: [u64; DELAYS], limit: usize) -> Self {
        let dirty = Dirty::new(delays_ns, limit);
        Self {
            by_delay: dirty.clone(),
            with_flushes: dirty,
            flushed: false,
            shift: shift_of(block_size),
            block_writes: 0,
        }
    }

    /// Takes a write or flush; `at` is its first byte in the volume.
    pub fn add(&mut self, op: &Op, at: u64) {
        if op.kind == OpKind::Flush || op.flush_before {
            self.flush();
        }
        if op.kind == OpKind::Write {
            for block in blocks(at, op.len, self.shift) {
                self.block_writes += 1;
                self.by_delay.write(block, op.time_ns);
                if self.flushed {
                    self.with_flushes.write(block, op.time_ns);
                }
            }
            self.by_delay.look(op.time_ns);
            if self.flushed {
                self.with_flushes.look(op.time_ns);
            }
            if op.durable {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.flushed {
            self.with_flushes = self.by_delay.clone();
            self.flushed = true;
        }
        self.with_flushes.store_all();
    }

    /// One for each delay.
    pub fn stores(&self) -> [Stores; DELAYS] {
        let with_flushes = if self.flushed { &self.with_flushes } else { &self.by_delay };
        std::array::from_fn(|n| Stores {
            block_size: 1 << self.shift,
            write_delay_ms: self.by_delay.delays_ns[n] / 1_000_000,
            block_writes: self.block_writes,
            stores: self.by_delay.stores[n].round() as u64,
            dirty_bytes_peak: self.by_delay.peaks[n] << self.shift,
            stores_with_flushes: with_flushes.stores[n].round() as u64,
            dirty_bytes_peak_with_flushes: with_flushes.peaks[n] << self.shift,
        })
    }

    /// The share of blocks followed; 1: exact.
    pub fn rate(&self) -> f64 {
        self.by_delay.sample.rate().min(self.with_flushes.sample.rate())
    }
}

/// The blocks dirty now, under each delay.
#[derive(Clone)]
struct Dirty {
    delays_ns: [u64; DELAYS],
    sample: Sample,
    /// When each block last became dirty, under each delay. Holds some that are clean again, until the next sweep.
    since: HashMap<u64, [u64; DELAYS]>,
    /// Swept when it has grown so far.
    sweep_at: usize,
    /// Under each delay: (time, blocks that became dirty then), oldest first.
    ages: [VecDeque<(u64, u64)>; DELAYS],
    counts: [u64; DELAYS],
    peaks: [u64; DELAYS],
    stores: [f64; DELAYS],
}

/// Below this a sweep saves nothing.
const SWEEP_MIN: usize = 1 << 12;

impl Dirty {
    fn new(delays_ns: [u64; DELAYS], limit: usize) -> Self {
        Self {
            delays_ns,
            sample: Sample::up_to(limit),
            since: HashMap::new(),
            sweep_at: SWEEP_MIN,
            ages: Default::default(),
            counts: [0; DELAYS],
            peaks: [0; DELAYS],
            stores: [0.0; DELAYS],
        }
    }

    fn write(&mut self, block: u64, now: u64) {
        if !self.sample.keeps(block) {
            return;
        }
        let mut became = [false; DELAYS];
        let since = self.since.entry(block).or_insert_with(|| {
            became = [true; DELAYS];
            [now; DELAYS]
        });
        for (n, delay) in self.delays_ns.iter().enumerate() {
            if !became[n] && now - since[n] > *delay {
                since[n] = now;
                became[n] = true;
            }
        }
        for n in (0..DELAYS).filter(|n| became[*n]) {
            self.stores[n] += self.sample.weight();
            self.counts[n] += 1;
            match self.ages[n].back_mut() {
                Some((time, blocks)) if *time == now => *blocks += 1,
                _ => self.ages[n].push_back((now, 1)),
            }
        }
        if self.since.len() > self.sweep_at {
            self.sweep(now);
        }
    }

    /// Takes away what was stored by now, and remembers the most.
    fn look(&mut self, now: u64) {
        for n in 0..DELAYS {
            while let Some((time, blocks)) = self.ages[n].front()
                && now - time > self.delays_ns[n]
            {
                self.counts[n] -= blocks;
                self.ages[n].pop_front();
            }
            self.peaks[n] = self.peaks[n].max(self.sample.scaled(self.counts[n]));
        }
    }

    fn store_all(&mut self) {
        self.since.clear();
        self.ages.iter_mut().for_each(VecDeque::clear);
        self.counts = [0; DELAYS];
    }

    /// Forgets blocks that are clean under every delay; if too many are left, samples more sparsely.
    fn sweep(&mut self, now: u64) {
        let delays = self.delays_ns;
        let dirty = |since: &[u64; DELAYS]| (0..DELAYS).any(|n| now - since[n] <= delays[n]);
        self.since.retain(|_, since| dirty(since));
        while self.sample.is_full(self.since.len()) {
            self.sample.halve();
            let sample = self.sample;
            self.since.retain(|block, _| sample.keeps(*block));
            self.count_again(now);
        }
        self.sweep_at = (2 * self.since.len()).max(SWEEP_MIN);
    }

    fn count_again(&mut self, now: u64) {
        for n in 0..DELAYS {
            let delay = self.delays_ns[n];
            let mut times: Vec<u64> =
                self.since.values().map(|since| since[n]).filter(|since| now - since <= delay).collect();
            times.sort_unstable();
            self.counts[n] = times.len() as u64;
            self.ages[n] = times.into_iter().map(|time| (time, 1)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn write(time_ns: u64, block: u64) -> Op {
        Op::new(time_ns, OpKind::Write, block * 4096, 4096)
    }

    fn of(ops: &[Op]) -> [Stores; DELAYS] {
        let mut coalescing = Coalescing::new(4096, WRITE_DELAYS_NS, 1000);
        ops.iter().for_each(|op| coalescing.add(op, op.offset));
        coalescing.stores()
    }

    #[test]
    fn writes_join_until_the_block_is_due() {
        let stores = of(&[write(0, 1), write(S / 4, 1), write(S / 4 + 1, 1), write(S, 1), write(6 * S + 1, 2)]);
        assert_eq!(stores.map(|one| one.stores), [4, 2, 2, 2]);
        assert_eq!(stores.map(|one| one.dirty_bytes_peak), [4096, 4096, 4096, 8192]);
        assert_eq!(stores.map(|one| (one.block_writes, one.stores_with_flushes)), [4, 2, 2, 2].map(|n| (5, n)));
    }

    #[test]
    fn a_flush_stores_what_is_dirty() {
        let commit = Op { flush_before: true, durable: true, ..write(2, 9) };
        let ops = [write(0, 1), write(1, 1), commit, write(3, 1), Op::new(4, OpKind::Flush, 0, 0), write(5, 9)];
        let stores = of(&ops);
        assert_eq!(stores.map(|one| one.stores), [2; DELAYS]);
        assert_eq!(stores.map(|one| one.stores_with_flushes), [4; DELAYS]);
        assert_eq!(stores.map(|one| one.dirty_bytes_peak), [8192; DELAYS]);
        assert_eq!(stores.map(|one| one.dirty_bytes_peak_with_flushes), [4096; DELAYS]);
    }

    /// 40,000 blocks written round and round, of which at most 5000 are followed.
    #[test]
    fn too_many_dirty_blocks_are_sampled() {
        let mut coalescing = Coalescing::new(4096, WRITE_DELAYS_NS, 5000);
        for n in 0..120_000 {
            let op = write(n * 100_000, n % 40_000);
            coalescing.add(&op, op.offset);
            assert!(coalescing.by_delay.since.len() <= 2 * 5000);
        }
        assert_eq!(coalescing.rate(), 0.125);
        let stores = coalescing.stores().map(|one| (one.stores, one.dirty_bytes_peak / 4096));
        for ((stores, peak), (expected, dirty)) in
            stores.into_iter().zip([(120_000, 2500), (120_000, 10_000), (80_000, 40_000), (40_000, 40_000)])
        {
            let error = |found: u64, known: u64| (found as f64 / known as f64 - 1.0).abs();
            // The largest of many estimates is rather too large.
            let near = error(stores, expected) < 0.05 && error(peak, dirty) < 0.25;
            assert!(near, "{stores} {peak}, not {expected} {dirty}");
        }
    }
}
