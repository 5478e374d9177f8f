//! What a configuration must keep to be recommended: `flush.p99<200ms`, memory, bytes at risk, dollars.

use std::fmt;
use std::str::FromStr;

use s3b_engine::settings::parse;

use super::goal::P99_SAMPLES;
use crate::outcome::{Configuration, Figures, KindFigures, Latency};

/// A bound on one figure of every workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    kind: Kind,
    figure: Figure,
    bound_ms: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Flush,
    Discard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Mean,
    P50,
    P90,
    P99,
    P999,
    Max,
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("--slo={text}: write KIND.FIGURE<TIME, such as --slo 'flush.p99<200ms'");
        let (left, bound) = text.split_once('<').ok_or_else(wrong)?;
        let (kind, figure) = left.trim().split_once('.').ok_or_else(wrong)?;
        let kind = match kind.trim() {
            "read" => Kind::Read,
            "write" => Kind::Write,
            "flush" => Kind::Flush,
            "discard" => Kind::Discard,
            other => return Err(format!("--slo={text}: {other} is none of read, write, flush, discard")),
        };
        let figure = match figure.trim() {
            "mean" => Figure::Mean,
            "p50" => Figure::P50,
            "p90" => Figure::P90,
            "p99" => Figure::P99,
            "p999" | "p99.9" => Figure::P999,
            "max" => Figure::Max,
            other => return Err(format!("--slo={text}: {other} is none of mean, p50, p90, p99, p999, max")),
        };
        let bound = bound.strip_prefix('=').unwrap_or(bound).trim();
        let time = parse::millis(bound).map_err(|error| format!("--slo={text}: {error}; try 200ms"))?;
        Ok(Self { kind, figure, bound_ms: time.as_secs_f64() * 1e3, text: text.to_owned() })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Slo {
    /// Why a run does not keep it. Operations that do not occur keep every bound; too few samples for a 99th
    /// percentile are judged by the slowest.
    fn broken_by(&self, figures: &Figures) -> Option<String> {
        let kind = match self.kind {
            Kind::Read => &figures.read,
            Kind::Write => &figures.write,
            Kind::Flush => &figures.flush,
            Kind::Discard => &figures.discard,
        };
        let found = self.figure.of(kind)?;
        (found > self.bound_ms).then(|| format!("{}: it is {}", self.text, milliseconds(found)))
    }
}

impl Figure {
    fn of(self, kind: &KindFigures) -> Option<f64> {
        let latency: &Latency = &kind.latency;
        (latency.count > 0).then_some(match self {
            Self::Mean => latency.mean_ms,
            Self::P50 => latency.p50_ms,
            Self::P90 => latency.p90_ms,
            Self::P99 if latency.count < P99_SAMPLES => latency.max_ms,
            Self::P99 => latency.p99_ms,
            Self::P999 if latency.count < 10 * P99_SAMPLES => latency.max_ms,
            Self::P999 => latency.p999_ms,
            Self::Max => latency.max_ms,
        })
    }
}

fn milliseconds(ms: f64) -> String {
    if ms >= 10_000.0 { format!("{:.1} s", ms / 1e3) } else { format!("{ms:.1} ms") }
}

/// All that was demanded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    pub slos: Vec<Slo>,
    /// Bytes.
    pub max_at_risk: Option<u64>,
    /// Bytes of memory for the cache.
    pub ram: Option<u64>,
    pub max_dollars_per_month: Option<f64>,
}

impl Constraints {
    /// What a configuration breaks, a phrase each. Uses what was measured where there is any.
    pub fn broken_by(&self, configuration: &Configuration) -> Vec<String> {
        let summary = &configuration.summary;
        let runs = configuration.runs();
        let mut broken: Vec<String> =
            runs.iter().flat_map(|figures| self.slos.iter().filter_map(|slo| slo.broken_by(figures))).collect();
        let failed: u64 =
            runs.iter().flat_map(|run| [&run.read, &run.write, &run.flush, &run.discard]).map(|kind| kind.failed).sum();
        if failed > 0 {
            broken.push(format!("{failed} operations failed"));
        }
        let mut bytes = |name: &str, found: u64, most: Option<u64>| {
            if let Some(most) = most.filter(|most| found > *most) {
                broken.push(format!("--{name}={}: it is {}", parse::show_size(&most), parse::show_size(&found)));
            }
        };
        bytes("max-at-risk", summary.at_risk_bytes, self.max_at_risk);
        bytes("ram", summary.memory_bytes, self.ram);
        if let Some(most) = self.max_dollars_per_month.filter(|most| summary.dollars_per_month > *most) {
            broken.push(format!("--max-monthly-cost={most}: it is {:.2} dollars", summary.dollars_per_month));
        }
        broken.dedup();
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Summary;

    fn flush(count: u64, p99_ms: f64, max_ms: f64) -> Figures {
        let latency = Latency { count, p99_ms, max_ms, ..Latency::default() };
        Figures { flush: KindFigures { latency, ..KindFigures::default() }, ..Figures::default() }
    }

    #[test]
    fn bounds_are_read_and_kept() {
        let slo: Slo = "flush.p99<200ms".parse().unwrap();
        assert_eq!(slo.broken_by(&flush(1000, 199.0, 900.0)), None);
        assert_eq!(slo.broken_by(&flush(1000, 201.0, 900.0)).unwrap(), "flush.p99<200ms: it is 201.0 ms");
        assert!(slo.broken_by(&flush(10, 199.0, 900.0)).is_some(), "of ten, the slowest counts");
        assert_eq!(slo.broken_by(&Figures::default()), None);
        assert_eq!(" read.p50 <= 5s".parse::<Slo>().unwrap().bound_ms, 5000.0);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("flush.p99", "flush.p99<200ms"),
            ("fsync.p99<1s", "read, write, flush, discard"),
            ("flush.p98<1s", "p50, p90, p99"),
            ("flush.p99<soon", "200ms"),
        ] {
            let error = text.parse::<Slo>().unwrap_err();
            assert!(error.contains(part) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn memory_risk_and_dollars_are_constraints_too() {
        let limits = Constraints {
            slos: vec![],
            max_at_risk: Some(64 << 20),
            ram: Some(1 << 30),
            max_dollars_per_month: Some(10.0),
        };
        let mut configuration = Configuration::default();
        assert!(limits.broken_by(&configuration).is_empty());
        configuration.summary =
            Summary { at_risk_bytes: 65 << 20, memory_bytes: 2 << 30, dollars_per_month: 11.0, ..Summary::default() };
        configuration.simulated = vec![Figures::default()];
        configuration.simulated[0].read.failed = 2;
        let broken = limits.broken_by(&configuration).join("; ");
        for part in ["2 operations failed", "--max-at-risk=64m: it is 65m", "--ram=1g: it is 2g", "11.00 dollars"] {
            assert!(broken.contains(part), "{broken}");
        }
    }
}
