//! One line for a configuration, over all workloads.

use crate::answer::goal::P99_SAMPLES;
use crate::outcome::{Figures, KindFigures, PriceTable, Summary};
use crate::prices::Reader;

/// What a summary needs besides the figures.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub weights: &'a [f64],
    pub prices: &'a PriceTable,
    pub reader: Reader,
}

/// Rates and ratios over all workloads; percentiles are those of the workload where they are worst, since a user meets
/// that one too. The score is the caller's to set.
pub fn summary(figures: &[Figures], frame: Frame<'_>, memory_bytes: u64) -> Summary {
    let sum = |value: fn(&Figures) -> u64| figures.iter().map(value).sum::<u64>() as f64;
    let hits = sum(|one| one.ledger.cache.read_hits);
    let reads = hits + sum(|one| one.ledger.cache.read_misses);
    let written_gib = sum(|one| one.write.bytes) / (1u64 << 30) as f64;
    let worst = |kind: fn(&Figures) -> &KindFigures, least: u64, value: fn(&KindFigures) -> f64| {
        let known = figures.iter().map(kind).filter(|kind| kind.latency.count >= least);
        known.map(value).reduce(f64::max)
    };
    let rate = |one: &Figures| (one.read.bytes + one.write.bytes).max(1) as f64 / one.seconds.max(1e-9);
    let log_rates: Vec<f64> = figures.iter().map(|one| rate(one).ln()).collect();
    let months = figures.iter().map(|one| frame.prices.month_of(one, frame.reader));
    Summary {
        score: f64::INFINITY,
        bytes_per_s: crate::statistics::mean(&log_rates).exp(),
        read_p50_ms: worst(|one| &one.read, 1, |kind| kind.latency.p50_ms),
        read_p99_ms: worst(|one| &one.read, P99_SAMPLES, |kind| kind.latency.p99_ms),
        flush_p50_ms: worst(|one| &one.flush, 1, |kind| kind.latency.p50_ms),
        flush_p99_ms: worst(|one| &one.flush, P99_SAMPLES, |kind| kind.latency.p99_ms),
        hit_ratio: (reads > 0.0).then(|| hits / reads),
        puts_per_gib: (written_gib > 0.0).then(|| sum(|one| one.ledger.store.puts) / written_gib),
        dollars_per_month: months.zip(frame.weights).map(|(dollars, weight)| dollars * weight).sum(),
        at_risk_bytes: figures.iter().map(|one| one.at_risk_bytes).max().unwrap_or(0),
        memory_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{CacheLedger, Latency, Ledger, StoreLedger};

    #[test]
    fn rates_are_pooled_and_percentiles_are_the_worst() {
        let one = |p99_ms, count, puts| {
            let kind = |bytes| KindFigures {
                bytes,
                latency: Latency { count, p50_ms: 1.0, p99_ms, ..Latency::default() },
                ..KindFigures::default()
            };
            Figures {
                seconds: 3600.0,
                read: kind(0),
                write: kind(1 << 30),
                ledger: Ledger {
                    cache: CacheLedger { read_hits: 3, read_misses: 1, ..CacheLedger::default() },
                    store: StoreLedger { puts, ..StoreLedger::default() },
                    ..Ledger::default()
                },
                at_risk_bytes: puts,
                ..Figures::default()
            }
        };
        let prices = PriceTable::standard();
        let frame = Frame { weights: &[0.25, 0.75], prices: &prices, reader: Reader::InRegion };
        let found = summary(&[one(5.0, 1000, 1000), one(50.0, 10, 3000)], frame, 7);
        assert_eq!((found.read_p99_ms, found.hit_ratio, found.puts_per_gib), (Some(5.0), Some(0.75), Some(2000.0)));
        assert_eq!((found.at_risk_bytes, found.memory_bytes), (3000, 7));
        // 730 times (a quarter of $0.005 and three quarters of $0.015).
        assert!((found.dollars_per_month - 730.0 * 0.0125).abs() < 1e-9, "{}", found.dollars_per_month);
        assert!((found.bytes_per_s / ((1u64 << 30) as f64 / 3600.0) - 1.0).abs() < 1e-6);
    }
}
