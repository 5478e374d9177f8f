//! Random numbers that are the same on every machine and with every version of every crate.
//!
//! xoshiro256** (Blackman and Vigna, public domain) seeded by SplitMix64; everything derived from it is integer
//! arithmetic, because the last bit of a logarithm differs between C libraries.

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| split_mix(&mut state)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0..bound`, without bias; `bound` is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a random number below 0 was asked for");
        // Lemire: the high half of a product, rejecting the few low halves that would favour small results.
        let reject_under = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if product as u64 >= reject_under {
                return (product >> 64) as u64;
            }
        }
    }

    /// True with this probability, to the 2^32nd; 0 to 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        // Scaling by a power of two is exact on every machine.
        self.bits() >> 32 < (probability.clamp(0.0, 1.0) * 4_294_967_296.0) as u64
    }

    /// Exponentially distributed with this mean: the gap to the next arrival of a Poisson stream.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        // -ln(u) = ln 2 * (32 - log2(u * 2^32)), all with 32 fractional bits.
        const LN_2: u128 = 2_977_044_472;
        let log2 = log2_q32((self.bits() >> 32) + 1);
        let minus_log2 = (32u64 << 32) - log2;
        let minus_ln = (u128::from(minus_log2) * LN_2) >> 32;
        u64::try_from((minus_ln * u128::from(mean)) >> 32).unwrap_or(u64::MAX)
    }

    /// Puts a slice in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// What SplitMix64 adds for each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn split_mix(state: &mut u64) -> u64 {
    let mixed = mix(*state);
    *state = state.wrapping_add(STEP);
    mixed
}

/// A number from a number, all bits of both connected: what SplitMix64 draws from this state. No two numbers give the same.
#[inline]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Ranks `0..n`, rank `i` drawn in proportion to `1 / (i + 1)^theta`.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// Running sums of the weights.
    sums: Vec<u64>,
}

impl Zipf {
    /// More ranks than this make the table large without changing a short workload.
    pub const MAX_RANKS: u64 = 1 << 20;

    /// `theta` 0 is uniform, 0.99 the usual skew, at most 4; `ranks` from 1 to [`Zipf::MAX_RANKS`].
    pub fn new(ranks: u64, theta: f64) -> Self {
        assert!((1..=Self::MAX_RANKS).contains(&ranks) && (0.0..=4.0).contains(&theta), "zipf({ranks}, {theta})");
        // Scaling by a power of two and rounding is exact on every machine.
        let theta_q16 = (theta * 65536.0).round() as u128;
        let roots = halving_roots();
        let mut sum = 0;
        let sums = (1..=ranks)
            .map(|rank| {
                let exponent = (u128::from(log2_q32(rank)) * theta_q16) >> 16;
                sum += exp2_minus_q40(exponent as u64, &roots).max(1);
                sum
            })
            .collect();
        Self { sums }
    }

    pub fn rank(&self, random: &mut Random) -> u64 {
        let total = self.sums.last().copied().unwrap_or(1);
        let at = random.below(total);
        self.sums.partition_point(|sum| *sum <= at) as u64
    }
}

/// log2 of `x` (at least 1) with 32 fractional bits, by repeated squaring.
fn log2_q32(x: u64) -> u64 {
    let whole = 63 - u64::from(x.leading_zeros());
    let mut mantissa = x << (63 - whole);
    let mut fraction = 0;
    for _ in 0..32 {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let two_or_more = (square >> 64) as u64;
        mantissa = (square >> two_or_more) as u64;
        fraction = fraction << 1 | two_or_more;
    }
    whole << 32 | fraction
}

/// 2^(-1/2), 2^(-1/4), 2^(-1/8), ... with 63 fractional bits.
fn halving_roots() -> [u64; 32] {
    let mut root = 1u128 << 62;
    std::array::from_fn(|_| {
        root = (root << 63).isqrt();
        root as u64
    })
}

/// 2^-x with 40 fractional bits, for `x` with 32.
fn exp2_minus_q40(x: u64, roots: &[u64; 32]) -> u64 {
    let (whole, fraction) = (x >> 32, x as u32);
    let mut result = 1u128 << 63;
    for (bit, root) in roots.iter().enumerate() {
        if fraction >> (31 - bit) & 1 == 1 {
            result = (result * u128::from(*root)) >> 63;
        }
    }
    result.checked_shr((whole as u32).saturating_add(23)).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // State 1, 2, 3, 4: the vector other implementations of xoshiro256** test against.
        let mut random = Random([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| random.bits()).collect();
        assert_eq!(first, [11520, 0, 1509978240, 1215971899390074240]);
        let mut state = 1234567;
        assert_eq!(split_mix(&mut state), 6457827717110365317, "SplitMix64 of seed 1234567");
    }

    #[test]
    fn integer_logarithms_agree_with_floats() {
        let roots = halving_roots();
        for x in [1u64, 2, 3, 7, 1000, 123_456_789, u64::MAX] {
            let ours = log2_q32(x) as f64 / 2f64.powi(32);
            assert!((ours - (x as f64).log2()).abs() < 1e-8, "log2({x}) = {ours}");
        }
        for x in [0.0f64, 0.25, 1.0, 3.7, 20.5] {
            let ours = exp2_minus_q40((x * 2f64.powi(32)) as u64, &roots) as f64 / 2f64.powi(40);
            assert!((ours - (-x).exp2()).abs() < 1e-9, "2^-{x} = {ours}");
        }
        assert_eq!(exp2_minus_q40(u64::MAX, &roots), 0);
    }

    #[test]
    fn zipf_has_the_frequencies_it_promises() {
        let (zipf, mut random) = (Zipf::new(1000, 1.0), Random::new(1));
        let harmonic: f64 = (1..=1000).map(|i| 1.0 / f64::from(i)).sum();
        let mut counts = [0u32; 1000];
        let draws = 200_000;
        for _ in 0..draws {
            counts[zipf.rank(&mut random) as usize] += 1;
        }
        for rank in [0, 1, 9] {
            let expected = f64::from(draws) / (rank + 1) as f64 / harmonic;
            let off = (f64::from(counts[rank]) - expected).abs() / expected;
            assert!(off < 0.05, "rank {rank}: {} drawn, {expected} expected", counts[rank]);
        }
        assert!(Zipf::new(1, 0.9).rank(&mut random) == 0);
    }

    #[test]
    fn exponential_gaps_have_their_mean() {
        let mut random = Random::new(3);
        let sum: u64 = (0..100_000).map(|_| random.exponential(1_000_000)).sum();
        let mean = sum / 100_000;
        assert!((985_000..1_015_000).contains(&mean), "{mean}");
    }

    #[test]
    fn a_chance_is_what_it_says() {
        let mut random = Random::new(4);
        assert!((0..1000).all(|_| !random.chance(0.0) && random.chance(1.0)));
        let hits = (0..4000).filter(|_| random.chance(0.25)).count();
        assert!((900..1100).contains(&hits), "{hits} of 4000");
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let mut random = Random::new(9);
        let mut seen = [0u32; 3];
        for _ in 0..3000 {
            seen[random.below(3) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (900..1100).contains(n)), "{seen:?}");
        assert_eq!(random.below(1), 0);
    }
}
