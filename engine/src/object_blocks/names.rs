//! Names of blocks: which key holds a block, and which block a key holds. Pure; knows no store.
//!
//! Keys are s3backer's: `PREFIX` + eight lowercase hex digits, with `HASH8-` between under `--block-hash-prefix`.
//! Everything else under the prefix is somebody else's and is never touched, but for the mount token and
//! the superblock.

use std::fmt;
use std::sync::Arc;

use crate::geometry::BlockNumber;

/// After the prefix, the key of the mount token; s3backer's name.
pub const TOKEN_NAME: &str = "s3backer-mounted";

/// After the prefix, the key of the superblock; ours, ignored by s3backer.
pub const SUPERBLOCK_NAME: &str = "s3b-superblock";

/// How the blocks of one volume are named.
#[derive(Clone, PartialEq, Eq)]
pub struct Naming {
    prefix: Arc<str>,
    hashed: bool,
}

/// A part of the key space of one volume, for one of several parallel listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Listing starts after this key.
    pub after: String,
    /// The first eight digits after the prefix, lowest and highest, both included.
    pub first: u32,
    pub last: u32,
    /// A page that ends at or after this key is the last one.
    pub stop: String,
}

impl Naming {
    /// `prefix` is taken verbatim; nothing is put between it and a block's digits.
    pub fn new(prefix: impl Into<Arc<str>>, hashed: bool) -> Self {
        Self { prefix: prefix.into(), hashed }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether keys start with a hash of the block number.
    pub fn hashed(&self) -> bool {
        self.hashed
    }

    /// The same prefix in the other naming mode.
    pub fn other(&self) -> Self {
        Self { prefix: self.prefix.clone(), hashed: !self.hashed }
    }

    pub fn key(&self, block: BlockNumber) -> String {
        if self.hashed {
            format!("{}{:08x}-{block}", self.prefix, hash(block.0))
        } else {
            format!("{}{block}", self.prefix)
        }
    }

    /// The block whose key this is. The caller checks that the volume has such a block.
    pub fn parse(&self, key: &str) -> Option<BlockNumber> {
        let tail = key.strip_prefix(&*self.prefix)?;
        if !self.hashed {
            return parse_hex8(tail).map(BlockNumber);
        }
        let (digits, block) = tail.split_once('-')?;
        let block = parse_hex8(block)?;
        (parse_hex8(digits)? == hash(block)).then_some(BlockNumber(block))
    }

    pub fn token_key(&self) -> String {
        format!("{}{TOKEN_NAME}", self.prefix)
    }

    pub fn superblock_key(&self) -> String {
        format!("{}{SUPERBLOCK_NAME}", self.prefix)
    }

    /// Splits the keys of a volume of `blocks` blocks into at most `parts` ranges of equal width.
    pub fn ranges(&self, blocks: u32, parts: u32) -> Vec<KeyRange> {
        let last = if self.hashed { u32::MAX } else { blocks.saturating_sub(1) };
        let parts = u64::from(parts.clamp(1, last.max(1)));
        // s3backer's borders; `parts <= last` keeps every range non-empty.
        let border = |part: u64| (u64::from(last) * part / parts) as u32;
        (0..parts)
            .map(|part| {
                let first = if part == 0 { 0 } else { border(part) + 1 };
                let last = border(part + 1);
                // Before the lowest key: the character before '0', as s3backer sends it.
                let after = first.checked_sub(1).map_or("0000000/".into(), |before| format!("{before:08x}"));
                KeyRange {
                    after: format!("{}{after}", self.prefix),
                    first,
                    last,
                    stop: format!("{}{last:08x}", self.prefix),
                }
            })
            .collect()
    }

    /// The block a listing found, if its key lies in the range.
    pub fn parse_in(&self, range: &KeyRange, key: &str) -> Option<BlockNumber> {
        let leading = parse_hex8(key.strip_prefix(&*self.prefix)?.get(..8)?)?;
        (range.first..=range.last).contains(&leading).then(|| self.parse(key)).flatten()
    }
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.prefix, mode(self.hashed))
    }
}

/// The naming mode in words.
pub fn mode(hashed: bool) -> &'static str {
    if hashed { "hashed keys (--block-hash-prefix)" } else { "plain keys (no --block-hash-prefix)" }
}

/// Where a listing of `prefix` goes on after the foreign key `key` without missing a block-shaped key of either
/// naming: past everything that cannot be block-shaped, so that a bucket full of other things costs few pages.
pub fn skip_foreign(prefix: &str, key: &str) -> String {
    let Some(tail) = key.strip_prefix(prefix) else {
        return key.to_owned();
    };
    let digits = tail.bytes().take(8).take_while(|byte| is_hex_digit(*byte)).count();
    let (known, next) = (&tail[..digits], tail.as_bytes().get(digits));
    // '`' is just before 'a', '~' after every letter and digit.
    let past = match next {
        _ if digits == 8 => "~",
        Some(byte) if *byte > b'f' => "~",
        Some(byte) if *byte > b'9' => "`",
        _ => return key.to_owned(),
    };
    key.to_owned().max(format!("{prefix}{known}{past}"))
}

/// s3backer's hash: a bijection on 32 bits, so each hash belongs to one block.
fn hash(block: u32) -> u32 {
    (1..=12).rev().fold(block, |h, n| ((h >> 8) ^ h).wrapping_mul(0x6b).wrapping_add(n))
}

fn is_hex_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn parse_hex8(text: &str) -> Option<u32> {
    let ours = text.len() == 8 && text.bytes().all(is_hex_digit);
    ours.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashed_keys_are_those_seen_in_real_stores() {
        let naming = Naming::new("", true);
        for (block, key) in [
            (0, "c448b72c-00000000"),
            (1, "d211cad9-00000001"),
            (2, "7183baa1-00000002"),
            (3, "531c6cd5-00000003"),
            (5, "6a03ab82-00000005"),
            (0xff, "6ad31a26-000000ff"),
            (0x100, "e34e7a2c-00000100"),
            (0x1234_5678, "7fbf2916-12345678"),
            (0xffff_ffff, "0f447858-ffffffff"),
        ] {
            assert_eq!(naming.key(BlockNumber(block)), key);
            assert_eq!(naming.parse(key), Some(BlockNumber(block)));
        }
    }

    #[test]
    fn foreign_keys_are_no_blocks() {
        let plain = Naming::new("disk1/", false);
        assert_eq!(plain.parse("disk1/0000004a"), Some(BlockNumber(0x4a)));
        for key in
            ["0000004a", "disk1/zzz", "disk1/0000004A", "disk1/0000004a0", "disk1/+000004a", "disk1/000004a", "é"]
        {
            assert_eq!(plain.parse(key), None, "{key}");
        }
        let hashed = Naming::new("", true);
        for key in ["deadbeef-00000007", "00000007", "C448B72C-00000000", "c448b72c-00000000-", "c448b72c00000000"] {
            assert_eq!(hashed.parse(key), None, "{key}");
        }
        assert_eq!(plain.parse(&hashed.key(BlockNumber(0))), None);
    }

    #[test]
    fn ranges_have_s3backers_markers() {
        let ranges = Naming::new("p/", false).ranges(256, 3);
        let markers: Vec<_> = ranges.iter().map(|r| r.after.as_str()).collect();
        assert_eq!(markers, ["p/0000000/", "p/00000055", "p/000000aa"]);
        assert_eq!(ranges.last().unwrap().stop, "p/000000ff");
        let markers: Vec<_> = Naming::new("", true).ranges(256, 2).into_iter().map(|r| r.after).collect();
        assert_eq!(markers, ["0000000/", "7fffffff"]);
        assert_eq!(Naming::new("", false).ranges(1, 16).len(), 1);
    }

    #[test]
    fn the_walk_skips_what_is_not_block_shaped() {
        for (key, on) in [
            ("p/photo.jpg", "p/~"),
            ("p/abc/def", "p/abc/def"),
            ("p/abx", "p/ab~"),
            ("p/ABC", "p/`"),
            ("p/00000001.old", "p/00000001~"),
            ("p/00000001", "p/00000001~"),
            ("p/0000", "p/0000"),
            ("p/é", "p/é"),
        ] {
            assert_eq!(skip_foreign("p/", key), on, "{key}");
        }
    }

    proptest! {
        #[test]
        fn every_block_is_in_exactly_one_range(block: u32, blocks in 1u32.., parts in 1u32..40, hashed: bool) {
            let naming = Naming::new("v/", hashed);
            let key = naming.key(BlockNumber(block));
            let found = naming.ranges(blocks, parts).iter().filter(|range| {
                let found = naming.parse_in(range, &key);
                // A listing of that range would show the key.
                assert!(found.is_none() || key > range.after);
                found.is_some()
            }).count();
            prop_assert_eq!(found, usize::from(hashed || block < blocks));
        }

        #[test]
        fn skipping_never_jumps_over_a_block(block: u32, hashed: bool, foreign in "[0-9a-gA-C/~.-]{0,10}") {
            let (key, foreign) = (Naming::new("v/", hashed).key(BlockNumber(block)), format!("v/{foreign}"));
            let on = skip_foreign("v/", &foreign);
            prop_assert!(on >= foreign);
            // Hashed keys share their first eight digits with no other block's key.
            let same_digits = foreign.len() >= 10 && key.starts_with(&foreign[..10]);
            prop_assert!(key <= foreign || key > on || same_digits);
        }
    }
}
