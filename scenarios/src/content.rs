//! The bytes that writes carry: how compressible, and how often zero.
//!
//! Only the two properties that change what a store is asked to do are modelled. Bytes come from one pool made once
//! from a seed, so that generating them costs nothing beside the operation they belong to.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// What written data is like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContentProperties {
    /// Size before / size after compression; 1 is incompressible.
    pub compressibility: f64,
    /// Share of writes that are all zero, 0 to 1.
    pub zero_share: f64,
}

impl Default for ContentProperties {
    /// What a trace without content gets: the expensive case.
    fn default() -> Self {
        Self { compressibility: 1.0, zero_share: 0.0 }
    }
}

/// A pool of bytes that compress as wanted, and the choice of a part of it for each write. Which writes are zero is
/// decided where operations are made, see [`crate::op::Origin::is_zero`].
pub struct Content {
    pool: Vec<u8>,
    random: Random,
}

/// Compressors look back further than this, but find nothing: the random part never repeats within the pool.
const CHUNK: usize = 512;

impl Content {
    /// Longest write served by one part of the pool, in bytes.
    pub const MAX_LEN: usize = 1 << 20;

    /// `compressibility`: size before / size after compression, from 1.
    pub fn new(compressibility: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random_bytes = (CHUNK as f64 / compressibility.max(1.0)).round() as usize;
        let mut pool = vec![0x5a; 4 * Self::MAX_LEN];
        for chunk in pool.chunks_exact_mut(CHUNK) {
            for word in chunk[..random_bytes].chunks_mut(8) {
                word.copy_from_slice(&random.bits().to_le_bytes()[..word.len()]);
            }
        }
        Self { pool, random }
    }

    /// The pool itself.
    pub fn pool(&self) -> &[u8] {
        &self.pool
    }

    /// The pool's bytes for a write of `len` bytes, at most [`Content::MAX_LEN`].
    pub fn part(&mut self, len: usize) -> Range<usize> {
        assert!(len <= Self::MAX_LEN, "a write of {len} bytes is longer than one part of the pool");
        let start = self.random.below(((self.pool.len() - len) / CHUNK + 1) as u64) as usize * CHUNK;
        start..start + len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compresses_as_promised() {
        for ratio in [1.0, 2.0, 4.0] {
            let content = Content::new(ratio, 1);
            let packed = zstd::bulk::compress(&content.pool()[..1 << 20], 1).unwrap().len() as f64;
            let found = (1 << 20) as f64 / packed;
            assert!((found / ratio - 1.0).abs() < 0.1, "asked {ratio}, got {found}");
        }
    }

    #[test]
    fn whole_parts_stay_inside_the_pool() {
        let mut content = Content::new(1.0, 7);
        for _ in 0..1000 {
            let part = content.part(Content::MAX_LEN);
            assert!(part.end <= content.pool().len());
            assert_ne!(content.pool()[part.start..][..8], [0; 8]);
        }
    }
}
