//! Figures in virtual time: the same seed gives the same figures, so every difference is real.

use super::{Change, Judged};
use crate::outcome::{Figures, KindFigures, Outcome};

pub fn changes(base: &Outcome, new: &Outcome, pairs: &[(usize, usize)], threshold: f64) -> Vec<Change> {
    let mut found = Vec::new();
    for (b, n) in pairs {
        let (ours, theirs) = (&base.configurations[*b], &new.configurations[*n]);
        let configuration = ours.values.join(" ");
        let mut add = |workload: &str, metric, base: f64, new: f64| {
            let (configuration, workload) = (configuration.clone(), workload.to_owned());
            found.push(judged(Change { configuration, workload, metric, base, new, ..empty() }, threshold));
        };
        for ((ours, theirs), workload) in ours.simulated.iter().zip(&theirs.simulated).zip(&base.workloads) {
            for (metric, value) in METRICS {
                if let (Some(a), Some(b)) = (value(ours), value(theirs)) {
                    add(&workload.name, metric, a, b);
                }
            }
        }
        let ran = !ours.simulated.is_empty() && !theirs.simulated.is_empty();
        // With real runs in one of them the summaries rest on different things.
        if ran && ours.measured.is_empty() && theirs.measured.is_empty() && base.prices == new.prices {
            add("", "dollars", ours.summary.dollars_per_month, theirs.summary.dollars_per_month);
        }
    }
    found
}

type Metric = (&'static str, fn(&Figures) -> Option<f64>);

const METRICS: [Metric; 6] = [
    ("seconds", |one| Some(one.seconds)),
    ("read.p99", |one| tail(&one.read)),
    ("write.p99", |one| tail(&one.write)),
    ("flush.p99", |one| tail(&one.flush)),
    ("puts", |one| Some(one.ledger.store.puts as f64)),
    ("gets", |one| Some(one.ledger.store.gets as f64)),
];

fn tail(kind: &KindFigures) -> Option<f64> {
    (kind.latency.count > 0).then_some(kind.latency.p99_ms)
}

fn empty() -> Change {
    Change {
        configuration: String::new(),
        workload: String::new(),
        metric: "",
        base: 0.0,
        new: 0.0,
        ratio: Some(1.0),
        interval: None,
        p: None,
        judged: Judged::Same,
    }
}

fn judged(mut change: Change, threshold: f64) -> Change {
    let ratio = if change.base == change.new { 1.0 } else { change.new / change.base };
    change.judged = match ratio {
        r if r > 1.0 + threshold => Judged::Worse,
        r if r < 1.0 / (1.0 + threshold) => Judged::Better,
        r if r.is_nan() => Judged::Unclear,
        _ => Judged::Same,
    };
    change.ratio = ratio.is_finite().then_some(ratio);
    change
}
