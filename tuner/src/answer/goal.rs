//! What "better" means: one positive number for a configuration on a workload, lower is better.

use std::str::FromStr;

use clap::ValueEnum;

use crate::outcome::{Figures, KindFigures};

/// Samples from which a 99th percentile is one: with fewer, the chance that it lies beyond the largest sample is above 5 %.
pub const P99_SAMPLES: u64 = 299;

/// Latencies below this are alike: less than what the kernel and FUSE cost on a hit. Without it, a hit of 1 us against
/// one of 2 us would weigh as much as 50 ms against 100 ms.
const UNFELT_MS: f64 = 0.05;

/// Tails below this are alike: a local disk that has to seek takes as long. Without it, a hundredth of the reads taking
/// 27 ms instead of 10 us would weigh as much as 27 s instead of 10 ms.
pub const UNFELT_TAIL_MS: f64 = 10.0;

/// The measure by which configurations are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GoalKind {
    /// How long operations take: mean and tail of reads, writes and flushes; no p99 far beyond twice the default's
    Latency,
    /// How long the workload takes when it runs as fast as it can
    Throughput,
    /// Dollars a month
    Cost,
    /// Latency and dollars, latency twice as much; no p99 far beyond twice the default's
    Balanced,
}

impl GoalKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Cost => "cost",
            Self::Balanced => "balanced",
        }
    }

    /// Whether the workload must run as fast as possible, not by its own times, to show it.
    pub fn saturates(self) -> bool {
        self == Self::Throughput
    }

    /// Whether no tail may be much longer than the default's. Who asks for the least cost or the most throughput has said
    /// what may suffer for it.
    pub fn guards_tails(self) -> bool {
        matches!(self, Self::Latency | Self::Balanced)
    }

    /// Lower is better; positive, finite, comparable between configurations of one workload only.
    pub fn loss(self, figures: &Figures, dollars_per_month: f64) -> f64 {
        // A dollar a month is the least that anybody would notice.
        let dollars = dollars_per_month + 1.0;
        match self {
            Self::Latency => latency(figures),
            Self::Throughput => figures.seconds.max(1e-6),
            Self::Cost => dollars,
            // People forgive a bill sooner than a slow disk.
            Self::Balanced => (latency(figures).powi(2) * dollars).cbrt(),
        }
    }
}

impl FromStr for GoalKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
    }
}

/// The geometric mean of mean and tail of each kind of operation that occurs, in milliseconds.
fn latency(figures: &Figures) -> f64 {
    let mut logs = Vec::new();
    for kind in [&figures.read, &figures.write, &figures.flush] {
        if kind.latency.count > 0 {
            logs.push((kind.latency.mean_ms + UNFELT_MS).ln());
            logs.push((tail(kind) + UNFELT_TAIL_MS).ln());
        }
    }
    if logs.is_empty() { UNFELT_MS } else { crate::statistics::mean(&logs).exp() }
}

/// The highest percentile that so many samples can show.
fn tail(kind: &KindFigures) -> f64 {
    if kind.latency.count >= P99_SAMPLES { kind.latency.p99_ms } else { kind.latency.p90_ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Latency;

    fn figures(read_ms: f64, flush_ms: f64, seconds: f64) -> Figures {
        let kind = |ms| KindFigures {
            ops: 1000,
            latency: Latency { count: 1000, mean_ms: ms, p90_ms: 2.0 * ms, p99_ms: 4.0 * ms, ..Latency::default() },
            ..KindFigures::default()
        };
        Figures { seconds, read: kind(read_ms), flush: kind(flush_ms), ..Figures::default() }
    }

    #[test]
    fn each_goal_prefers_its_own() {
        let (quick, cheap) = ((figures(1.0, 50.0, 9.0), 60.0), (figures(10.0, 100.0, 8.0), 5.0));
        let better = |goal: GoalKind| goal.loss(&quick.0, quick.1) < goal.loss(&cheap.0, cheap.1);
        assert!(better(GoalKind::Latency) && !better(GoalKind::Cost) && !better(GoalKind::Throughput));
        assert!(better(GoalKind::Balanced), "3.4 times slower outweighs a tenth of the price");
        assert!(GoalKind::Throughput.saturates() && !GoalKind::Balanced.saturates());
    }

    #[test]
    fn what_nobody_feels_decides_nothing_and_nothing_is_no_number() {
        let (a, b) = (figures(0.001, 50.0, 1.0), figures(0.002, 50.0, 1.0));
        assert!((GoalKind::Latency.loss(&b, 0.0) / GoalKind::Latency.loss(&a, 0.0) - 1.0).abs() < 0.03);
        let nothing = GoalKind::Latency.loss(&Figures::default(), 0.0);
        assert!(nothing > 0.0 && nothing.is_finite());
    }

    #[test]
    fn few_samples_have_no_99th_percentile() {
        let mut few = figures(1.0, 1.0, 1.0);
        (few.read.latency.count, few.flush.latency.count) = (P99_SAMPLES - 1, P99_SAMPLES - 1);
        assert!(GoalKind::Latency.loss(&few, 0.0) < GoalKind::Latency.loss(&figures(1.0, 1.0, 1.0), 0.0));
    }
}
