//! The guard of tails: a mean over many workloads forgives one of them everything, a person who mounts a disk does not. What
//! makes a 99th percentile far worse than it is without any flag is not recommended, whatever it saves elsewhere. Pure.

use clap::ValueEnum;

use super::goal::{GoalKind, P99_SAMPLES, UNFELT_TAIL_MS};
use crate::outcome::{Configuration, Figures, KindFigures};

/// A 99th percentile beyond so many times the default's, and [`UNFELT_TAIL_MS`], is far worse.
const TIMES: f64 = 2.0;

type OfKind = fn(&Figures) -> &KindFigures;
const KINDS: [(&str, OfKind); 3] =
    [("read", |one| &one.read), ("write", |one| &one.write), ("flush", |one| &one.flush)];

/// What begins each phrase of [`broken_by`].
const NAME: &str = "tail guard";

/// The worst of the 99th percentiles of reads, writes and flushes on any workload that is far worse than the default's, as
/// a phrase. Compares what was measured if both were, else both as simulated; fewer than [`P99_SAMPLES`] show no tail.
pub fn broken_by(ours: &Configuration, default: &Configuration, workloads: &[&str]) -> Option<String> {
    let (ours, theirs) = ours.runs_like(default)?;
    let mut worst: Option<(f64, String)> = None;
    for ((our, their), workload) in ours.iter().zip(theirs).zip(workloads) {
        for (kind, of) in KINDS {
            let (our, their) = (&of(our).latency, &of(their).latency);
            let known = our.count >= P99_SAMPLES && their.count >= P99_SAMPLES;
            let times = our.p99_ms / (TIMES * their.p99_ms + UNFELT_TAIL_MS);
            if known && times > 1.0 && worst.as_ref().is_none_or(|(most, _)| times > *most) {
                let phrase =
                    format!("{kind} p99 on {workload} {:.0} ms, the default's {:.0} ms", our.p99_ms, their.p99_ms);
                worst = Some((times, phrase));
            }
        }
    }
    worst.map(|(_, phrase)| format!("{NAME}: {phrase}"))
}

/// The rule and whom it kept out, in a sentence; nothing if nobody.
pub fn sentence(configurations: &[Configuration]) -> Option<String> {
    let out = |one: &&Configuration| one.breaks.iter().any(|broken| broken.starts_with(NAME));
    let kept_out = configurations.iter().filter(out).count();
    (kept_out > 0).then(|| {
        let unguarded = GoalKind::value_variants().iter().filter(|goal| !goal.guards_tails());
        let unguarded: Vec<String> = unguarded.map(|goal| format!("--goal {}", goal.name())).collect();
        format!(
            "{NAME}: {kept_out} of {} configurations make the p99 of reads, writes or flushes of some workload more than \
             {TIMES:.0} times the default's (and {UNFELT_TAIL_MS:.0} ms) and are not recommended; {} have no such guard",
            configurations.len(),
            unguarded.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Latency;

    fn tails(p99_ms: &[f64], count: u64) -> Vec<Figures> {
        let one = |p99_ms: &f64| {
            let latency = Latency { count, p99_ms: *p99_ms, ..Latency::default() };
            Figures { flush: KindFigures { latency, ..KindFigures::default() }, ..Figures::default() }
        };
        p99_ms.iter().map(one).collect()
    }

    fn simulated(p99_ms: &[f64]) -> Configuration {
        Configuration { simulated: tails(p99_ms, 1000), ..Configuration::default() }
    }

    #[test]
    fn one_workload_with_a_far_longer_tail_is_enough() {
        let default = simulated(&[100.0, 1.0]);
        let broken = |ours: &Configuration| broken_by(ours, &default, &["oltp", "mail"]);
        assert_eq!(broken(&simulated(&[209.0, 11.9])), None, "nobody feels 12 ms");
        assert_eq!(
            broken(&simulated(&[220.0, 4000.0])).unwrap(),
            "tail guard: flush p99 on mail 4000 ms, the default's 1 ms"
        );
        let few = Configuration { simulated: tails(&[9000.0, 1.0], 20), ..Configuration::default() };
        assert_eq!(broken(&few), None, "the slowest of twenty is no percentile");
        assert_eq!(broken(&Configuration::default()), None);
    }

    #[test]
    fn measured_is_held_against_measured_and_simulated_against_simulated() {
        let mut default = simulated(&[1000.0]);
        default.measured = tails(&[10.0], 1000);
        let mut ours = simulated(&[1500.0]);
        assert_eq!(broken_by(&ours, &default, &["oltp"]), None, "both as simulated");
        ours.measured = tails(&[500.0], 1000);
        ours.breaks.extend(broken_by(&ours, &default, &["oltp"]));
        assert!(ours.breaks[0].contains("500 ms, the default's 10 ms"), "{:?}", ours.breaks);
        let said = sentence(&[ours, default]).unwrap();
        assert!(said.contains("1 of 2 configurations"), "{said}");
        assert!(said.ends_with("--goal throughput and --goal cost have no such guard"), "{said}");
    }
}
