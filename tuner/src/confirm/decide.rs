//! What rounds say: the best, how it differs from the others, and whether more rounds could change that. Pure.

use super::pool::{Part, pool};
use super::{Plan, Round, Wanted};
use crate::answer::choose::FELT;
use crate::outcome::{Difference, Figures};
use crate::statistics::{ALIKE_ROUNDS, LEAST_ROUNDS, compare_pairs, holm, quantile};

/// Chance of a difference by luck, over all comparisons together.
const SIGNIFICANT: f64 = 0.05;

/// For each case, the figures of a slot over these rounds.
pub(super) fn figures(plan: &Plan, rounds: &[&Round], slot: usize) -> Vec<Figures> {
    let of_case = |(number, case): (usize, &super::Case)| {
        let runs = rounds.iter().flat_map(|round| &round.runs).filter(|run| run.slot == slot);
        let parts: Vec<Part<'_>> = runs
            .map(|run| (run, &plan.pieces[run.piece]))
            .filter(|(_, piece)| piece.case == number)
            .map(|(run, piece)| Part {
                piece,
                measured: &run.measured,
                ledger: &run.ledger,
                at_risk_bytes: run.at_risk_bytes,
            })
            .collect();
        let predicted = &plan.predicted[if slot + 1 == plan.slots() { 0 } else { slot }];
        let pooled = pool(&parts, rounds.len() as u32, case.pace, plan.idle_seconds[number]);
        Figures { stored_bytes: predicted[number].stored_bytes, ..pooled }
    };
    plan.wanted.cases.iter().enumerate().map(of_case).collect()
}

/// The goal's loss of one case.
pub(super) fn loss_of(wanted: &Wanted, one: &Figures) -> f64 {
    wanted.goal.loss(one, wanted.prices.month_of(one, wanted.reader))
}

/// The goal's loss of each case.
pub(super) fn losses(plan: &Plan, figures: &[Figures]) -> Vec<f64> {
    figures.iter().map(|one| loss_of(&plan.wanted, one)).collect()
}

/// One number for a slot in one round: the geometric mean over the cases by their weights.
pub(super) fn loss(plan: &Plan, round: &Round, slot: usize) -> f64 {
    let of_cases = losses(plan, &figures(plan, &[round], slot));
    let logs = of_cases.iter().zip(&plan.wanted.cases).map(|(loss, case)| loss.max(1e-12).ln() * case.weight);
    logs.sum::<f64>().exp()
}

/// The others against `best`; `other` is the place among the candidates. Empty with fewer than two rounds.
pub(super) fn differences(losses: &[Vec<f64>], best: usize, seed: u64) -> Vec<Difference> {
    let others = (0..losses.len()).filter(|other| *other != best);
    let compared: Vec<_> =
        others.filter_map(|other| Some((other, compare_pairs(&losses[best], &losses[other], seed)?))).collect();
    let corrected = holm(&compared.iter().map(|(_, one)| one.p).collect::<Vec<_>>());
    let difference = |((other, one), p): (&(usize, crate::statistics::Compared), f64)| Difference {
        other: *other,
        ratio: one.ratio.value,
        low: one.ratio.low,
        high: one.ratio.high,
        p,
    };
    compared.iter().zip(corrected).map(difference).collect()
}

/// Whether every other is surely worse than the one to be recommended, or so near that it does not matter. What was
/// chosen for another reason than its mean, such as the worst case of its block size, is never decided early.
pub(super) fn is_decided(losses: &[Vec<f64>], best: Option<usize>, seed: u64) -> bool {
    let Some(best) = best.filter(|best| losses[*best].len() >= LEAST_ROUNDS) else { return false };
    let settled = |one: &Difference| {
        let worse = one.p < SIGNIFICANT && one.ratio > 1.0;
        let alike = losses[best].len() >= ALIKE_ROUNDS && one.low > 1.0 / FELT && one.high < FELT;
        worse || alike
    };
    differences(losses, best, seed).iter().all(settled)
}

/// What is known when it is decided, as a sentence.
pub(super) fn why_decided(candidates: usize, rounds: usize, of: u32) -> String {
    let known = if candidates < 2 {
        "there is nothing else to choose".to_owned()
    } else {
        let felt = (FELT - 1.0) * 100.0;
        format!("every other is worse (p < {SIGNIFICANT}) or, by the 95 % interval of these rounds, within {felt:.0} %")
    };
    format!("ended after {rounds} of {of} rounds: {known}")
}

/// What two runs of the first candidate differ by: 95th percentile over rounds and cases.
pub(super) fn noise_floor(plan: &Plan, rounds: &[&Round]) -> Option<f64> {
    let mut found = Vec::new();
    for round in rounds {
        let of = |slot| losses(plan, &figures(plan, &[round], slot));
        let pairs = of(0).into_iter().zip(of(plan.slots() - 1));
        found.extend(pairs.map(|(a, b)| (a / b).max(b / a) - 1.0));
    }
    quantile(&found, 0.95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_the_rest_is_worse_or_alike() {
        let steady = |loss: f64| vec![loss; 8];
        // 2 of 256 patterns: p = 0.0078, for three comparisons 0.023.
        let first = |losses: &[Vec<f64>]| is_decided(losses, Some(0), 1);
        assert!(first(&[steady(1.0), steady(1.2), steady(1.01), steady(2.0)]));
        assert!(first(&[vec![1.0; 5], vec![1.01; 5]]), "nobody feels one in a hundred");
        assert!(!first(&[vec![1.0; 4], vec![1.01; 4]]), "four rounds show no likeness");
        assert!(first(&[vec![1.0; 3]]) && !first(&[vec![1.0; 2]]), "nothing else to choose");
        assert!(!first(&[vec![1.0; 3], vec![1.2; 3]]), "three rounds prove no difference");
        assert!(!first(&[vec![1.0; 2], vec![1.0; 2]]));
        assert!(!first(&[steady(1.2), steady(1.0)]), "another has the better mean");
        let wild = vec![0.5, 2.0, 0.7, 1.5, 0.6, 1.8, 1.0, 1.1];
        assert!(!first(&[steady(1.0), wild]));
        assert!(!first(&[vec![], vec![]]) && !is_decided(&[steady(1.0)], None, 1));
    }

    #[test]
    fn differences_are_those_of_the_others() {
        let found = differences(&[vec![2.0, 2.0], vec![1.0, 1.0]], 1, 1);
        assert!(found.len() == 1 && found[0].other == 0 && (found[0].ratio - 2.0).abs() < 1e-9);
    }
}
