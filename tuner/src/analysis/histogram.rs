//! Counts of values over the whole range of `u64`, exact for small values and on round ones, in bounded memory.

/// Values below this have a bucket of their own.
const EXACT: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 17;
/// Buckets of each doubling above: a value is known to one part in 65,536.
const PER_DOUBLING: u64 = EXACT / 2;

/// Weighted counts. Whole weights stay exact up to 2^53.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Grown as far as the largest value needs; 25 MB for the largest of all.
    counts: Vec<f64>,
    total: f64,
}

impl Histogram {
    pub fn add(&mut self, value: u64, weight: f64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0.0);
        }
        self.counts[bucket] += weight;
        self.total += weight;
    }

    pub fn total(&self) -> f64 {
        self.total
    }

    /// The weight of all values below each of `limits`, which ascend. A limit beyond [`EXACT`] is rounded down to a
    /// bucket's edge, on which all multiples of 2^n below 2^(n + 17) lie.
    pub fn below(&self, limits: &[u64]) -> Vec<f64> {
        let (mut sum, mut done) = (0.0, 0);
        let mut sums = Vec::with_capacity(limits.len());
        for limit in limits {
            let end = bucket(*limit).min(self.counts.len());
            sum += self.counts[done.min(end)..end].iter().sum::<f64>();
            done = done.max(end);
            sums.push(sum);
        }
        sums
    }

    /// The smallest value with at least this share of the weight at or below it; nothing of an empty histogram.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = (share * self.total).max(f64::MIN_POSITIVE);
        let mut sum = 0.0;
        let found = self.counts.iter().position(|count| {
            sum += count;
            // Sums of many weights may fall short of their total by rounding.
            sum >= wanted * (1.0 - 1e-12)
        });
        found.map(lowest)
    }

    pub fn largest(&self) -> Option<u64> {
        self.counts.iter().rposition(|count| *count > 0.0).map(lowest)
    }

    /// The weight in `(upper / 2, upper]` for each power of two that has any.
    pub fn doublings(&self) -> Vec<(u64, f64)> {
        let mut found: Vec<(u64, f64)> = Vec::new();
        for (value, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let upper = lowest(value).checked_next_power_of_two().unwrap_or(u64::MAX);
            match found.last_mut() {
                Some((last, sum)) if *last == upper => *sum += count,
                _ => found.push((upper, *count)),
            }
        }
        found
    }
}

fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let doubling = u64::from(value.ilog2() - EXACT_BITS);
    let within = (value >> (doubling + 1)) - PER_DOUBLING;
    (EXACT + doubling * PER_DOUBLING + within) as usize
}

/// The lowest value of a bucket.
fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let doubling = (bucket - EXACT) / PER_DOUBLING;
    ((bucket - EXACT) % PER_DOUBLING + PER_DOUBLING) << (doubling + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_gapless_and_round_values_are_edges() {
        for value in [0, 1, EXACT - 1, EXACT, EXACT + 2, 15 << 20, 1 << 33, (1 << 33) + (1 << 17), 1 << 63] {
            assert_eq!(lowest(bucket(value)), value, "{value}");
        }
        let edge = bucket(1 << 20);
        assert_eq!((bucket((1 << 20) - 1), bucket((1 << 20) + 15)), (edge - 1, edge));
        assert_eq!((bucket(u64::MAX) * 8) >> 20, 24, "MB at most");
    }

    #[test]
    fn sums_and_quantiles() {
        let mut sizes = Histogram::default();
        assert_eq!((sizes.quantile(0.5), sizes.largest()), (None, None));
        for (value, weight) in [(512, 1.0), (4096, 6.0), (4097, 2.0), (1 << 22, 1.0)] {
            sizes.add(value, weight);
        }
        assert_eq!(sizes.below(&[512, 513, 4097, 1 << 22, 1 << 40]), [0.0, 1.0, 7.0, 9.0, 10.0]);
        assert_eq!([0.0, 0.1, 0.11, 0.95].map(|share| sizes.quantile(share)), [512, 512, 4096, 1 << 22].map(Some));
        assert_eq!(sizes.doublings(), [(512, 1.0), (4096, 6.0), (8192, 2.0), (1 << 22, 1.0)]);
        assert_eq!(sizes.largest(), Some(1 << 22));
    }
}
