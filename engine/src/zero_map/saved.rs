//! The map as bytes, to be kept between mounts.
//!
//! ```text
//! "s3bzeros"  version u32  flags u32  block size u32  blocks u32  identity length u32  identity  words u64 ...  SHA-256 of all before
//! ```
//! Little endian. Flag 1: complete, the map knew every zero block. The identity is opaque here; the rule it
//! must obey is at the head of [`super`].

use sha2::{Digest, Sha256};

use super::bits::Bits;
use crate::error::{Error, Result};
use crate::geometry::{BlockNumber, Geometry};

const MAGIC: &[u8; 8] = b"s3bzeros";
const VERSION: u32 = 1;
const COMPLETE: u32 = 1;
const CHECKSUM: usize = 32;

/// A map from an earlier mount, found valid.
#[derive(Debug)]
pub struct SavedMap {
    pub(super) zero: Bits,
    pub(super) complete: bool,
}

pub(super) fn to_bytes(zero: &Bits, complete: bool, geometry: Geometry, identity: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAGIC.len() + 20 + identity.len() + zero.word_count() * 8 + CHECKSUM);
    out.extend_from_slice(MAGIC);
    let flags = if complete { COMPLETE } else { 0 };
    for number in [VERSION, flags, geometry.block_size(), geometry.blocks(), identity.len() as u32] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(identity);
    for word in zero.words() {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    out
}

impl SavedMap {
    /// Reads what [`ZeroMap::to_bytes`](super::ZeroMap::to_bytes) wrote for this volume.
    ///
    /// # Errors
    /// `Corrupt` for damaged bytes or another version, `Config` for another geometry, `Stale` for another identity.
    /// None of them is a reason not to mount: go on without the map.
    pub fn from_bytes(bytes: &[u8], geometry: Geometry, identity: &[u8]) -> Result<Self> {
        Self::from_bytes_if(bytes, geometry, |found| found == identity)
    }

    /// As [`SavedMap::from_bytes`], with any identity that is `believed`.
    ///
    /// # Errors
    /// As there.
    pub fn from_bytes_if(bytes: &[u8], geometry: Geometry, believed: impl Fn(&[u8]) -> bool) -> Result<Self> {
        let damaged =
            |what: &str| Error::corrupt(format!("saved zero map: {what}; it is ignored and will be replaced"));
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| damaged("cut short"))?;
        let mut rest = body.strip_prefix(MAGIC).ok_or_else(|| damaged("not a zero map"))?;
        let mut number = || {
            let (number, tail) = rest.split_first_chunk::<4>()?;
            rest = tail;
            Some(u32::from_le_bytes(*number))
        };
        let mut field = || number().ok_or_else(|| damaged("cut short"));
        let version = field()?;
        if version != VERSION {
            return Err(damaged(&format!("format version {version}, this program knows {VERSION}")));
        }
        let (flags, block_size, blocks, identity_len) = (field()?, field()?, field()?, field()?);
        if Sha256::digest(body).as_slice() != checksum {
            return Err(damaged("checksum mismatch"));
        }
        if (block_size, blocks) != (geometry.block_size(), geometry.blocks()) {
            return Err(Error::config(format!(
                "saved zero map: made for {blocks} blocks of {block_size} bytes, the volume has {} of {}; it is ignored",
                geometry.blocks(),
                geometry.block_size()
            )));
        }
        let (found, words) = rest.split_at_checked(identity_len as usize).ok_or_else(|| damaged("cut short"))?;
        if !believed(found) {
            let message = "saved zero map: the volume was mounted or changed elsewhere since; it is ignored";
            return Err(Error::new(crate::error::ErrorKind::Stale, message));
        }
        let (words, tail) = words.as_chunks::<8>();
        let zero = tail
            .is_empty()
            .then(|| Bits::from_words(blocks, words.iter().map(|word| u64::from_le_bytes(*word))))
            .flatten()
            .ok_or_else(|| damaged("its length does not fit the volume"))?;
        Ok(Self { zero, complete: flags & COMPLETE != 0 })
    }

    /// Whether this map knows the block to be zero.
    pub fn contains(&self, block: BlockNumber) -> bool {
        self.zero.contains(block)
    }

    /// Blocks this map knows to be zero.
    pub fn known_zero(&self) -> u64 {
        self.zero.members()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn geometry(blocks: u64) -> Geometry {
        Geometry::new(4096, 4096 * blocks).unwrap()
    }

    fn sample() -> Vec<u8> {
        let bits = Bits::none(100);
        for n in [0, 63, 64, 99] {
            bits.insert(BlockNumber(n));
        }
        to_bytes(&bits, true, geometry(100), b"session 7")
    }

    #[test]
    fn comes_back_as_it_was() {
        let map = SavedMap::from_bytes(&sample(), geometry(100), b"session 7").unwrap();
        assert!(map.complete);
        let members: Vec<_> = (0..100).filter(|n| map.zero.contains(BlockNumber(*n))).collect();
        assert_eq!(members, [0, 63, 64, 99]);
        assert_eq!(map.known_zero(), 4);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_refused() {
        let good = sample();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(SavedMap::from_bytes(&bad, geometry(100), b"session 7").is_err(), "byte {at}");
            let cut = SavedMap::from_bytes(&good[..at], geometry(100), b"session 7").unwrap_err();
            assert_eq!(cut.kind(), ErrorKind::Corrupt, "cut at {at}");
        }
    }

    #[test]
    fn belongs_to_one_volume_and_one_session() {
        let kind = |geometry, identity: &[u8]| SavedMap::from_bytes(&sample(), geometry, identity).unwrap_err().kind();
        assert_eq!(kind(geometry(101), b"session 7"), ErrorKind::Config);
        assert_eq!(kind(geometry(100), b"session 8"), ErrorKind::Stale);
        assert_eq!(kind(geometry(100), b"session 77"), ErrorKind::Stale);
    }
}
