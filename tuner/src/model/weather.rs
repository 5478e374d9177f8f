//! What chance and the store's rules do to a request: luck, slow periods, request-rate limits.
//!
//! Common random numbers: a draw depends on the seed, the operation, the key, and the how-many-th such request on that key it
//! is; never on the order among keys. So two configurations that send the same requests meet the same weather, however
//! differently they time them. Slow periods depend on the seed and the time alone.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use s3b_scenarios::random::mix;

use super::settings::{Operation, RateLimit, SlowPeriods};

/// From 0 to just below 1.
fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A number that stands for a key and what is done to it; the same on every machine.
pub fn key_number(operation: Operation, key: &str) -> u64 {
    let mut number = operation as u64 + 1;
    for chunk in key.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        number = (number ^ u64::from_le_bytes(word)).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
    }
    mix(number ^ key.len() as u64)
}

/// Luck by key.
pub struct Draws {
    seed: u64,
    /// How many requests each key number has seen. Never walked through.
    seen: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
}

/// Key numbers are mixed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = mix(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed), seen: HashMap::default() }
    }

    /// From 0 to just below 1, for the next request with this number.
    pub fn luck(&mut self, key_number: u64) -> f64 {
        let seen = self.seen.entry(key_number).or_insert(0);
        *seen += 1;
        share(mix(self.seed ^ key_number ^ mix(u64::from(*seen))))
    }
}

/// Slow periods as time goes on.
pub struct Slowness {
    settings: SlowPeriods,
    seed: u64,
    number: u64,
    begin_s: f64,
}

impl Slowness {
    pub fn new(settings: SlowPeriods, seed: u64) -> Self {
        let mut slowness = Self { settings, seed: mix(seed ^ 0x510), number: 0, begin_s: 0.0 };
        slowness.begin_s = slowness.pause();
        slowness
    }

    /// What service times are multiplied by at `now`, in seconds that never fall.
    pub fn factor(&mut self, now: f64) -> f64 {
        let duration = self.settings.duration_s;
        while self.begin_s + duration <= now {
            self.begin_s += duration + self.pause();
        }
        if now >= self.begin_s { self.settings.factor } else { 1.0 }
    }

    /// Exponential, from the end of one to the beginning of the next; never where there are none.
    fn pause(&mut self) -> f64 {
        if self.settings.per_hour <= 0.0 || self.settings.duration_s <= 0.0 {
            return f64::INFINITY;
        }
        self.number += 1;
        let luck = share(mix(self.seed ^ mix(self.number)));
        // `per_hour` counts beginnings, so the period itself is part of the distance.
        let between = 3600.0 / self.settings.per_hour - self.settings.duration_s;
        -(1.0 - luck).ln() * between.max(0.0)
    }
}

/// A token bucket.
pub struct Gate {
    limit: Option<RateLimit>,
    tokens: f64,
    filled_at: f64,
    /// The bucket is known to be empty until then.
    empty_until: f64,
    used: GateUse,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GateUse {
    pub asked: u64,
    pub refused: u64,
    /// Seconds in which a request would have been refused.
    pub shut_s: f64,
}

impl Gate {
    pub fn new(limit: Option<RateLimit>) -> Self {
        let tokens = limit.map_or(0.0, |limit| limit.burst);
        Self { limit, tokens, filled_at: 0.0, empty_until: 0.0, used: GateUse::default() }
    }

    pub fn used(&self) -> GateUse {
        self.used
    }

    /// Whether a request at `now` (seconds, never falling) is let through.
    pub fn pass(&mut self, now: f64) -> bool {
        self.used.asked += 1;
        let Some(limit) = self.limit else { return true };
        self.tokens = (self.tokens + (now - self.filled_at).max(0.0) * limit.per_s).min(limit.burst);
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return true;
        }
        self.used.refused += 1;
        let until = now + (1.0 - self.tokens) / limit.per_s;
        self.used.shut_s += (until - self.empty_until.max(now)).max(0.0);
        self.empty_until = self.empty_until.max(until);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_depends_on_key_and_count_and_not_on_order() {
        let (mut one, mut two) = (Draws::new(7), Draws::new(7));
        let keys: Vec<u64> = (0..100).map(|n| key_number(Operation::Get, &format!("{n:08x}"))).collect();
        let mut forth: Vec<f64> = keys.iter().map(|key| one.luck(*key)).collect();
        let mut back: Vec<f64> = keys.iter().rev().map(|key| two.luck(*key)).collect();
        back.reverse();
        assert_eq!(forth, back);
        assert_ne!(one.luck(keys[0]), forth[0], "the second request has luck of its own");
        assert_ne!(Draws::new(8).luck(keys[0]), forth[0]);
        assert_ne!(key_number(Operation::Get, "k"), key_number(Operation::Put, "k"));
        forth.sort_by(f64::total_cmp);
        forth.dedup();
        assert_eq!(forth.len(), 100);
    }

    #[test]
    fn luck_is_even() {
        let mut draws = Draws::new(1);
        let mut tenths = [0; 10];
        for n in 0..100_000 {
            tenths[(draws.luck(key_number(Operation::Put, &format!("{:08x}", n % 1000))) * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (9700..=10_300).contains(count)), "{tenths:?}");
    }

    #[test]
    fn slow_periods_take_their_share_of_time() {
        let settings = SlowPeriods { per_hour: 6.0, duration_s: 60.0, factor: 3.0 };
        let mut slowness = Slowness::new(settings.clone(), 5);
        let slow = (0..3_600_000).filter(|second| slowness.factor(f64::from(*second)) == 3.0).count();
        assert!((340_000..380_000).contains(&slow), "a tenth of 3.6 million seconds: {slow}");
        let mut none = Slowness::new(SlowPeriods { per_hour: 0.0, ..settings }, 5);
        assert_eq!(none.factor(1e9), 1.0);
    }

    #[test]
    fn a_gate_lets_its_rate_and_its_burst_through() {
        let mut gate = Gate::new(Some(RateLimit { per_s: 10.0, burst: 5.0 }));
        let passed = (0..1000).filter(|n| gate.pass(f64::from(*n) / 100.0)).count();
        assert!((103..=105).contains(&passed), "5 and 10 a second for 10 s: {passed}");
        let used = gate.used();
        assert_eq!(used.refused, 1000 - passed as u64);
        assert!((8.0..=10.0).contains(&used.shut_s), "{used:?}");
        assert!(Gate::new(None).pass(0.0));
    }
}
