//! How fast operations come: mean and peak rates, gaps, and how unevenly they are spread over the seconds.

use s3b_scenarios::{Op, OpKind};
use serde::Serialize;

use super::histogram::Histogram;

const SECOND_NS: u64 = 1_000_000_000;

/// Rates of reads, writes, flushes and discards together; bytes are of reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    pub ops_per_s: f64,
    pub bytes_per_s: f64,
    /// Most operations in one second, counted in whole seconds from the start.
    pub peak_ops_per_s: u64,
    /// Which second that was.
    pub peak_at_s: u64,
    pub peak_bytes_per_s: u64,
    /// The share of seconds in which anything was asked.
    pub busy_seconds: f64,
    /// Nanoseconds between one operation and the next.
    pub gap_p50_ns: u64,
    pub gap_p99_ns: u64,
    pub longest_gap_ns: u64,
    /// Standard deviation of the gaps by their mean: 0 regular, 1 Poisson, above 1 bursty.
    pub gap_variation: f64,
    /// Variance of the operations per second by their mean: 1 Poisson, above 1 bursty.
    pub dispersion: f64,
}

#[derive(Clone, Default)]
pub struct Arrivals {
    ops: u64,
    bytes: u64,
    last_ns: Option<u64>,
    gaps: Histogram,
    longest_gap_ns: u64,
    gap_squares: f64,
    second: Second,
    peak_ops: Second,
    peak_bytes: u64,
    busy: u64,
    /// Sum of the squares of each second's operations.
    squares: f64,
}

#[derive(Clone, Copy, Default)]
struct Second {
    number: u64,
    ops: u64,
    bytes: u64,
}

impl Arrivals {
    pub fn add(&mut self, op: &Op) {
        let bytes = if matches!(op.kind, OpKind::Read | OpKind::Write) { op.len } else { 0 };
        self.ops += 1;
        self.bytes += bytes;
        if let Some(last) = self.last_ns {
            let gap = op.time_ns - last;
            self.gaps.add(gap, 1.0);
            self.longest_gap_ns = self.longest_gap_ns.max(gap);
            self.gap_squares += (gap as f64).powi(2);
        }
        self.last_ns = Some(op.time_ns);
        if op.time_ns / SECOND_NS != self.second.number {
            self.close_second();
            self.second = Second { number: op.time_ns / SECOND_NS, ..Second::default() };
        }
        self.second.ops += 1;
        self.second.bytes += bytes;
    }

    fn close_second(&mut self) {
        if self.second.ops > self.peak_ops.ops {
            self.peak_ops = self.second;
        }
        self.peak_bytes = self.peak_bytes.max(self.second.bytes);
        self.busy += u64::from(self.second.ops > 0);
        self.squares += (self.second.ops as f64).powi(2);
    }

    pub fn rates(&self) -> Rates {
        let mut all = self.clone();
        all.close_second();
        let duration_ns = self.last_ns.unwrap_or(0);
        // All at one instant: a rate per second says nothing then, and is taken as that of one second.
        let seconds = if duration_ns == 0 { 1.0 } else { duration_ns as f64 / 1e9 };
        let bins = (duration_ns / SECOND_NS + 1) as f64;
        let (mean, gaps) = (self.ops as f64 / bins, self.gaps.total());
        let gap_mean = duration_ns as f64 / gaps.max(1.0);
        let gap_variance = (self.gap_squares / gaps.max(1.0) - gap_mean.powi(2)).max(0.0);
        Rates {
            ops_per_s: self.ops as f64 / seconds,
            bytes_per_s: self.bytes as f64 / seconds,
            peak_ops_per_s: all.peak_ops.ops,
            peak_at_s: all.peak_ops.number,
            peak_bytes_per_s: all.peak_bytes,
            busy_seconds: all.busy as f64 / bins,
            gap_p50_ns: self.gaps.quantile(0.5).unwrap_or(0),
            gap_p99_ns: self.gaps.quantile(0.99).unwrap_or(0),
            longest_gap_ns: self.longest_gap_ns,
            gap_variation: if gap_mean > 0.0 { gap_variance.sqrt() / gap_mean } else { 0.0 },
            dispersion: if mean > 0.0 { ((all.squares / bins - mean.powi(2)) / mean).max(0.0) } else { 0.0 },
        }
    }
}

/// Flushes: explicit ones, and writes that ask for one before or after them, each counted once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Flushes {
    pub count: u64,
    pub per_s: f64,
    /// Writes between one flush and the next.
    pub writes_between_p50: u64,
    pub writes_between_p95: u64,
    /// Bytes written between one flush and the next.
    pub bytes_between_p50: u64,
    pub bytes_between_p95: u64,
}

#[derive(Clone, Default)]
pub struct FlushPoints {
    count: u64,
    writes: Histogram,
    bytes: Histogram,
    since: (u64, u64),
    last_ns: u64,
}

impl FlushPoints {
    pub fn add(&mut self, op: &Op) {
        self.last_ns = op.time_ns;
        let wrote = op.kind == OpKind::Write;
        if op.kind == OpKind::Flush || op.flush_before {
            self.flush();
        }
        if wrote {
            self.since.0 += 1;
            self.since.1 += op.len;
        }
        if op.durable {
            // Together with the flush before it, such a write is one commit.
            if op.flush_before { self.since = (0, 0) } else { self.flush() }
        }
    }

    fn flush(&mut self) {
        self.count += 1;
        self.writes.add(self.since.0, 1.0);
        self.bytes.add(self.since.1, 1.0);
        self.since = (0, 0);
    }

    pub fn flushes(&self) -> Flushes {
        let seconds = if self.last_ns == 0 { 1.0 } else { self.last_ns as f64 / 1e9 };
        let of = |histogram: &Histogram, share| histogram.quantile(share).unwrap_or(0);
        Flushes {
            count: self.count,
            per_s: self.count as f64 / seconds,
            writes_between_p50: of(&self.writes, 0.5),
            writes_between_p95: of(&self.writes, 0.95),
            bytes_between_p50: of(&self.bytes, 0.5),
            bytes_between_p95: of(&self.bytes, 0.95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_gaps_and_bursts() {
        let mut arrivals = Arrivals::default();
        // 10 at once in second 2, after one each at 0 and 1; the last one ends it at 4 s.
        let times = [0, SECOND_NS].into_iter().chain([2 * SECOND_NS + 5; 10]).chain([4 * SECOND_NS]);
        times.for_each(|time| arrivals.add(&Op::new(time, OpKind::Write, 0, 1000)));
        let rates = arrivals.rates();
        assert_eq!((rates.ops_per_s, rates.bytes_per_s), (13.0 / 4.0, 13_000.0 / 4.0));
        assert_eq!((rates.peak_ops_per_s, rates.peak_at_s, rates.peak_bytes_per_s), (10, 2, 10_000));
        assert_eq!((rates.busy_seconds, rates.gap_p50_ns), (0.8, 0));
        assert_eq!(rates.longest_gap_ns, 2 * SECOND_NS - 5);
        assert!((rates.dispersion - (103.0 / 5.0 - 2.6f64.powi(2)) / 2.6).abs() < 1e-9, "{}", rates.dispersion);
        assert!(rates.gap_variation > 1.5);
        assert_eq!(Arrivals::default().rates().ops_per_s, 0.0);
    }

    #[test]
    fn a_commit_is_one_flush() {
        let write = Op::new(SECOND_NS, OpKind::Write, 0, 4096);
        let mut points = FlushPoints::default();
        for op in [
            write,
            write,
            Op { flush_before: true, durable: true, ..write },
            Op { durable: true, ..write },
            Op::new(2 * SECOND_NS, OpKind::Flush, 0, 0),
        ] {
            points.add(&op);
        }
        let flushes = points.flushes();
        assert_eq!((flushes.count, flushes.per_s), (3, 1.5));
        assert_eq!((flushes.writes_between_p50, flushes.writes_between_p95), (1, 2));
        assert_eq!((flushes.bytes_between_p50, flushes.bytes_between_p95), (4096, 8192));
    }
}
