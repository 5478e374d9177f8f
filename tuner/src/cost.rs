//! What requests cost, from a dated table of list prices.

use s3b_engine::wrap::Counts;
use serde::Serialize;

/// The date of the prices; named wherever a sum is shown.
pub const PRICES_DATED: &str = "2026-11, S3 STANDARD, us-east-1";

/// Dollars for a thousand PUT, COPY, POST or LIST requests.
const PUT_PER_1000: f64 = 0.005;
/// Dollars for a thousand GET or HEAD requests.
const GET_PER_1000: f64 = 0.0004;

/// Requests and bytes below the engine. DELETEs, single or many at a time, are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    pub puts: u64,
    pub gets: u64,
    pub heads: u64,
    pub lists: u64,
    pub deletes: u64,
    pub put_bytes: u64,
    pub get_bytes: u64,
}

impl Requests {
    /// What has been sent so far, repetitions included: what a store bills.
    pub fn of(counts: &Counts) -> Self {
        Self {
            puts: counts.puts.get(),
            gets: counts.gets.get(),
            heads: counts.heads.get(),
            lists: counts.lists.get(),
            deletes: counts.deletes.get() + counts.bulk_deletes.get(),
            put_bytes: counts.put_bytes.get(),
            get_bytes: counts.get_bytes.get(),
        }
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(&self, before: &Requests) -> Self {
        self.each(before, u64::saturating_sub)
    }

    #[must_use]
    pub fn plus(&self, other: &Requests) -> Self {
        self.each(other, u64::saturating_add)
    }

    fn each(&self, other: &Requests, combine: fn(u64, u64) -> u64) -> Self {
        Self {
            puts: combine(self.puts, other.puts),
            gets: combine(self.gets, other.gets),
            heads: combine(self.heads, other.heads),
            lists: combine(self.lists, other.lists),
            deletes: combine(self.deletes, other.deletes),
            put_bytes: combine(self.put_bytes, other.put_bytes),
            get_bytes: combine(self.get_bytes, other.get_bytes),
        }
    }

    /// At list prices, without storage and transfer out of the region.
    pub fn dollars(&self) -> f64 {
        (self.puts + self.lists) as f64 * PUT_PER_1000 / 1000.0
            + (self.gets + self.heads) as f64 * GET_PER_1000 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tebibyte_in_puts_costs_what_the_price_list_says() {
        for (block_size, dollars) in [(4 << 10, 1342.18), (64 << 10, 83.89), (1 << 20, 5.24)] {
            let requests = Requests { puts: (1u64 << 40) / block_size, deletes: 1000, ..Requests::default() };
            assert!((requests.dollars() - dollars).abs() < 0.01, "{block_size}: {}", requests.dollars());
        }
        let requests = Requests { gets: 1000, heads: 1000, lists: 1000, ..Requests::default() };
        assert!((requests.dollars() - 0.0058).abs() < 1e-9);
    }

    #[test]
    fn differences_never_go_below_zero() {
        let one = Requests { puts: 5, gets: 1, ..Requests::default() };
        let two = Requests { puts: 7, ..Requests::default() };
        assert_eq!(two.since(&one), Requests { puts: 2, ..Requests::default() });
        assert_eq!(one.plus(&two).puts, 12);
    }
}
