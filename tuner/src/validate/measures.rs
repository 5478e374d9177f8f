//! The figures in which a prediction may be wrong, each with its bound. Pure.

use s3b_scenarios::OpKind;

use crate::answer::goal::P99_SAMPLES;
use crate::measure::Durations;
use crate::outcome::rounds::OneRun;
use crate::outcome::{PriceTable, StoreLedger};
use crate::prices::Reader;
use crate::promises::{FEW_REQUESTS, P50_SAMPLES, UNFELT_MS};
use crate::statistics::mean;

/// As [`FEW_REQUESTS`]: about two PUTs.
const FEW_DOLLARS: f64 = 1e-5;
/// Normal deviate of a 95 % interval.
const DEVIATE: f64 = 1.96;

/// Which workloads show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Everywhere,
    /// In closed loops: by schedule, throughput is the schedule's.
    Closed,
    /// By their own times: as fast as possible, latency is that of the queue one makes oneself.
    Scheduled,
}

/// What is read off one or several runs of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Puts,
    Gets,
    Deletes,
    HeadsAndLists,
    Dollars,
    HitRatio,
    /// Bytes per second.
    Throughput,
    P50(OpKind),
    P99(OpKind),
}

/// A figure, and what is asked of it.
pub struct Measure {
    /// As rows of the table are called; several measures may share one.
    pub name: &'static str,
    pub what: What,
    pub shown: Shown,
}

const fn everywhere(name: &'static str, what: What) -> Measure {
    Measure { name, what, shown: Shown::Everywhere }
}

const fn scheduled(name: &'static str, what: What) -> Measure {
    Measure { name, what, shown: Shown::Scheduled }
}

/// In the order of the table.
pub const MEASURES: [Measure; 13] = [
    everywhere("PUT requests", What::Puts),
    everywhere("GET requests", What::Gets),
    everywhere("DELETE requests", What::Deletes),
    everywhere("HEAD and LIST requests", What::HeadsAndLists),
    everywhere("dollars", What::Dollars),
    everywhere("hit ratio", What::HitRatio),
    Measure { name: "throughput", what: What::Throughput, shown: Shown::Closed },
    scheduled("p50", What::P50(OpKind::Read)),
    scheduled("p50", What::P50(OpKind::Write)),
    scheduled("p50", What::P50(OpKind::Flush)),
    scheduled("p99", What::P99(OpKind::Read)),
    scheduled("p99", What::P99(OpKind::Write)),
    scheduled("p99", What::P99(OpKind::Flush)),
];

/// What the figures of a run depend on besides the run.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub prices: &'a PriceTable,
    pub reader: Reader,
}

impl What {
    /// `None`: nothing of it happened, or too little to say.
    pub fn of(self, runs: &[&OneRun], frame: Frame<'_>) -> Option<f64> {
        let each = |value: &dyn Fn(&StoreLedger) -> f64| {
            let values: Vec<f64> = runs.iter().map(|run| value(&run.ledger.store)).collect();
            (!values.is_empty()).then(|| mean(&values))
        };
        match self {
            Self::Puts => each(&|store| store.puts as f64),
            Self::Gets => each(&|store| store.gets as f64),
            Self::Deletes => each(&|store| store.deletes as f64),
            Self::HeadsAndLists => each(&|store| (store.heads + store.lists) as f64),
            Self::Dollars => each(&|store| frame.prices.dollars(store, frame.reader)),
            Self::HitRatio => {
                let hits: u64 = runs.iter().map(|run| run.ledger.cache.read_hits).sum();
                let misses: u64 = runs.iter().map(|run| run.ledger.cache.read_misses).sum();
                (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64)
            }
            Self::Throughput => {
                let bytes: u64 = runs.iter().map(|run| run.measured.bytes()).sum();
                let seconds: f64 = runs.iter().map(|run| run.measured.elapsed.as_secs_f64()).sum();
                (seconds > 0.0 && bytes > 0).then(|| bytes as f64 / seconds)
            }
            Self::P50(kind) => percentile(runs, kind, P50_SAMPLES, 50.0),
            Self::P99(kind) => percentile(runs, kind, P99_SAMPLES, 99.0),
        }
    }

    /// How wrong a prediction is: a share of the measured value, or, of a ratio, the difference. Nothing that is too small
    /// to matter is wrong.
    pub fn error(self, predicted: f64, measured: f64) -> f64 {
        let off = (predicted - measured).abs();
        let alike = self.alike();
        match self {
            Self::HitRatio => off,
            _ if off <= alike => 0.0,
            _ => off / measured.abs().max(alike).max(f64::MIN_POSITIVE),
        }
    }

    /// Whether there is anything to be right about: nobody asks for zero requests, or feels the time of a hit.
    pub fn is_telling(self, predicted: f64, measured: f64) -> bool {
        match self {
            Self::HitRatio | Self::Throughput => true,
            _ => predicted.max(measured) > self.alike(),
        }
    }

    fn alike(self) -> f64 {
        match self {
            Self::Puts | Self::Gets | Self::Deletes | Self::HeadsAndLists => FEW_REQUESTS,
            Self::Dollars => FEW_DOLLARS,
            Self::HitRatio | Self::Throughput => 0.0,
            Self::P50(_) | Self::P99(_) => UNFELT_MS,
        }
    }

    /// The 95 % interval of a measured 99th percentile: between the order statistics that a bootstrap of these samples
    /// would leave 2.5 % beyond (the rank is binomial), and at least from the lowest to the highest of the runs.
    pub fn interval(self, runs: &[&OneRun]) -> Option<(f64, f64)> {
        let Self::P99(kind) = self else { return None };
        let middle = percentile(runs, kind, P99_SAMPLES, 99.0)?;
        let all = pooled(runs, kind);
        let spread = DEVIATE * (0.99 * 0.01 / all.count() as f64).sqrt() * 100.0;
        let ends = [99.0 - spread, (99.0 + spread).min(100.0)].map(|percent| milliseconds(&all, percent));
        let of_runs = runs.iter().filter_map(|run| percentile(&[*run], kind, P99_SAMPLES, 99.0));
        let values: Vec<f64> = of_runs.chain(ends).chain([middle]).collect();
        Some((values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max)))
    }

    /// Behind the name of its row: the kind of operation.
    pub fn of_kind(self) -> &'static str {
        match self {
            Self::P50(kind) | Self::P99(kind) => kind.name(),
            _ => "",
        }
    }
}

fn pooled(runs: &[&OneRun], kind: OpKind) -> Durations {
    let mut all = Durations::default();
    runs.iter().for_each(|run| all.add(&run.measured.kind(kind).latency));
    all
}

/// Of all samples, where each run has at least so many: several runs of too few would show what the one run of the other
/// side cannot.
fn percentile(runs: &[&OneRun], kind: OpKind, least: u64, percent: f64) -> Option<f64> {
    let fewest = runs.iter().map(|run| run.measured.kind(kind).latency.count()).min()?;
    (fewest >= least).then(|| milliseconds(&pooled(runs, kind), percent))
}

fn milliseconds(times: &Durations, percent: f64) -> f64 {
    times.percentile(percent).as_secs_f64() * 1e3
}
