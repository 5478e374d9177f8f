//! Two configurations measured in the same rounds: is one really faster, and by how much?
//!
//! Works on the differences of logarithms within rounds, so a slow round hits both sides and cancels. The test flips
//! the signs of the differences (exactly for up to 2^14 patterns): it assumes nothing of their shape.

use s3b_scenarios::random::Random;

use super::{Interval, interval, mean};

/// Other against ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Their value / ours, geometric mean over the rounds, with its 95 % interval.
    pub ratio: Interval,
    /// Chance of a difference at least this large if there were none (two-sided).
    pub p: f64,
}

/// Rounds up to which every pattern of signs is tried.
const EXACT: usize = 14;
const DRAWS: usize = 1 << EXACT;

/// Compares positive values of the same rounds. `None` with fewer than two pairs of them.
pub fn compare_pairs(ours: &[f64], theirs: &[f64], seed: u64) -> Option<Compared> {
    let pairs = ours.iter().zip(theirs).filter(|(a, b)| **a > 0.0 && **b > 0.0);
    let logs: Vec<f64> = pairs.map(|(a, b)| (b / a).ln()).collect();
    let of_logs = interval(&logs, seed, |values| mean(values))?;
    let ratio = Interval { value: of_logs.value.exp(), low: of_logs.low.exp(), high: of_logs.high.exp() };
    Some(Compared { ratio, p: sign_flips(&logs, seed) })
}

fn sign_flips(differences: &[f64], seed: u64) -> f64 {
    let seen = differences.iter().sum::<f64>().abs();
    // Sums that differ by rounding only are equal.
    let as_large = |sum: f64| sum.abs() >= seen * (1.0 - 1e-12);
    let flipped = |signs: u64, part: &[f64]| -> f64 {
        part.iter().enumerate().map(|(n, d)| if signs >> n & 1 == 1 { -d } else { *d }).sum()
    };
    if differences.len() <= EXACT {
        let patterns = 1u64 << differences.len();
        let extreme = (0..patterns).filter(|signs| as_large(flipped(*signs, differences))).count();
        return extreme as f64 / patterns as f64;
    }
    let mut random = Random::new(seed);
    let extreme =
        (0..DRAWS).filter(|_| as_large(differences.chunks(64).map(|part| flipped(random.bits(), part)).sum())).count();
    (extreme + 1) as f64 / (DRAWS + 1) as f64
}

/// Holm's step-down correction: p-values as if each had been the only test, in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, n) in order.into_iter().enumerate() {
        highest = highest.max(p[n] * (p.len() - rank) as f64).min(1.0);
        corrected[n] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_hits_both_and_cancels() {
        let ours = [1.0, 10.0, 2.0, 5.0, 1.0, 3.0, 4.0, 2.0];
        let theirs = ours.map(|value| value * 1.25);
        let compared = compare_pairs(&ours, &theirs, 1).unwrap();
        assert!((compared.ratio.value - 1.25).abs() < 1e-9 && (compared.ratio.low - 1.25).abs() < 1e-9);
        assert!((compared.p - 2.0 / 256.0).abs() < 1e-12, "all eight on one side: {}", compared.p);
    }

    #[test]
    fn what_may_be_chance_is_not_significant() {
        let compared = compare_pairs(&[1.0, 1.0, 1.0, 1.0], &[1.1, 0.9, 1.05, 0.96], 1).unwrap();
        assert!(compared.p > 0.5 && (compared.ratio.low..=compared.ratio.high).contains(&1.0), "{compared:?}");
        let three = compare_pairs(&[1.0; 3], &[2.0; 3], 1).unwrap();
        assert_eq!(three.p, 0.25, "three rounds can never show more than one in four");
        assert_eq!(compare_pairs(&[1.0], &[2.0], 1), None);
        assert_eq!(compare_pairs(&[0.0, 1.0], &[2.0, 2.0], 1), None, "a zero has no logarithm");
    }

    #[test]
    fn many_rounds_are_drawn_and_agree_with_the_exact_test() {
        let theirs: Vec<f64> = (0..20).map(|n| 1.0 + if n % 4 == 0 { -0.02 } else { 0.02 }).collect();
        let p = compare_pairs(&[1.0; 20], &theirs, 3).unwrap().p;
        // 15 or more of 20 on one side: binomial, two-sided 0.0414.
        assert!((p - 0.0414).abs() < 0.008, "{p}");
    }

    #[test]
    fn holm_is_that_of_the_textbook() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        let wanted = [0.03, 0.06, 0.06, 0.02];
        assert!(corrected.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{corrected:?}");
        assert_eq!((holm(&[0.9, 0.8]), holm(&[])), (vec![1.0, 1.0], vec![]));
    }
}
