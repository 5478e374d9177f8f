//! What numbers that were measured may be said to show. Pure; random draws come from a seed, so a report made twice is
//! the same report.

pub mod bootstrap;
pub mod independent;
pub mod paired;
pub mod rank;

pub use bootstrap::{Interval, interval};
pub use independent::compare_logs;
pub use paired::{Compared, compare_pairs, holm};
pub use rank::{kendall_tau_b, separable_tau_b};

/// Fewer rounds decide nothing.
pub const LEAST_ROUNDS: usize = 3;
/// Fewer rounds show no likeness: an interval drawn from them is too narrow, and too few have met a bad stretch.
pub const ALIKE_ROUNDS: usize = 5;
/// Resampled from fewer rounds, what is meant to be a 95 % interval is little more than their range (see
/// [`bootstrap::interval`]).
const INTERVAL_ROUNDS: usize = 6;

/// What the two ends that [`interval`] gives of so many rounds may be called.
pub fn name_of_interval(rounds: usize) -> &'static str {
    if rounds < INTERVAL_ROUNDS { "range" } else { "95 % interval" }
}

/// The value below which a share of the samples lies, between two samples by straight line (R's type 7).
/// `None` without samples; `share` is 0 to 1.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, share)
}

fn quantile_of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * (sorted.len().checked_sub(1)?) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::random::Random;

    use super::*;

    /// Nearly normal, each value keeping that share of the one before it.
    pub fn noise(count: usize, keep: f64, seed: u64) -> Vec<f64> {
        let mut random = Random::new(seed);
        let mut value = 0.0;
        (0..count)
            .map(|_| {
                // The sum of twelve uniform draws is near enough to a normal one.
                let fresh: f64 = (0..12).map(|_| random.below(1000) as f64 / 1000.0).sum::<f64>() - 6.0;
                value = keep * value + fresh;
                value
            })
            .collect()
    }

    #[test]
    fn quantiles_lie_between_samples() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&values), Some(2.5));
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (Some(1.0), Some(4.0)));
        assert_eq!(quantile(&values, 0.1).map(|q| (q * 1000.0).round()), Some(1300.0));
        assert_eq!((quantile(&[], 0.5), median(&[7.0])), (None, Some(7.0)));
    }
}
