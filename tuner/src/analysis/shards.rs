//! Which blocks of a workload are followed: all of them, until they are too many; then a sample, picked by hash.
//!
//! After SHARDS (Waldspurger, Park, Garthwaite and Ahmad, FAST 2015) with a fixed number of blocks: a block is followed if the
//! hash of its number is below a threshold, so either all of its accesses are seen or none. When the sample outgrows its limit
//! the threshold is halved; between limit / 2 and limit blocks are then followed. An access at sampling rate R
//! counts 1/R, and a distance of d sampled blocks stands for d/R. Rates are powers of two, so all of this is exact arithmetic.

use s3b_scenarios::random::mix;

/// Blocks followed unless told otherwise: 2 GiB in blocks of 4 KiB are counted exactly; about 25 MB for each block size.
pub const FOLLOWED_BLOCKS: usize = 1 << 19;

/// A share of all blocks, the same for every access to a block.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// One block in `1 << halvings` is followed.
    halvings: u32,
    limit: usize,
}

impl Sample {
    /// Everything, until `limit` blocks (at least 1) are exceeded.
    pub fn up_to(limit: usize) -> Self {
        Self { halvings: 0, limit: limit.max(1) }
    }

    pub fn keeps(self, block: u64) -> bool {
        // Spreads neighbouring blocks evenly; block 0, where partition tables are, has no special place.
        self.halvings == 0 || mix(block).leading_zeros() >= self.halvings
    }

    pub fn is_full(self, followed: usize) -> bool {
        // A hash has 64 bits; the sample cannot become smaller than nothing.
        followed > self.limit && self.halvings < 63
    }

    pub fn halve(&mut self) {
        self.halvings += 1;
    }

    /// What one followed block or access stands for.
    pub fn weight(self) -> f64 {
        (1u64 << self.halvings) as f64
    }

    /// A number of followed blocks, as a number of all blocks.
    pub fn scaled(self, blocks: u64) -> u64 {
        blocks << self.halvings
    }

    /// The share of blocks that is followed: 1 is exact.
    pub fn rate(self) -> f64 {
        1.0 / self.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_sample_is_part_of_the_larger_and_has_its_share() {
        let mut sample = Sample::up_to(10);
        assert!((0..1000).all(|block| sample.keeps(block)));
        for halvings in 1..5 {
            let larger = sample;
            sample.halve();
            let kept: Vec<u64> = (0..100_000).filter(|block| sample.keeps(*block)).collect();
            assert!(kept.iter().all(|block| larger.keeps(*block)));
            let share = kept.len() as f64 / 100_000.0;
            assert!((share * sample.weight() - 1.0).abs() < 0.02, "{halvings}: {share}");
        }
        assert!(sample.is_full(11) && !sample.is_full(10));
    }
}
