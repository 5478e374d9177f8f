//! Lengths of time as people write them in scenarios.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Nanoseconds: `"10us"`, `"250ms"`, `"1.5s"`, `"2m"`, `"1h"`. A bare number is refused: of which unit?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub u64);

const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Period {
    /// An hour.
    pub const HOUR: Period = Period(3_600_000_000_000);

    /// Digits, at most one point with up to nine digits behind it, a unit.
    pub fn parse(text: &str) -> Option<Period> {
        let text = text.trim();
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(unit_at);
        let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        // In integers: the nearest float of a decimal fraction is not worth an argument between machines.
        let scale = 10u128.pow(fraction.len() as u32);
        let value = whole.parse::<u64>().ok().map(u128::from)? * scale + fraction.parse::<u128>().ok()?;
        u64::try_from(value.checked_mul(u128::from(*unit_ns))? / scale).ok().map(Period)
    }
}

/// In the largest unit that divides it: `250ms`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dividing = UNITS.iter().rev().find(|(_, ns)| self.0 > 0 && self.0.is_multiple_of(*ns));
        let (unit, ns) = dividing.copied().unwrap_or(("s", 1_000_000_000));
        write!(f, "{}{unit}", self.0 / ns)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PeriodVisitor)
    }
}

struct PeriodVisitor;

impl Visitor<'_> for PeriodVisitor {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time with its unit, as \"250ms\", \"5s\" or \"2m\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
        Period::parse(text).ok_or_else(|| {
            E::custom(format!("{text:?} is not a time; write a number and ns, us, ms, s, m or h, as \"250ms\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        for (text, ns) in [("0s", 0), ("10us", 10_000), ("1.5s", 1_500_000_000), ("2m", 120_000_000_000), ("3ns", 3)] {
            assert_eq!(Period::parse(text), Some(Period(ns)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1..5s",
            ".5s",
            "1.s",
            "1e3s",
            "5 weeks",
            "99999999999h",
            "18446744073709551615.000000001h",
            "1.0000000001s",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
        assert_eq!(
            [0, 1500, 250_000_000, 3_600_000_000_000].map(|ns| Period(ns).to_string()),
            ["0s", "1500ns", "250ms", "1h"]
        );
    }
}
