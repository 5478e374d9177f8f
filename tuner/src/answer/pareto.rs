//! What else could be chosen: configurations that nothing beats in dollars, latency and bytes at risk at once.

use crate::outcome::Configuration;

/// Dollars a month, the slower of the read's and the flush's tail in milliseconds, bytes at risk.
pub fn coordinates(configuration: &Configuration) -> [f64; 3] {
    let summary = &configuration.summary;
    let tails = [summary.read_p99_ms.or(summary.read_p50_ms), summary.flush_p99_ms.or(summary.flush_p50_ms)];
    let slower = tails.into_iter().flatten().fold(0.0, f64::max);
    [summary.dollars_per_month, slower, summary.at_risk_bytes as f64]
}

/// Indices of those that keep the constraints and that none dominates, by dollars. Where any ran for real, of those that did:
/// a measurement and a simulation are not compared.
pub fn front(configurations: &[Configuration]) -> Vec<usize> {
    let real = configurations.iter().any(|one| !one.measured.is_empty());
    let ran = |one: &Configuration| {
        one.breaks.is_empty() && !if real { one.measured.is_empty() } else { one.simulated.is_empty() }
    };
    let points: Vec<(usize, [f64; 3])> =
        configurations.iter().enumerate().filter(|(_, one)| ran(one)).map(|(n, one)| (n, coordinates(one))).collect();
    let dominates = |a: &[f64; 3], b: &[f64; 3]| a != b && a.iter().zip(b).all(|(a, b)| a <= b);
    let mut front: Vec<&(usize, [f64; 3])> =
        points.iter().filter(|(_, point)| !points.iter().any(|(_, other)| dominates(other, point))).collect();
    front.sort_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]));
    front.into_iter().map(|(n, _)| *n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Figures, Summary};

    #[test]
    fn dominated_and_forbidden_ones_are_left_out() {
        let one = |dollars_per_month, p99, at_risk_bytes| Configuration {
            simulated: vec![Figures::default()],
            summary: Summary { dollars_per_month, flush_p99_ms: Some(p99), at_risk_bytes, ..Summary::default() },
            ..Configuration::default()
        };
        let mut all =
            vec![one(9.0, 10.0, 5), one(5.0, 20.0, 5), one(9.5, 11.0, 5), one(20.0, 50.0, 0), one(1.0, 1.0, 0)];
        all[4].breaks.push("too good".into());
        assert_eq!(front(&all), [1, 0, 3]);
        // What ran for real is not beaten by what did not.
        for n in [2, 3] {
            all[n].measured = vec![Figures::default()];
        }
        assert_eq!(front(&all), [2, 3]);
    }
}
