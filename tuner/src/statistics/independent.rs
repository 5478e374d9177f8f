//! Two samples that have nothing to do with each other, such as the rounds of two sweeps on two days: do they differ, and
//! by how much? Pure, and without any draw.
//!
//! Welch's test on logarithms: the number of a round is a mean over many runs, so it is near enough to normal, and a handful
//! of rounds is all there is. Exact permutations assume less, but of three rounds and three they never show less than one in
//! ten. It takes rounds for independent; that both samples are of the same store it cannot know.

use super::{Compared, Interval, mean};

/// Compares logarithms: `ratio` is theirs / ours, with its 95 % interval. `None` with fewer than two on either side.
pub fn compare_logs(ours: &[f64], theirs: &[f64]) -> Option<Compared> {
    if ours.len() < 2 || theirs.len() < 2 {
        return None;
    }
    let off = mean(theirs) - mean(ours);
    // The variance of each mean, and the degrees of freedom of it.
    let [a, b] = [ours, theirs].map(|logs| {
        let average = mean(logs);
        let squares: f64 = logs.iter().map(|log| (log - average).powi(2)).sum();
        let free = (logs.len() - 1) as f64;
        (squares / free / logs.len() as f64, free)
    });
    let variance = a.0 + b.0;
    // Rounding alone is no difference, and no variance either.
    if variance <= f64::MIN_POSITIVE {
        let ratio = off.exp();
        let p = if off.abs() < 1e-12 { 1.0 } else { 0.0 };
        return Some(Compared { ratio: Interval { value: ratio, low: ratio, high: ratio }, p });
    }
    let freedom = variance.powi(2) / (a.0.powi(2) / a.1 + b.0.powi(2) / b.1);
    let error = variance.sqrt();
    let half = error * deviate(freedom);
    let ratio = Interval { value: off.exp(), low: (off - half).exp(), high: (off + half).exp() };
    Some(Compared { ratio, p: beyond(off.abs() / error, freedom) })
}

/// Chance of Student's t at least this far from zero on either side; `freedom` at least 1.
fn beyond(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// Where [`beyond`] is one in twenty: 12.7 for one degree of freedom, the most there is.
fn deviate(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 16.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if beyond(middle, freedom) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    // From its end to its beginning; 200 terms are many more than any sample of rounds needs.
    let tail = (1..=200).rev().fold(0.0, |below, n: u32| {
        let m = f64::from(n / 2);
        let term = if n.is_multiple_of(2) {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        term / (1.0 + below)
    });
    front / (1.0 + tail)
}

/// For positive arguments: Stirling's series, after the argument was raised to where it is exact to ten digits.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::noise;

    #[test]
    fn deviates_are_those_of_the_tables() {
        for (freedom, wanted) in [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (10.0, 2.228), (1000.0, 1.962)] {
            assert!((deviate(freedom) - wanted).abs() < 0.001, "{freedom}: {}", deviate(freedom));
        }
        assert!((beyond(2.0, 4.0) - 0.116_117).abs() < 1e-6, "{}", beyond(2.0, 4.0));
        assert!(beyond(0.0, 3.0) > 1.0 - 1e-12 && beyond(1e9, 3.0) < 1e-12);
    }

    #[test]
    fn it_is_welch() {
        // Means 2 and 5, variances of the means 1/3 and 4/3: t = 3 / 1.291, (5/3)^2 / ((1/9 + 16/9) / 2) = 2.941 degrees.
        let found = compare_logs(&[1.0, 2.0, 3.0], &[3.0, 5.0, 7.0]).unwrap();
        assert!((found.p - beyond(3.0 / (5.0f64 / 3.0).sqrt(), 2.941_18)).abs() < 1e-5, "{found:?}");
        assert!((found.ratio.value.ln() - 3.0).abs() < 1e-12 && found.ratio.low < 1.0 && found.p > 0.05);
        assert_eq!(compare_logs(&[1.0], &[1.0, 2.0]), None);
        let alike = compare_logs(&[0.5; 3], &[0.5; 4]).unwrap();
        assert_eq!((alike.p, alike.ratio.low, alike.ratio.high), (1.0, 1.0, 1.0));
        assert_eq!(compare_logs(&[0.0; 3], &[1.0; 3]).map(|found| found.p), Some(0.0));
    }

    #[test]
    fn three_rounds_against_three_raise_the_alarm_about_once_in_twenty() {
        let found = |seed: u64| compare_logs(&noise(3, 0.0, 2 * seed), &noise(3, 0.0, 2 * seed + 1)).unwrap();
        let all: Vec<Compared> = (0..1000).map(found).collect();
        let alarms = all.iter().filter(|one| one.p < 0.05).count();
        let covered = all.iter().filter(|one| (one.ratio.low..=one.ratio.high).contains(&1.0)).count();
        // The bootstrap of so few would be wrong one time in four.
        assert!((20..=65).contains(&alarms) && covered == 1000 - alarms, "{alarms} alarms, {covered} covered");
    }
}
