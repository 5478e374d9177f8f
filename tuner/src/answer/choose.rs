//! Which configuration. The block size first, as it is permanent: the one whose worst case over all workloads is the
//! smallest. Then the rest: the best score, and among what cannot be told apart the cheapest, then the fewest bytes at
//! risk, then the least memory, then the fewest threads.

use super::goal::GoalKind;
use crate::outcome::{Answer, Configuration, Figures, PriceTable, Regret};
use crate::prices::Reader;

/// Differences below 3 % are a tie, however exactly they were computed: nobody feels them, and a model is no truer.
pub const FELT: f64 = 1.03;
/// Costs within 5 % of each other are equal.
pub const COST_TIE: f64 = 1.05;

/// What is chosen from, and how.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub configurations: &'a [Configuration],
    /// Of the workloads; they add up to 1.
    pub weights: &'a [f64],
    pub goal: GoalKind,
    pub prices: &'a PriceTable,
    pub reader: Reader,
    /// Only these may be recommended (those that were confirmed, or all).
    pub pool: &'a [usize],
    /// The place of the block size among the values, if it varies.
    pub block_size: Option<usize>,
    /// The place of the threads among the values, if they vary.
    pub threads: Option<usize>,
    /// What a mount does without flags.
    pub default: Option<usize>,
    /// Ratios of scores up to this are ties; at least [`FELT`] is used.
    pub tie: f64,
}

/// The losses of every configuration on every workload, each as a ratio to the best of that workload: what was measured to
/// the best measured, what was only simulated to the best simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    ratios: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Scores {
    /// `f64::INFINITY` for what was not run or is not sound. `usable`: those that count for "the best".
    pub fn new(question: &Question<'_>, usable: &[usize]) -> Self {
        let loss = |runs: &[Figures], workload: usize| {
            let of = |run: &Figures| question.goal.loss(run, question.prices.month_of(run, question.reader));
            runs.get(workload).map(of).filter(|loss| loss.is_finite()).unwrap_or(f64::INFINITY)
        };
        let mut ratios = vec![Vec::new(); question.configurations.len()];
        for workload in 0..question.weights.len() {
            let best = |of: fn(&Configuration) -> &[Figures]| {
                let losses = usable.iter().map(|n| loss(of(&question.configurations[*n]), workload));
                losses.fold(f64::INFINITY, f64::min)
            };
            let (simulated, measured) = (best(|one| &one.simulated), best(|one| &one.measured));
            for (row, one) in ratios.iter_mut().zip(question.configurations) {
                let best = if one.measured.is_empty() { simulated } else { measured };
                row.push(if best.is_finite() { loss(one.runs(), workload) / best } else { f64::INFINITY });
            }
        }
        Self { ratios, weights: question.weights.to_vec() }
    }

    /// 1 is the best of everything on every workload; the weighted geometric mean of the ratios.
    pub fn of(&self, configuration: usize) -> f64 {
        let row = &self.ratios[configuration];
        row.iter().zip(&self.weights).map(|(ratio, weight)| ratio.ln() * weight).sum::<f64>().exp()
    }

    /// On one workload.
    pub fn on(&self, configuration: usize, workload: usize) -> f64 {
        self.ratios[configuration][workload]
    }
}

/// The scores, and the answer without its sentences. `None`: nothing in the pool keeps the constraints.
pub fn choose(question: &Question<'_>) -> (Scores, Option<Answer>) {
    let sound = |n: &usize| question.configurations[*n].breaks.is_empty();
    let usable: Vec<usize> = question.pool.iter().copied().filter(sound).collect();
    let scores = Scores::new(question, &usable);
    let answer = pick(question, &usable, &scores);
    (scores, answer)
}

fn pick(question: &Question<'_>, usable: &[usize], scores: &Scores) -> Option<Answer> {
    let tie = question.tie.max(FELT);
    let block_sizes = block_sizes(question, usable, scores);
    let same_block = |n: &usize| match (question.block_size, block_sizes.first()) {
        (Some(axis), Some(best)) => question.configurations[*n].values[axis] == best.block_size,
        _ => true,
    };
    let mut ranked: Vec<usize> = usable.iter().copied().filter(same_block).collect();
    ranked.sort_by(|a, b| scores.of(*a).total_cmp(&scores.of(*b)));
    let best = scores.of(*ranked.first()?);
    if !best.is_finite() {
        return None;
    }
    let tied: Vec<usize> = ranked.iter().copied().filter(|n| scores.of(*n) <= best * tie).collect();
    let summary = |n: usize| &question.configurations[n].summary;
    let cheapest_tied = tied.iter().map(|n| summary(*n).dollars_per_month).fold(f64::INFINITY, f64::min);
    let threads = |n: usize| {
        let value = question.threads.and_then(|axis| question.configurations[n].values.get(axis)?.parse().ok());
        value.unwrap_or(0u64)
    };
    // `tied` is in order of score and `min_by_key` keeps the first of equals.
    let recommended = tied
        .iter()
        .copied()
        .filter(|n| summary(*n).dollars_per_month <= cheapest_tied * COST_TIE)
        .min_by_key(|n| (summary(*n).at_risk_bytes, summary(*n).memory_bytes, threads(*n)))?;
    let least = |key: fn(&Configuration) -> f64| {
        let by = |a: &&usize, b: &&usize| {
            key(&question.configurations[**a])
                .total_cmp(&key(&question.configurations[**b]))
                .then(scores.of(**a).total_cmp(&scores.of(**b)))
        };
        usable.iter().min_by(by).copied()
    };
    let per_workload = (0..question.weights.len()).map(|workload| {
        let on = |n: &&usize| scores.on(**n, workload);
        ranked.iter().min_by(|a, b| on(a).total_cmp(&on(b))).copied().unwrap_or(recommended)
    });
    Some(Answer {
        recommended,
        cheapest: least(|one| one.summary.dollars_per_month)?,
        safest: least(|one| one.summary.at_risk_bytes as f64)?,
        default: question.default,
        per_workload: per_workload.collect(),
        tied,
        block_sizes,
        ..Answer::default()
    })
}

/// Every block size with a usable configuration, the smallest worst case first; within a tie, the better score.
fn block_sizes(question: &Question<'_>, usable: &[usize], scores: &Scores) -> Vec<Regret> {
    let Some(axis) = question.block_size else { return Vec::new() };
    let mut sizes: Vec<&String> = Vec::new();
    for n in usable {
        let value = &question.configurations[*n].values[axis];
        if !sizes.contains(&value) {
            sizes.push(value);
        }
    }
    let mut regrets: Vec<(f64, Regret)> = sizes
        .into_iter()
        .map(|size| {
            let with = || usable.iter().copied().filter(|n| question.configurations[*n].values[axis] == *size);
            let least = |key: &dyn Fn(usize) -> f64| with().map(key).fold(f64::INFINITY, f64::min);
            let per_workload: Vec<f64> =
                (0..question.weights.len()).map(|workload| least(&|n| scores.on(n, workload)) - 1.0).collect();
            let worst = per_workload.iter().copied().fold(0.0, f64::max);
            (least(&|n| scores.of(n)), Regret { block_size: size.clone(), per_workload, worst })
        })
        .collect();
    // A step function of the worst case keeps the order total: what falls into the same step is decided by score.
    let step = |worst: f64| ((1.0 + worst).ln() / FELT.ln()).floor();
    regrets
        .sort_by(|(score_a, a), (score_b, b)| step(a.worst).total_cmp(&step(b.worst)).then(score_a.total_cmp(score_b)));
    regrets.into_iter().map(|(_, regret)| regret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Summary;

    /// Seconds on each workload, dollars, bytes at risk.
    fn configuration(values: &[&str], seconds: &[f64], dollars: f64, at_risk_bytes: u64) -> Configuration {
        let run = |seconds: &f64| Figures { seconds: *seconds, ..Figures::default() };
        Configuration {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            simulated: seconds.iter().map(run).collect(),
            summary: Summary { dollars_per_month: dollars, at_risk_bytes, ..Summary::default() },
            ..Configuration::default()
        }
    }

    fn ask(configurations: &[Configuration], workloads: usize) -> Option<Answer> {
        let pool: Vec<usize> = (0..configurations.len()).collect();
        let weights = vec![1.0 / workloads as f64; workloads];
        let question = Question {
            configurations,
            weights: &weights,
            goal: GoalKind::Throughput,
            prices: &PriceTable::standard(),
            reader: Reader::InRegion,
            pool: &pool,
            block_size: Some(0),
            threads: Some(1),
            default: None,
            tie: 1.0,
        };
        choose(&question).1
    }

    #[test]
    fn the_block_size_with_the_smallest_worst_case_wins_over_the_best_mean() {
        let all = [
            configuration(&["64k", "8"], &[1.0, 9.0], 1.0, 0),
            configuration(&["1m", "8"], &[2.0, 6.0], 1.0, 0),
            configuration(&["4m", "8"], &[9.0, 5.0], 1.0, 0),
        ];
        let answer = ask(&all, 2).unwrap();
        assert_eq!(answer.recommended, 0, "worst case 80 %, against 100 % and 800 %");
        let order: Vec<&str> = answer.block_sizes.iter().map(|one| &*one.block_size).collect();
        assert_eq!(order, ["64k", "1m", "4m"]);
        assert!((answer.block_sizes[1].worst - 1.0).abs() < 1e-9 && answer.per_workload == [0, 0]);
    }

    #[test]
    fn among_ties_cost_then_risk_then_threads_decide() {
        let all = [
            configuration(&["1m", "8"], &[1.0], 20.0, 0),
            configuration(&["1m", "16"], &[1.01], 10.0, 9 << 20),
            configuration(&["1m", "64"], &[1.02], 10.4, 1 << 20),
            configuration(&["1m", "32"], &[1.02], 10.4, 1 << 20),
            configuration(&["1m", "4"], &[1.2], 1.0, 0),
        ];
        let answer = ask(&all, 1).unwrap();
        assert_eq!((answer.recommended, answer.cheapest, answer.safest), (3, 4, 0));
        assert_eq!(answer.tied, [0, 1, 2, 3]);
    }

    #[test]
    fn what_breaks_a_constraint_or_did_not_run_is_never_recommended() {
        let mut all = vec![configuration(&["64k", "8"], &[1.0], 1.0, 0), configuration(&["1m", "8"], &[2.0], 1.0, 0)];
        all[0].breaks.push("flush.p99<1ms: it is 2.0 ms".into());
        assert_eq!(ask(&all, 1).unwrap().recommended, 1);
        all[1].simulated.clear();
        assert_eq!(ask(&all, 1), None);
        assert_eq!(ask(&[], 1), None);
    }

    #[test]
    fn what_was_measured_counts_before_what_was_simulated() {
        let mut all = vec![configuration(&["1m", "8"], &[1.0], 1.0, 0), configuration(&["1m", "16"], &[2.0], 1.0, 0)];
        for (one, seconds) in all.iter_mut().zip([3.0, 1.5]) {
            one.measured = vec![Figures { seconds, ..Figures::default() }];
        }
        assert_eq!(ask(&all, 1).unwrap().recommended, 1);
    }

    #[test]
    fn what_was_only_simulated_is_scored_against_simulations() {
        let mut all = vec![configuration(&["1m", "8"], &[1.0], 1.0, 0), configuration(&["1m", "16"], &[1.2], 1.0, 0)];
        all[0].measured = vec![Figures { seconds: 3.0, ..Figures::default() }];
        let question = Question {
            configurations: &all,
            weights: &[1.0],
            goal: GoalKind::Throughput,
            prices: &PriceTable::standard(),
            reader: Reader::InRegion,
            pool: &[0],
            block_size: Some(0),
            threads: None,
            default: None,
            tie: 1.0,
        };
        let (scores, answer) = choose(&question);
        assert_eq!(answer.unwrap().recommended, 0);
        assert!(scores.of(0) == 1.0 && (scores.of(1) - 1.2).abs() < 1e-9, "{}", scores.of(1));
    }
}
