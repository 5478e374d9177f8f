//! The windows of a workload, each in a few numbers: how busy, what mix, how large, how local.

use s3b_scenarios::{Op, OpKind};

use super::coalescing::{Coalescing, WRITE_DELAYS_NS};
use super::distance::{Recency, Reuse};
use super::shards::FOLLOWED_BLOCKS;
use super::streams::Streams;
use super::{blocks, shift_of};

/// Locality and stores are seen in blocks of this size: the middle of what volumes use.
const BLOCK_SIZE: u64 = 64 << 10;

/// Stores are those under the third delay, 5 s.
const DELAY: usize = 2;

/// What one window asks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Which window, from 0.
    pub number: u64,
    /// By [`OpKind`].
    pub ops: [u64; 4],
    pub read_bytes: u64,
    pub write_bytes: u64,
    /// Requests that start where the one before ended.
    pub sequential: u64,
    /// Flushes, those that come with a write included.
    pub flushes: u64,
    /// Accesses to blocks of 64 KiB that are followed, and how many of them were first.
    pub accesses: f64,
    pub first: f64,
    /// Sum of log2(1 + distance) of the others.
    pub distance_logs: f64,
    /// Stores of blocks of 64 KiB at a write delay of 5 s.
    pub stores: u64,
}

/// How many numbers describe a window.
pub const FEATURES: usize = 10;

impl Activity {
    pub fn all_ops(&self) -> u64 {
        self.ops.iter().sum()
    }

    /// As coordinates, in which like windows are near each other once each is scaled by its spread.
    pub fn features(&self, seconds: f64) -> [f64; FEATURES] {
        let [reads, writes, ..] = self.ops.map(|count| count as f64);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let rate = |count: f64| (count / seconds).ln_1p();
        let moved = (self.read_bytes + self.write_bytes) as f64;
        [
            rate(self.all_ops() as f64),
            rate(self.read_bytes as f64 / 1024.0),
            rate(self.write_bytes as f64 / 1024.0),
            share(reads, reads + writes),
            share(moved, reads + writes).ln_1p(),
            rate(self.flushes as f64),
            share(self.sequential as f64, reads + writes),
            share(self.first, self.accesses),
            share(self.distance_logs, self.accesses - self.first),
            rate(self.stores as f64),
        ]
    }

    /// What the windows picked should add up to: counts that are spent per window.
    pub fn totals(&self) -> [f64; TOTALS] {
        let [reads, writes, _, discards] = self.ops.map(|count| count as f64);
        let flushes = self.flushes as f64;
        [
            reads,
            writes,
            flushes,
            discards,
            self.read_bytes as f64,
            self.write_bytes as f64,
            self.first,
            self.stores as f64,
        ]
    }
}

pub const TOTALS: usize = 8;

/// Where the reads stand among [`Activity::totals`].
pub const READS: usize = 0;

/// The names of [`Activity::totals`].
pub const TOTAL_NAMES: [&str; TOTALS] =
    ["reads", "writes", "flushes", "discards", "bytes read", "bytes written", "first accesses", "stores"];

/// Cuts a workload into windows of equal length while it streams by. Keeps 120 bytes for each window that is not idle.
pub struct Cutter {
    window_ns: u64,
    done: Vec<Activity>,
    now: Activity,
    recency: Recency,
    coalescing: Coalescing,
    stores_before: u64,
    streams: Streams,
}

impl Cutter {
    pub fn new(window_ns: u64) -> Self {
        Self {
            window_ns: window_ns.max(1),
            done: Vec::new(),
            now: Activity::default(),
            recency: Recency::new(BLOCK_SIZE, FOLLOWED_BLOCKS),
            coalescing: Coalescing::new(BLOCK_SIZE, WRITE_DELAYS_NS, FOLLOWED_BLOCKS),
            stores_before: 0,
            streams: Streams::default(),
        }
    }

    /// Takes the next operation, whose first byte in the volume is `at`.
    pub fn add(&mut self, op: &Op, at: u64) {
        let number = op.time_ns / self.window_ns;
        if number != self.now.number {
            self.close();
            self.now.number = number;
        }
        self.now.ops[op.kind as usize] += 1;
        self.now.flushes += u64::from(op.kind == OpKind::Flush || op.flush_before || op.durable);
        self.now.sequential += u64::from(self.streams.add(op, at));
        match op.kind {
            OpKind::Read => self.now.read_bytes += op.len,
            OpKind::Write => self.now.write_bytes += op.len,
            OpKind::Flush | OpKind::Discard => return,
        }
        // Only what the delay saves: what flushes do is not asked for here.
        self.coalescing.add(&Op { flush_before: false, durable: false, ..*op }, at);
        for block in blocks(at, op.len, shift_of(BLOCK_SIZE)) {
            let weight = 1.0 / self.recency.rate();
            match self.recency.touch(block, op.kind == OpKind::Read) {
                Reuse::Unknown => continue,
                Reuse::First => self.now.first += weight,
                Reuse::After(distance) => self.now.distance_logs += weight * (1.0 + distance as f64).log2(),
            }
            self.now.accesses += weight;
        }
    }

    fn close(&mut self) {
        let stores = self.coalescing.stores()[DELAY].stores;
        self.now.stores = stores - std::mem::replace(&mut self.stores_before, stores);
        let closed = std::mem::take(&mut self.now);
        if closed.all_ops() > 0 {
            self.done.push(closed);
        }
    }

    /// The windows in which anything was asked, in order.
    pub fn finish(mut self) -> Vec<Activity> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_cut_and_idle_ones_left_out() {
        let mut cutter = Cutter::new(10);
        for op in [
            Op::new(0, OpKind::Write, 0, 65536),
            Op::new(9, OpKind::Write, 65536, 4096),
            Op::new(35, OpKind::Read, 0, 4096),
            Op::new(36, OpKind::Flush, 0, 0),
        ] {
            cutter.add(&op, op.offset);
        }
        let [first, second] = &cutter.finish()[..] else { panic!("two are busy") };
        assert_eq!((first.number, first.ops, first.write_bytes, first.sequential), (0, [0, 2, 0, 0], 69_632, 1));
        assert_eq!((first.accesses, first.first, first.stores), (2.0, 2.0, 2));
        assert_eq!((second.number, second.ops, second.read_bytes, second.stores), (3, [1, 0, 1, 0], 4096, 0));
        assert_eq!((second.accesses, second.first, second.distance_logs), (1.0, 0.0, 1.0));
        assert!(first.features(10.0).iter().chain(&second.features(10.0)).all(|one| one.is_finite()));
    }
}
