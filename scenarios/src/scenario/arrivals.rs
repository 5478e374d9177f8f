//! When the operations of a stream want to start, open loop. Integer arithmetic only.

use crate::period::Period;
use crate::random::Random;

/// How operations arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Mean time between two arrivals; within a burst where they come in bursts.
    pub every: Period,
    pub kind: ArrivalKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalKind {
    /// Always the same gap.
    Regular,
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Poisson while on, nothing while off; both last exponentially long, with these means.
    Bursty { on: Period, off: Period },
}

impl Arrivals {
    /// Starts with an arrival, and with a burst.
    pub(super) fn gaps(self, mut random: Random) -> Gaps {
        let left_on = match self.kind {
            ArrivalKind::Bursty { on, .. } => random.exponential(on.0),
            ArrivalKind::Regular | ArrivalKind::Poisson => 0,
        };
        Gaps { arrivals: self, random, left_on }
    }
}

/// The gaps between arrivals, without end.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    arrivals: Arrivals,
    random: Random,
    /// Nanoseconds left of this burst.
    left_on: u64,
}

impl Gaps {
    /// Nanoseconds to the next arrival.
    pub(super) fn next(&mut self) -> u64 {
        let every = self.arrivals.every.0;
        match self.arrivals.kind {
            ArrivalKind::Regular => every,
            ArrivalKind::Poisson => self.random.exponential(every),
            ArrivalKind::Bursty { on, off } => {
                // A gap is spent in bursts alone; the silence between them comes on top.
                let mut gap = self.random.exponential(every);
                let mut silent = 0u64;
                let busy = gap;
                while gap > self.left_on {
                    gap -= self.left_on;
                    silent = silent.saturating_add(self.random.exponential(off.0));
                    // A burst of no length would never end this loop.
                    self.left_on = self.random.exponential(on.0).max(1);
                }
                self.left_on -= gap;
                busy.saturating_add(silent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Mean gap, and variance over mean squared: 0 regular, 1 Poisson, more in bursts.
    fn mean_and_burstiness(arrivals: Arrivals) -> (f64, f64) {
        let mut gaps = arrivals.gaps(Random::new(11));
        let all: Vec<f64> = (0..200_000).map(|_| gaps.next() as f64).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / all.len() as f64;
        (mean, variance / mean.powi(2))
    }

    #[test]
    fn arrivals_have_their_mean_and_their_burstiness() {
        let every = Period(2 * MS);
        let regular = mean_and_burstiness(Arrivals { every, kind: ArrivalKind::Regular });
        assert_eq!(regular, (2e6, 0.0));
        let (mean, burstiness) = mean_and_burstiness(Arrivals { every, kind: ArrivalKind::Poisson });
        assert!((mean / 2e6 - 1.0).abs() < 0.01 && (burstiness - 1.0).abs() < 0.03, "{mean} {burstiness}");
        // On a fifth of the time: five times the gap on average. In ms: 2 within bursts, and once in 50 gaps an
        // exponential silence of 400. Variance: 0.02 * 2 * 400^2 + 0.02^2 * 400^2 + 2^2 + 2 * 4 * 2^2 = 6500; mean 10.
        let kind = ArrivalKind::Bursty { on: Period(100 * MS), off: Period(400 * MS) };
        let (mean, burstiness) = mean_and_burstiness(Arrivals { every, kind });
        assert!((mean / 10e6 - 1.0).abs() < 0.05, "{mean}");
        assert!((55.0..75.0).contains(&burstiness), "{burstiness}");
    }

    #[test]
    fn the_share_of_time_in_bursts_is_that_of_on() {
        let (on, off, every) = (Period(50 * MS), Period(150 * MS), Period(MS));
        let mut gaps = Arrivals { every, kind: ArrivalKind::Bursty { on, off } }.gaps(Random::new(5));
        let (mut total, mut long) = (0u64, 0u64);
        for _ in 0..100_000 {
            let gap = gaps.next();
            total += gap;
            // Twelve times the mean within a burst: one in 160,000 by chance.
            long += if gap > 12 * MS { gap } else { 0 };
        }
        let share = long as f64 / total as f64;
        assert!((0.70..0.80).contains(&share), "three quarters of the time is silence, found {share}");
    }
}
