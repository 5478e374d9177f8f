//! Which 512-byte sectors of a block hold known bytes.

use std::ops::Range;

use crate::geometry::SECTOR;

/// A set of sectors of one block: one bit each, plus their count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorMask {
    words: Box<[u64]>,
    sectors: u32,
    set: u32,
}

impl SectorMask {
    /// No sector of a block of `block_size` bytes.
    pub fn empty(block_size: u32) -> Self {
        let sectors = block_size / SECTOR;
        Self { words: vec![0; sectors.div_ceil(64) as usize].into(), sectors, set: 0 }
    }

    /// Rebuilds a mask from [`SectorMask::words`]; `None` if a bit beyond the block is set or the length is wrong.
    pub fn from_words(block_size: u32, words: &[u64]) -> Option<Self> {
        let mut mask = Self::empty(block_size);
        if words.len() != mask.words.len() {
            return None;
        }
        let spare = mask.sectors % 64;
        if spare != 0 && words.last().is_some_and(|last| last >> spare != 0) {
            return None;
        }
        mask.words.copy_from_slice(words);
        mask.set = words.iter().map(|word| word.count_ones()).sum();
        Some(mask)
    }

    /// Bit `i % 64` of word `i / 64` is sector `i`.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn is_empty(&self) -> bool {
        self.set == 0
    }

    pub fn is_full(&self) -> bool {
        self.set == self.sectors
    }

    pub fn contains(&self, sector: u32) -> bool {
        self.words[(sector / 64) as usize] >> (sector % 64) & 1 == 1
    }

    pub fn contains_all(&self, sectors: Range<u32>) -> bool {
        self.word_masks(sectors).all(|(word, bits)| self.words[word] & bits == bits)
    }

    pub fn contains_none(&self, sectors: Range<u32>) -> bool {
        self.set == 0 || self.word_masks(sectors).all(|(word, bits)| self.words[word] & bits == 0)
    }

    pub fn insert(&mut self, sectors: Range<u32>) {
        for (word, bits) in self.word_masks(sectors) {
            self.set += (bits & !self.words[word]).count_ones();
            self.words[word] |= bits;
        }
    }

    pub fn remove(&mut self, sectors: Range<u32>) {
        for (word, bits) in self.word_masks(sectors) {
            self.set -= (bits & self.words[word]).count_ones();
            self.words[word] &= !bits;
        }
    }

    /// The first run of set sectors at or after `from`, at most `limit` long.
    pub fn next_run(&self, from: u32, limit: u32) -> Option<Range<u32>> {
        let start = self.next_with(from, true)?;
        let end = self.next_with(start, false).unwrap_or(self.sectors);
        Some(start..end.min(start + limit))
    }

    /// The first run of sectors at or after `from` that are not set, at most `limit` long.
    pub fn next_gap(&self, from: u32, limit: u32) -> Option<Range<u32>> {
        let start = self.next_with(from, false)?;
        let end = self.next_with(start, true).unwrap_or(self.sectors);
        Some(start..end.min(start + limit))
    }

    fn next_with(&self, from: u32, set: bool) -> Option<u32> {
        if from >= self.sectors {
            return None;
        }
        let mut index = (from / 64) as usize;
        let mut skip = from % 64;
        while let Some(word) = self.words.get(index) {
            let word = if set { *word } else { !*word };
            let rest = word >> skip;
            if rest != 0 {
                let found = index as u32 * 64 + skip + rest.trailing_zeros();
                return (found < self.sectors).then_some(found);
            }
            index += 1;
            skip = 0;
        }
        None
    }

    fn word_masks(&self, sectors: Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
        debug_assert!(sectors.end <= self.sectors);
        let (start, end) = (sectors.start, sectors.end.max(sectors.start));
        (start / 64..end.div_ceil(64)).map(move |word| {
            let from = start.saturating_sub(word * 64);
            let to = (end - word * 64).min(64);
            let below = if to == 64 { u64::MAX } else { (1 << to) - 1 };
            (word as usize, below & (u64::MAX << from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_vector_of_booleans() {
        use rand::{RngExt, SeedableRng, rngs::SmallRng};
        let mut random = SmallRng::seed_from_u64(1);
        for sectors in [1u32, 8, 64, 100, 2048] {
            let mut mask = SectorMask::empty(sectors * SECTOR);
            let mut plain = vec![false; sectors as usize];
            for _ in 0..300 {
                let start = random.random_range(0..sectors);
                let end = random.random_range(start..sectors) + 1;
                let insert = random.random_bool(0.5);
                if insert {
                    mask.insert(start..end)
                } else {
                    mask.remove(start..end)
                }
                plain[start as usize..end as usize].fill(insert);
                assert_eq!(mask.is_full(), plain.iter().all(|b| *b));
                assert_eq!(mask.is_empty(), plain.iter().all(|b| !*b));
                let probe = random.random_range(0..sectors);
                assert_eq!(mask.contains(probe), plain[probe as usize]);
                assert_eq!(mask.contains_all(start..end), plain[start as usize..end as usize].iter().all(|b| *b));
                assert_eq!(mask.contains_none(start..end), !plain[start as usize..end as usize].iter().any(|b| *b));
                let mut seen = vec![false; sectors as usize];
                let mut from = 0;
                while let Some(run) = mask.next_run(from, 5) {
                    seen[run.start as usize..run.end as usize].fill(true);
                    from = run.end;
                }
                assert_eq!(seen, plain);
                from = 0;
                while let Some(gap) = mask.next_gap(from, 5) {
                    assert!(gap.len() <= 5 && !seen[gap.start as usize..gap.end as usize].contains(&true));
                    seen[gap.start as usize..gap.end as usize].fill(true);
                    from = gap.end;
                }
                assert!(!seen.contains(&false));
                assert_eq!(SectorMask::from_words(sectors * SECTOR, mask.words()), Some(mask.clone()));
            }
        }
    }
}
