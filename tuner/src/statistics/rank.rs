//! Whether two orders of the same things agree.

/// Kendall's tau b: 1 the same order, -1 the opposite, ties counted out. `None` where one side has no order at all.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    separable_tau_b(a, b, |_, _| true)
}

/// The same over the pairs (by index) that `separable` says can be told apart.
pub fn separable_tau_b(a: &[f64], b: &[f64], separable: impl Fn(usize, usize) -> bool) -> Option<f64> {
    let (mut score, mut untied_a, mut untied_b) = (0.0, 0.0, 0.0);
    let count = a.len().min(b.len());
    for n in 0..count {
        for m in (0..n).filter(|m| separable(*m, n)) {
            let (x, y) = (order(a[n], a[m]), order(b[n], b[m]));
            score += x * y;
            untied_a += x * x;
            untied_b += y * y;
        }
    }
    let scale = f64::sqrt(untied_a * untied_b);
    (scale > 0.0).then(|| score / scale)
}

fn order(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        Some(std::cmp::Ordering::Less) => -1.0,
        Some(std::cmp::Ordering::Greater) => 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_and_its_opposite() {
        let a = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(kendall_tau_b(&a, &[10.0, 20.0, 30.0, 40.0]), Some(1.0));
        assert_eq!(kendall_tau_b(&a, &[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        // One swap among six pairs: (5 - 1) / 6.
        assert!((kendall_tau_b(&a, &[1.0, 3.0, 2.0, 4.0]).unwrap() - 4.0 / 6.0).abs() < 1e-12);
        // scipy.stats.kendalltau([1,2,2,3],[1,2,3,3]) = 0.8.
        assert!((kendall_tau_b(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]).unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(kendall_tau_b(&a, &[5.0; 4]), None);
    }

    #[test]
    fn pairs_that_cannot_be_told_apart_do_not_count() {
        let (a, b) = ([1.0, 1.01, 3.0], [1.01, 1.0, 3.0]);
        assert!(kendall_tau_b(&a, &b).unwrap() < 1.0);
        let apart = |m: usize, n: usize| (b[m] - b[n]).abs() > 0.1;
        assert_eq!(separable_tau_b(&a, &b, apart), Some(1.0));
    }
}
