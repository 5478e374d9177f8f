//! Numbers of bytes as people write them in scenarios.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A number of bytes: `4096`, `"4096"` or `"4k"`, `"1m"`, `"2g"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// Reads `4096`, `4k`, `1m`, `2g`, `1t`, in powers of 1024, upper or lower case.
    pub fn parse(text: &str) -> Option<Size> {
        let text = text.trim();
        let shift = match text.bytes().last()?.to_ascii_lowercase() {
            b'k' => 10,
            b'm' => 20,
            b'g' => 30,
            b't' => 40,
            _ => return text.parse().ok().map(Size),
        };
        let number: u64 = text[..text.len() - 1].parse().ok()?;
        number.checked_mul(1 << shift).map(Size)
    }
}

/// In the largest unit that divides it: `64k`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "t"), (30, "g"), (20, "m"), (10, "k")];
        match units.into_iter().find(|(shift, _)| self.0 > 0 && self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes or \"64k\", \"1m\", \"2g\"")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
        u64::try_from(bytes).map(Size).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        Size::parse(text).ok_or_else(|| {
            E::custom(format!("{text:?} is not a size; write a number of bytes or \"64k\", \"1m\", \"2g\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64K", 65536), ("3m", 3 << 20), ("2g", 2 << 30)] {
            assert_eq!(Size::parse(text), Some(Size(bytes)));
        }
        for text in ["", "k", "-1", "1.5m", "99999999999t", "é"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        assert_eq!([Size(65536), Size(1000), Size(3 << 20)].map(|s| s.to_string()), ["64k", "1000", "3m"]);
    }
}
