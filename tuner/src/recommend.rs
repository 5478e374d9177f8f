//! From measured configurations to one answer, with reasons. Pure: numbers in, a choice and sentences out.
//!
//! The fastest wins, but a difference that may be noise (or that nobody would feel) counts as a tie, and among ties
//! the cheapest wins, then the one with the shortest write delay (least data at risk), then the fewest threads.

use crate::stats::{Noise, Scores, percent};

/// Differences below 3 % are a tie, however exactly they were measured.
const FELT: f64 = 0.0296;
/// Without repetitions: what two runs of one configuration may well differ by.
const NOISE_ASSUMED: f64 = 0.0953;
/// Costs within 5 % of each other are equal.
const COST_TIE: f64 = 1.05;

/// One configuration's results.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its value on each axis.
    pub values: Vec<String>,
    /// For each round, the mean logarithm of the seconds that the workloads took.
    pub scores: Vec<f64>,
    /// For one pass over all workloads.
    pub dollars: f64,
    pub write_delay_ms: u64,
    pub threads: u32,
    /// Operations that failed.
    pub failures: u64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Index of the recommended candidate.
    pub winner: usize,
    /// The best of the others, if any.
    pub runner_up: Option<usize>,
    /// Candidates that cannot be told apart from the fastest, the winner included, fastest first.
    pub tied: Vec<usize>,
    /// Differences (of logarithms) up to this are ties.
    pub tie_bound: f64,
    pub noise: Noise,
}

/// `None` when no candidate completed a round without failures.
pub fn choose(candidates: &[Candidate]) -> Option<Choice> {
    let rounds = candidates.iter().map(|one| one.scores.len()).max()?;
    // A configuration that missed a round was not measured under the same weather.
    let sound: Vec<usize> = (0..candidates.len())
        .filter(|n| candidates[*n].failures == 0 && rounds > 0 && candidates[*n].scores.len() == rounds)
        .collect();
    let rows: Vec<Vec<f64>> = sound.iter().map(|n| candidates[*n].scores.clone()).collect();
    let scores = Scores(&rows);
    let noise = scores.noise();
    let tie_bound = match noise {
        Noise::Unknown => NOISE_ASSUMED,
        Noise::Bound(bound) => bound.max(FELT),
    };
    let mut by_speed: Vec<(f64, usize)> = sound.iter().enumerate().map(|(row, n)| (scores.mean(row), *n)).collect();
    by_speed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let fastest = by_speed.first()?.0;
    let tied: Vec<usize> =
        by_speed.iter().take_while(|(score, _)| score - fastest <= tie_bound).map(|(_, n)| *n).collect();
    let cheapest = tied.iter().map(|n| candidates[*n].dollars).fold(f64::INFINITY, f64::min);
    // `tied` is in order of speed and `min_by_key` keeps the first of equals.
    let winner = tied
        .iter()
        .copied()
        .filter(|n| candidates[*n].dollars <= cheapest * COST_TIE)
        .min_by_key(|n| (candidates[*n].write_delay_ms, candidates[*n].threads))?;
    let runner_up = by_speed.iter().map(|(_, n)| *n).find(|n| *n != winner);
    Some(Choice { winner, runner_up, tied, tie_bound, noise })
}

/// How much longer `other` takes than `than`, as a difference of logarithms over the rounds both have.
pub fn slower_by(other: &Candidate, than: &Candidate) -> f64 {
    let rounds = other.scores.len().min(than.scores.len()).max(1);
    let sum: f64 = other.scores.iter().zip(&than.scores).map(|(a, b)| a - b).sum();
    sum / rounds as f64
}

/// `12 % slower`, `3 % faster`, or that nobody can tell.
pub fn compared(difference: f64, tie_bound: f64) -> String {
    match difference {
        _ if difference.abs() <= tie_bound => "as fast within the noise".into(),
        _ if difference > 0.0 => format!("{:.0} % slower", percent(difference)),
        _ => format!("{:.0} % faster", percent(-difference)),
    }
}

/// For each axis with a choice, what the other values would have meant with everything else as recommended.
pub fn reasons(candidates: &[Candidate], choice: &Choice, axes: &[&str]) -> Vec<(usize, String)> {
    let winner = &candidates[choice.winner];
    let mut reasons = Vec::new();
    for axis in 0..axes.len() {
        let differs_only_here = |other: &Candidate| {
            let pairs = other.values.iter().zip(&winner.values).enumerate();
            pairs.clone().all(|(n, (a, b))| (a == b) != (n == axis)) && other.scores.len() == winner.scores.len()
        };
        let parts: Vec<String> = candidates
            .iter()
            .filter(|other| differs_only_here(other))
            .map(|other| {
                let speed = match other.failures {
                    0 => compared(slower_by(other, winner), choice.tie_bound),
                    failures => format!("not usable ({failures} operations failed)"),
                };
                format!("{} is {speed}{}", other.values[axis], cost_compared(other.dollars, winner.dollars))
            })
            .collect();
        if !parts.is_empty() {
            reasons.push((axis, parts.join("; ")));
        }
    }
    reasons
}

fn cost_compared(other: f64, winner: f64) -> String {
    match other / winner {
        _ if winner <= 0.0 => String::new(),
        ratio if ratio > COST_TIE => format!(" and costs {ratio:.1} times as much in requests"),
        ratio if ratio < 1.0 / COST_TIE => format!(" and costs {:.0} % less in requests", (1.0 - ratio) * 100.0),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(values: &[&str], seconds: &[f64], dollars: f64, write_delay_ms: u64, threads: u32) -> Candidate {
        Candidate {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            scores: seconds.iter().map(|seconds| seconds.ln()).collect(),
            dollars,
            write_delay_ms,
            threads,
            failures: 0,
        }
    }

    #[test]
    fn the_clearly_fastest_wins_at_any_price() {
        let all = [
            candidate(&["64k"], &[1.0, 1.01], 9.0, 250, 20),
            candidate(&["1m"], &[2.0, 2.01], 1.0, 250, 20),
            candidate(&["4m"], &[3.0, 3.01], 0.5, 250, 20),
        ];
        let choice = choose(&all).unwrap();
        assert_eq!((choice.winner, choice.runner_up, &choice.tied[..]), (0, Some(1), &[0][..]));
        let (_, reason) = &reasons(&all, &choice, &["block-size"])[0];
        assert_eq!(
            reason,
            "1m is 100 % slower and costs 89 % less in requests; 4m is 199 % slower and costs 94 % less in requests"
        );
    }

    #[test]
    fn among_ties_cost_then_risk_then_threads_decide() {
        let seconds = |n: f64| [1.0 + n / 100.0, 1.02 - n / 100.0];
        let all = [
            candidate(&["a"], &seconds(0.0), 2.0, 0, 1),
            candidate(&["b"], &seconds(1.0), 1.0, 2000, 8),
            candidate(&["c"], &seconds(2.0), 1.02, 250, 32),
            candidate(&["d"], &seconds(3.0), 1.01, 250, 16),
        ];
        let choice = choose(&all).unwrap();
        assert_eq!(choice.tied.len(), 4, "{choice:?}");
        assert_eq!(choice.winner, 3, "cheap as b and c, less at risk than b, fewer threads than c");
        assert!(choice.runner_up.is_some_and(|n| n != 3));
    }

    #[test]
    fn failures_and_missed_rounds_disqualify() {
        let mut all = vec![
            candidate(&["a"], &[1.0, 1.0], 1.0, 0, 1),
            candidate(&["b"], &[0.5], 1.0, 0, 1),
            candidate(&["c"], &[3.0, 3.0], 1.0, 0, 1),
        ];
        all[0].failures = 1;
        let choice = choose(&all).unwrap();
        assert_eq!((choice.winner, choice.runner_up), (2, None));
        all[2].failures = 1;
        assert_eq!(choose(&all), None);
        assert_eq!(choose(&[candidate(&["a"], &[], 1.0, 0, 1)]), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn one_round_says_that_noise_is_unknown() {
        let all = [candidate(&["a"], &[1.0], 1.0, 0, 1), candidate(&["b"], &[1.08], 0.5, 0, 1)];
        let choice = choose(&all).unwrap();
        assert_eq!((choice.noise, choice.winner), (Noise::Unknown, 1), "8 % is no difference after one round");
    }

    #[test]
    fn free_requests_compare_without_nonsense() {
        let all = [candidate(&["a"], &[1.0, 1.0], 0.0, 0, 1), candidate(&["b"], &[2.0, 2.0], 0.0, 0, 1)];
        let choice = choose(&all).unwrap();
        assert_eq!(reasons(&all, &choice, &["x"])[0].1, "b is 100 % slower");
    }
}
