//! Interleaved pairs: two contestants measured in turn, so that whatever the machine does meanwhile happens to both.

use serde::Serialize;

/// Resamples of one bootstrap; the interval's ends move by less than a hundredth of its width beyond this.
const RESAMPLES: usize = 10_000;

/// The ratio of two contestants over several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Geometric mean of the rounds' ratios.
    pub mean: f64,
    /// 95 % interval of that mean, by bootstrap over rounds.
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    /// Of `ours` to `theirs`, round by round. The same input gives the same interval.
    ///
    /// # Panics
    /// Without rounds, or with rounds that do not pair up.
    pub fn of(ours: &[f64], theirs: &[f64]) -> Self {
        assert!(!ours.is_empty() && ours.len() == theirs.len(), "rounds come in pairs");
        let logs: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| (a / b).ln()).collect();
        let mut state = 0x9E37_79B9_7F4A_7C15;
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let picked =
                    logs.iter().map(|_| logs[(s3b_testkit::xorshift(&mut state) % logs.len() as u64) as usize]);
                mean(picked, logs.len())
            })
            .collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[((RESAMPLES - 1) as f64 * share) as usize].exp();
        Self { mean: mean(logs.iter().copied(), logs.len()).exp(), low: at(0.025), high: at(0.975) }
    }
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.sum::<f64>() / count as f64
}

/// The middle value (the lower one of two).
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_ratio_has_no_width() {
        let ratio = Ratio::of(&[8.0, 4.0, 2.0], &[10.0, 5.0, 2.5]);
        for value in [ratio.mean, ratio.low, ratio.high] {
            assert!((value - 0.8).abs() < 1e-12, "{ratio:?}");
        }
    }

    #[test]
    fn noise_widens_the_interval_around_the_mean() {
        let ours = [1.0, 0.5, 2.0, 1.1, 0.9, 0.8, 1.2, 1.0, 1.0];
        let ratio = Ratio::of(&ours, &[1.0; 9]);
        assert!(ratio.low < ratio.mean && ratio.mean < ratio.high, "{ratio:?}");
        assert!(ratio.low > 0.5 && ratio.high < 2.0, "{ratio:?}");
        assert_eq!(ratio, Ratio::of(&ours, &[1.0; 9]), "the seed is fixed");
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }
}
