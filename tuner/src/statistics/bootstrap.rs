//! Intervals by resampling, of measurements that may depend on their neighbours in time.
//!
//! Latencies of one run come in good and bad stretches, so drawing single samples would promise too much. The
//! stationary bootstrap (Politis and Romano, 1994) draws runs of neighbours whose mean length follows the measured
//! autocorrelation; without any it is the ordinary bootstrap.

use s3b_scenarios::random::Random;

use super::{mean, quantile_of_sorted};

/// A figure and the 95 % interval of what it would be over repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Draws enough that the interval's ends move by about a tenth of its width between seeds.
const DRAWS: usize = 1000;

/// The interval of `figure` over `values`, which are in the order they were measured. `None` with fewer than two.
///
/// Of a handful of values it promises too much, since it never leaves their range: of the mean of two it covers 50 %, of three
/// 75 %, of five about 83 % (a test counts). See [`super::name_of_interval`].
pub fn interval(values: &[f64], seed: u64, figure: impl Fn(&mut [f64]) -> f64) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    // A run goes on with this chance. Runs twice as long as the dependence lose little of it at their ends: near the
    // optimum of Politis and White (2004) for an AR(1) of some hundred values.
    let run = 1.0 + 2.0 * (dependence(values) - 1.0);
    let go_on = 1.0 - 1.0 / run;
    let mut random = Random::new(seed);
    let mut drawn = vec![0.0; values.len()];
    let mut figures: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let mut at = 0;
            for (n, slot) in drawn.iter_mut().enumerate() {
                let follows = n > 0 && random.chance(go_on);
                at = if follows { (at + 1) % values.len() } else { random.below(values.len() as u64) as usize };
                *slot = values[at];
            }
            figure(&mut drawn)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let end = |share| quantile_of_sorted(&figures, share).unwrap_or(f64::NAN);
    Some(Interval { value: figure(&mut values.to_vec()), low: end(0.025), high: end(0.975) })
}

/// How many of these are worth one independent sample: `1 + 2 sum of autocorrelations`, by Geyer's initial positive
/// sequence (1992): lags are added in pairs (0, 1), (2, 3) ... as far as the pairs are positive. Of a reversible chain they are.
fn dependence(values: &[f64]) -> f64 {
    let (count, average) = (values.len(), mean(values));
    let variance = values.iter().map(|value| (value - average).powi(2)).sum::<f64>();
    if variance <= 0.0 || count < 4 {
        return 1.0;
    }
    let correlation = |lag: usize| {
        let pairs = values[lag..].iter().zip(values);
        pairs.map(|(later, earlier)| (later - average) * (earlier - average)).sum::<f64>() / variance
    };
    let mut sum = 0.0;
    // Lags beyond a third of the samples rest on too few pairs to mean anything.
    for lag in (0..(count / 3).max(2)).step_by(2) {
        let pair = correlation(lag) + correlation(lag + 1);
        if pair <= 0.0 {
            break;
        }
        sum += pair;
    }
    // Lag 0 is 1, and counts once.
    (2.0 * sum - 1.0).clamp(1.0, count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::noise;

    #[test]
    fn intervals_cover_the_truth_about_nineteen_times_of_twenty() {
        for (keep, least) in [(0.0, 88), (0.7, 80)] {
            let found = |seed: u64| interval(&noise(120, keep, seed), 1, |v| mean(v)).unwrap();
            let covered = (0..100).map(found).filter(|found| (found.low..=found.high).contains(&0.0)).count();
            // 120 such dependent values are worth 21: a textbook interval for independent ones would cover 55.
            assert!((least..=100).contains(&covered), "dependence {keep}: {covered} of 100");
        }
    }

    #[test]
    fn dependent_samples_are_worth_fewer() {
        let (free, tied) = (dependence(&noise(2000, 0.0, 5)), dependence(&noise(2000, 0.8, 5)));
        // An AR(1) of 0.8 is worth (1 - 0.8) / (1 + 0.8) of its samples.
        assert!(free < 1.3 && (5.0..16.0).contains(&tied), "{free} {tied}");
        assert_eq!((dependence(&[]), dependence(&[3.0, 3.0])), (1.0, 1.0));
    }

    #[test]
    fn lags_are_paired_as_geyer_does() {
        // Each sample is 1 -0.5 +0.6 +0.3 of the fresh ones before it: the first three autocorrelations are -0.365, 0.265 and
        // 0.176. Paired as (1, 2), (3, 4) the first pair would be negative and end the sum.
        let fresh = noise(20_000, 0.0, 3);
        let mixed: Vec<f64> =
            fresh.windows(4).map(|last| last[3] - 0.5 * last[2] + 0.6 * last[1] + 0.3 * last[0]).collect();
        let found = dependence(&mixed);
        assert!((1.05..1.3).contains(&found), "{found}, not 1 + 2 x 0.076");
    }

    #[test]
    fn of_a_handful_it_covers_less_than_it_promises() {
        for (count, wanted) in [(2, 50.0), (3, 75.0), (5, 83.0)] {
            let found = |seed: u64| interval(&noise(count, 0.0, seed), 1, |v| mean(v)).unwrap();
            let covered = (0..1000).map(found).filter(|found| (found.low..=found.high).contains(&0.0)).count();
            assert!((covered as f64 / 10.0 - wanted).abs() < 4.0, "of {count}: {covered} in 1000");
            assert_eq!(super::super::name_of_interval(count), "range");
        }
    }

    #[test]
    fn a_seed_fixes_the_interval_and_constants_have_none() {
        let values = noise(50, 0.3, 9);
        assert_eq!(interval(&values, 4, |v| mean(v)), interval(&values, 4, |v| mean(v)));
        assert_eq!(interval(&[2.0; 9], 1, |v| mean(v)), Some(Interval { value: 2.0, low: 2.0, high: 2.0 }));
        assert_eq!(interval(&[2.0], 1, |v| mean(v)), None);
    }
}
