//! Whether what was measured is what was predicted. Pure; compares, never chooses.
//!
//! A figure is met when it is off by no more than the larger of the model's own bound and what two runs of one
//! configuration differ by, or when the prediction lies inside the interval of what was measured. What is too small to matter
//! on both sides is not judged.

use super::{Confirmed, Plan, Wanted, decide};
use crate::answer::goal::P99_SAMPLES;
use crate::outcome::{Confirmation, Figures, KindFigures, Trust, Verdict};
use crate::promises::{self, FEW_REQUESTS, P50_SAMPLES, UNFELT_MS};
use crate::simulate::Pace;
use crate::statistics::{interval, mean, median, separable_tau_b};

/// Of a workload that runs as fast as it goes: a shorter one is over before anything shows.
const UNFELT_SECONDS: f64 = 0.005;

struct Metric {
    name: &'static str,
    of: fn(&Wanted, &Figures) -> Option<f64>,
    bound: f64,
    /// Differences up to this are none, and figures up to this not worth a row.
    alike: f64,
    /// Meaningless without a model of the store.
    is_time: bool,
}

/// Of workloads that run as fast as they can.
const SECONDS: &str = "seconds";
/// Of workloads that run by their own times, which take as long however slow the store is.
const LOSS: &str = "loss";
/// What is off is the difference, and a small ratio matters as much as a large one.
const HIT_RATIO: &str = "hit ratio";

const METRICS: [Metric; 9] = [
    Metric {
        name: SECONDS,
        of: |_, one| Some(one.seconds),
        bound: promises::THROUGHPUT,
        alike: UNFELT_SECONDS,
        is_time: true,
    },
    Metric {
        name: LOSS,
        of: |wanted, one| Some(decide::loss_of(wanted, one)),
        bound: promises::P99,
        alike: 0.0,
        is_time: true,
    },
    Metric { name: "read.p50", of: |_, one| p50(&one.read), bound: promises::P50, alike: UNFELT_MS, is_time: true },
    Metric { name: "read.p99", of: |_, one| p99(&one.read), bound: promises::P99, alike: UNFELT_MS, is_time: true },
    Metric { name: "flush.p50", of: |_, one| p50(&one.flush), bound: promises::P50, alike: UNFELT_MS, is_time: true },
    Metric { name: "flush.p99", of: |_, one| p99(&one.flush), bound: promises::P99, alike: UNFELT_MS, is_time: true },
    Metric {
        name: "puts",
        of: |_, one| Some(one.ledger.store.puts as f64),
        bound: promises::REQUESTS,
        alike: FEW_REQUESTS,
        is_time: false,
    },
    Metric {
        name: "gets",
        of: |_, one| Some(one.ledger.store.gets as f64),
        bound: promises::REQUESTS,
        alike: FEW_REQUESTS,
        is_time: false,
    },
    Metric { name: HIT_RATIO, of: |_, one| hit_ratio(one), bound: 0.0, alike: promises::HIT_RATIO, is_time: false },
];

fn p50(kind: &KindFigures) -> Option<f64> {
    (kind.latency.count >= P50_SAMPLES).then_some(kind.latency.p50_ms)
}

fn p99(kind: &KindFigures) -> Option<f64> {
    (kind.latency.count >= P99_SAMPLES).then_some(kind.latency.p99_ms)
}

fn hit_ratio(figures: &Figures) -> Option<f64> {
    let cache = &figures.ledger.cache;
    let reads = cache.read_hits + cache.read_misses;
    (reads > 0).then(|| cache.read_hits as f64 / reads as f64)
}

/// See the module.
pub fn judge(plan: &Plan, confirmed: &Confirmed) -> Trust {
    let chosen: Vec<_> = confirmed.rounds.iter().filter(|round| !round.hold_out).collect();
    let mut trust = Trust {
        noise_floor: confirmed.noise_floor,
        differences: confirmed.differences.clone(),
        hold_out: confirmed.hold_out,
        notes: confirmed.notes.clone(),
        ..Trust::default()
    };
    if chosen.is_empty() {
        trust.notes.push("nothing was run for real: no round came to its end".into());
        return trust;
    }
    let modelled = plan.wanted.model.is_some();
    // For each candidate, round and case.
    let by_round: Vec<Vec<Vec<Figures>>> = (0..plan.wanted.candidates.len())
        .map(|slot| chosen.iter().map(|round| decide::figures(plan, &[round], slot)).collect())
        .collect();
    let twin: Vec<Vec<Figures>> =
        chosen.iter().map(|round| decide::figures(plan, &[round], plan.slots() - 1)).collect();
    for metric in METRICS.iter().filter(|metric| modelled || !metric.is_time) {
        for case in (0..plan.wanted.cases.len()).filter(|case| suits(metric, plan.wanted.cases[*case].pace)) {
            let of = |figures: &[Figures]| (metric.of)(&plan.wanted, &figures[case]);
            let noise = noise(&of, &by_round[0], &twin);
            let rows = (0..by_round.len()).filter_map(|slot| {
                let predicted = of(&plan.predicted[slot])?;
                // Too few samples in any round are too few.
                let values: Vec<f64> = by_round[slot].iter().map(|cases| of(cases)).collect::<Option<_>>()?;
                let pooled = of(&confirmed.measured[slot])?;
                // The goal takes the highest percentile that the samples show: pooled, another than was predicted.
                let measured = if metric.name == LOSS { mean(&values) } else { pooled };
                if metric.name != HIT_RATIO && predicted.max(measured) <= metric.alike {
                    return None;
                }
                let row = confirmation(metric, predicted, measured, &values, noise, plan.wanted.seed);
                let configuration = plan.wanted.candidates[slot].configuration;
                Some(Confirmation { configuration, workload: plan.wanted.cases[case].workload, ..row })
            });
            trust.confirmations.extend(rows);
        }
    }
    if !modelled {
        trust.verdict = Verdict::MeasuredOnly;
        return trust;
    }
    of_model(plan, confirmed, trust)
}

/// Whether a metric says anything at this pace.
fn suits(metric: &Metric, pace: Pace) -> bool {
    match metric.name {
        SECONDS => pace != Pace::Schedule,
        LOSS => pace == Pace::Schedule,
        _ => true,
    }
}

/// What two runs of one configuration differ by in a metric: the largest share.
fn noise(of: &dyn Fn(&[Figures]) -> Option<f64>, first: &[Vec<Figures>], twin: &[Vec<Figures>]) -> f64 {
    let of = |figures: &[Figures]| of(figures).filter(|value| *value > 0.0);
    let pairs = first.iter().zip(twin).filter_map(|(a, b)| of(a).zip(of(b)));
    pairs.map(|(a, b)| (a / b).max(b / a) - 1.0).fold(0.0, f64::max)
}

fn confirmation(metric: &Metric, predicted: f64, measured: f64, values: &[f64], noise: f64, seed: u64) -> Confirmation {
    let found = interval(values, seed, |values| mean(values));
    let (low, high) = found.map_or((measured, measured), |found| (found.low.min(measured), found.high.max(measured)));
    let off = (predicted - measured).abs();
    let bound = metric.bound.max(noise) * measured.abs();
    let within_bounds = off <= bound.max(metric.alike) || (low..=high).contains(&predicted);
    let metric = metric.name.to_owned();
    Confirmation { metric, predicted, measured, low, high, within_bounds, ..Confirmation::default() }
}

/// The verdict on a model.
fn of_model(plan: &Plan, confirmed: &Confirmed, mut trust: Trust) -> Trust {
    let errors: Vec<f64> = trust
        .confirmations
        .iter()
        .filter(|row| [SECONDS, LOSS].contains(&&*row.metric) && row.measured > 0.0)
        .map(|row| (row.predicted / row.measured - 1.0).abs())
        .collect();
    trust.model_error = median(&errors).map(|middle| [middle, errors.iter().copied().fold(0.0, f64::max)]);
    trust.rank_agreement = rank_agreement(plan, confirmed);
    let met = trust.confirmations.iter().filter(|row| row.within_bounds).count();
    let all = trust.confirmations.len();
    let in_order = trust.rank_agreement.is_none_or(|tau| tau >= promises::ORDER);
    // Its predictions of what did not run may be believed, or only what was measured.
    let trusted = met as f64 >= promises::SHARE * all as f64 && all > 0 && in_order;
    trust.verdict = if trusted { Verdict::Confirmed } else { Verdict::ModelNotTrusted };
    if !trusted {
        let worst =
            trust.confirmations.iter().filter(|row| !row.within_bounds).max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let worst = worst.map_or_else(String::new, |row| {
            format!(
                "; the worst: {} of configuration {}, {:.3} predicted, {:.3} measured",
                row.metric, row.configuration, row.predicted, row.measured
            )
        });
        let order = if in_order { "" } else { ", and the order differs" };
        let nothing = "no figure was large enough to judge the model by";
        trust.notes.push(if all == 0 {
            nothing.to_owned()
        } else {
            format!("{} of {all} figures are beyond the model's bounds{order}{worst}", all - met)
        });
    }
    trust
}

fn ratio(row: &Confirmation) -> f64 {
    let [a, b] = [row.predicted, row.measured].map(|value| value.abs().max(1e-9));
    (a / b).max(b / a)
}

/// Of the losses, over pairs that differ by more than the noise. Those of the rounds, not of all rounds pooled: more samples
/// would show a higher percentile than the one that was predicted.
fn rank_agreement(plan: &Plan, confirmed: &Confirmed) -> Option<f64> {
    let weighted = |figures: &[Figures]| {
        let losses = decide::losses(plan, figures);
        let logs = losses.iter().zip(&plan.wanted.cases).map(|(loss, case)| loss.max(1e-12).ln() * case.weight);
        logs.sum::<f64>()
    };
    let of_rounds = |losses: &Vec<f64>| mean(&losses.iter().map(|loss| loss.ln()).collect::<Vec<_>>());
    let predicted: Vec<f64> = plan.predicted.iter().map(|figures| weighted(figures)).collect();
    let measured: Vec<f64> = confirmed.losses.iter().map(of_rounds).collect();
    let noise = (1.0 + confirmed.noise_floor.unwrap_or(0.0)).ln().max(crate::answer::choose::FELT.ln());
    separable_tau_b(&predicted, &measured, |a, b| (measured[a] - measured[b]).abs() > noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Latency;

    #[test]
    fn a_median_needs_samples() {
        let kind = |count| KindFigures {
            latency: Latency { count, p50_ms: 7.0, ..Latency::default() },
            ..KindFigures::default()
        };
        assert_eq!([P50_SAMPLES - 1, P50_SAMPLES].map(|count| p50(&kind(count))), [None, Some(7.0)]);
    }
}
