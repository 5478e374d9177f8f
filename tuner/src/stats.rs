//! What a difference between configurations is worth, given how much repetitions differ.
//!
//! Every round runs every configuration once, so a slow minute hits a whole round and cancels out: what is left after
//! taking away each configuration's mean and each round's mean is noise.

/// Scores of configurations (rows) in rounds (columns), each a mean logarithm of seconds.
pub struct Scores<'a>(pub &'a [Vec<f64>]);

/// What the repetitions say about noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Fewer than two rounds, or a single configuration.
    Unknown,
    /// Differences (of logarithms) smaller than this are noise in 19 of 20 cases.
    Bound(f64),
}

impl Scores<'_> {
    pub fn mean(&self, row: usize) -> f64 {
        mean(&self.0[row])
    }

    /// From the residuals of a two-way layout; rows of unequal length are cut to the shortest.
    pub fn noise(&self) -> Noise {
        let rounds = self.0.iter().map(Vec::len).min().unwrap_or(0);
        let rows = self.0.len();
        if rows < 2 || rounds < 2 {
            return Noise::Unknown;
        }
        let row_means: Vec<f64> = self.0.iter().map(|row| mean(&row[..rounds])).collect();
        let grand = mean(&row_means);
        let mut squares = 0.0;
        for round in 0..rounds {
            let round_mean = self.0.iter().map(|row| row[round]).sum::<f64>() / rows as f64;
            for (row, row_mean) in self.0.iter().zip(&row_means) {
                squares += (row[round] - row_mean - round_mean + grand).powi(2);
            }
        }
        let freedom = (rows - 1) * (rounds - 1);
        let variance = squares / freedom as f64;
        Noise::Bound(t_95(freedom) * (2.0 * variance / rounds as f64).sqrt())
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Student's t, two-sided 95 %.
fn t_95(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    match freedom {
        0 => f64::INFINITY,
        1..=10 => TABLE[freedom - 1],
        // Good to half a percent from here on.
        _ => 1.96 + 2.4 / freedom as f64 + 3.0 / (freedom * freedom) as f64,
    }
}

/// A difference of logarithms in percent: 0.0953 is 10.
pub fn percent(log_difference: f64) -> f64 {
    (log_difference.exp() - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_is_not_noise() {
        let rows: Vec<Vec<f64>> = (0..5).map(|row| vec![f64::from(row), f64::from(row) + 3.0]).collect();
        let Noise::Bound(bound) = Scores(&rows).noise() else { panic!() };
        assert!(bound < 1e-9, "{bound}");
        assert_eq!(Scores(&rows).mean(1), 2.5);
    }

    #[test]
    fn the_bound_is_that_of_the_textbook() {
        // Residuals all +-0.05: variance 4 * 0.0025 / 1, t(1) = 12.706.
        let rows = [vec![0.0, 0.1], vec![0.1, 0.0]];
        let Noise::Bound(bound) = Scores(&rows).noise() else { panic!() };
        assert!((bound - 12.706 * 0.1).abs() < 1e-6, "{bound}");
    }

    #[test]
    fn without_repetition_noise_is_unknown() {
        assert_eq!(Scores(&[vec![1.0], vec![2.0]]).noise(), Noise::Unknown);
        assert_eq!(Scores(&[vec![1.0, 1.0]]).noise(), Noise::Unknown);
        assert_eq!(Scores(&[]).noise(), Noise::Unknown);
    }

    #[test]
    fn quantiles_of_t_are_close_enough() {
        for (freedom, value) in [(11, 2.201), (17, 2.110), (30, 2.042), (120, 1.980), (1000, 1.962)] {
            assert!((t_95(freedom) - value).abs() < 0.02, "t({freedom}) = {}", t_95(freedom));
        }
        assert!((percent(1.1f64.ln()) - 10.0).abs() < 1e-9);
    }
}
