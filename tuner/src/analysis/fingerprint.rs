//! What kind of workload this is: mix, sizes, rates, working set, sequentiality, reuse, flushes, and what a write delay saves.

use s3b_scenarios::{Op, OpKind};
use serde::Serialize;

use super::PAGE;
use super::coalescing::{Coalescing, Stores, WRITE_DELAYS_NS};
use super::distance::Recency;
use super::histogram::Histogram;
use super::rates::{Arrivals, FlushPoints, Flushes, Rates};
use super::streams::{Sequential, Streams};

/// A workload in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Fingerprint {
    pub duration_s: f64,
    /// Reads, writes, flushes, discards, in this order, where there are any.
    pub requests: Vec<Requests>,
    pub rates: Rates,
    pub working_set: WorkingSet,
    pub sequential: Sequential,
    pub reuse: Reuse,
    pub flushes: Flushes,
    /// For each block size and write delay.
    pub stores: Vec<Stores>,
    /// The share of reads and writes that begin and end on 4 KiB borders.
    pub page_aligned: f64,
}

/// The requests of one kind. Sizes are in bytes, 0 for flushes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Requests {
    pub kind: &'static str,
    pub count: u64,
    /// Of all requests, 0 to 1.
    pub share: f64,
    pub bytes: u64,
    pub size_mean: u64,
    pub size_p50: u64,
    pub size_p95: u64,
    pub size_max: u64,
    /// (upper size, requests of more than half and at most that size), for each power of two that has any.
    pub sizes: Vec<(u64, u64)>,
}

/// What is touched, in bytes of whole 4 KiB pages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WorkingSet {
    pub bytes: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// From the lowest byte read or written to the highest.
    pub span_bytes: u64,
    /// The share of pages followed; 1: the above are exact.
    pub sampling_rate: f64,
}

/// How often pages of 4 KiB come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reuse {
    /// The share of accesses to pages touched before.
    pub accesses: f64,
    /// Of reads alone: what the largest cache would hit.
    pub reads: f64,
    /// Distinct bytes touched between an access and the one before to the same page: half of the reuses lie below.
    pub distance_p50_bytes: Option<u64>,
    pub distance_p95_bytes: Option<u64>,
}

/// Gathers a [`Fingerprint`] from one pass. The pages' recency is kept by the caller, who draws a curve from it too.
pub struct Gatherer {
    sizes: [Histogram; 4],
    bytes: [u64; 4],
    arrivals: Arrivals,
    streams: Streams,
    flush_points: FlushPoints,
    coalescing: Vec<Coalescing>,
    lowest: u64,
    highest: u64,
    page_aligned: u64,
    last_ns: u64,
}

impl Gatherer {
    /// `block_sizes`: those whose stores are counted; of each, at most `limit` dirty blocks are followed.
    pub fn new(block_sizes: &[u64], limit: usize) -> Self {
        let coalescing = |block_size: &u64| Coalescing::new(*block_size, WRITE_DELAYS_NS, limit);
        Self {
            sizes: Default::default(),
            bytes: [0; 4],
            arrivals: Arrivals::default(),
            streams: Streams::default(),
            flush_points: FlushPoints::default(),
            coalescing: block_sizes.iter().map(coalescing).collect(),
            lowest: u64::MAX,
            highest: 0,
            page_aligned: 0,
            last_ns: 0,
        }
    }

    /// Takes an operation whose first byte in the volume is `at`.
    pub fn add(&mut self, op: &Op, at: u64) {
        let kind = op.kind as usize;
        self.sizes[kind].add(op.len, 1.0);
        self.bytes[kind] = self.bytes[kind].saturating_add(op.len);
        self.last_ns = op.time_ns;
        self.arrivals.add(op);
        self.streams.add(op, at);
        self.flush_points.add(op);
        self.coalescing.iter_mut().for_each(|one| one.add(op, at));
        if matches!(op.kind, OpKind::Read | OpKind::Write) {
            self.lowest = self.lowest.min(at);
            self.highest = self.highest.max(at + op.len);
            self.page_aligned += u64::from(op.offset.is_multiple_of(PAGE) && op.len.is_multiple_of(PAGE));
        }
    }

    /// `pages` has seen the same operations, in blocks of 4 KiB.
    pub fn fingerprint(&self, pages: &Recency) -> Fingerprint {
        let distance = |share| pages.all().histogram.quantile(share).map(|pages| pages * PAGE);
        let moved = self.sizes[OpKind::Read as usize].total() + self.sizes[OpKind::Write as usize].total();
        Fingerprint {
            duration_s: self.last_ns as f64 / 1e9,
            requests: OpKind::ALL.into_iter().filter_map(|kind| self.requests(kind)).collect(),
            rates: self.arrivals.rates(),
            working_set: WorkingSet {
                bytes: pages.distinct() * PAGE,
                read_bytes: pages.distinct_read() * PAGE,
                written_bytes: pages.distinct_written() * PAGE,
                span_bytes: self.highest.saturating_sub(self.lowest),
                sampling_rate: pages.rate(),
            },
            sequential: self.streams.sequential(),
            reuse: Reuse {
                accesses: pages.all().reuse(),
                reads: pages.reads().reuse(),
                distance_p50_bytes: distance(0.5),
                distance_p95_bytes: distance(0.95),
            },
            flushes: self.flush_points.flushes(),
            stores: self.coalescing.iter().flat_map(Coalescing::stores).collect(),
            page_aligned: if moved > 0.0 { self.page_aligned as f64 / moved } else { 0.0 },
        }
    }

    fn requests(&self, kind: OpKind) -> Option<Requests> {
        let (sizes, bytes) = (&self.sizes[kind as usize], self.bytes[kind as usize]);
        let count = sizes.total() as u64;
        let all: f64 = self.sizes.iter().map(Histogram::total).sum();
        (count > 0).then(|| Requests {
            kind: kind.name(),
            count,
            share: count as f64 / all,
            bytes,
            size_mean: bytes / count,
            size_p50: sizes.quantile(0.5).unwrap_or(0),
            size_p95: sizes.quantile(0.95).unwrap_or(0),
            size_max: sizes.largest().unwrap_or(0),
            sizes: sizes.doublings().into_iter().map(|(upper, count)| (upper, count as u64)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_workload_is_described() {
        let ops = [
            Op::new(0, OpKind::Write, 8192, 4096),
            Op::new(1_000_000_000, OpKind::Write, 12288, 8192),
            Op::new(1_500_000_000, OpKind::Read, 8192, 512),
            Op::new(2_000_000_000, OpKind::Flush, 0, 0),
        ];
        let (mut gatherer, mut pages) = (Gatherer::new(&[65536], 1000), Recency::new(PAGE, 1000));
        for op in ops {
            gatherer.add(&op, op.offset);
            pages.add(&op, op.offset);
        }
        let found = gatherer.fingerprint(&pages);
        let requests: Vec<_> =
            found.requests.iter().map(|one| (one.kind, one.count, one.bytes, one.size_p95)).collect();
        assert_eq!(requests, [("read", 1, 512, 512), ("write", 2, 12288, 8192), ("flush", 1, 0, 0)]);
        assert_eq!(found.requests[1].sizes, [(4096, 1), (8192, 1)]);
        assert_eq!((found.duration_s, found.page_aligned), (2.0, 2.0 / 3.0));
        let set = found.working_set;
        assert_eq!((set.bytes, set.read_bytes, set.written_bytes, set.span_bytes), (12288, 4096, 12288, 12288));
        assert_eq!((found.reuse.accesses, found.reuse.reads, found.reuse.distance_p50_bytes), (0.25, 1.0, Some(8192)));
        assert_eq!((found.flushes.count, found.flushes.writes_between_p50), (1, 2));
        assert_eq!(found.stores.iter().map(|one| one.stores).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }
}
