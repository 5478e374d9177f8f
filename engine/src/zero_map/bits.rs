//! One bit per block, readable without a lock.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::geometry::BlockNumber;

/// A set of block numbers. Readers never wait; a reader that races with a change sees the old or the new bit.
/// Blocks outside the volume are never members.
#[derive(Debug)]
pub(super) struct Bits {
    words: Box<[AtomicU64]>,
    blocks: u32,
    members: AtomicU64,
}

const WORD: u32 = u64::BITS;

impl Bits {
    pub(super) fn none(blocks: u32) -> Self {
        Self::filled(blocks, 0, 0)
    }

    pub(super) fn all(blocks: u32) -> Self {
        Self::filled(blocks, u64::MAX, u64::from(blocks))
    }

    fn filled(blocks: u32, word: u64, members: u64) -> Self {
        let count = blocks.div_ceil(WORD) as usize;
        let words = (0..count).map(|index| AtomicU64::new(word & valid_mask(blocks, index))).collect();
        Self { words, blocks, members: AtomicU64::new(members) }
    }

    /// From words as [`Bits::words`] gives them. `None` unless there are exactly as many as `blocks` needs.
    /// Bits past the last block are dropped.
    pub(super) fn from_words(blocks: u32, words: impl ExactSizeIterator<Item = u64>) -> Option<Self> {
        if words.len() != blocks.div_ceil(WORD) as usize {
            return None;
        }
        let words: Box<[AtomicU64]> =
            words.enumerate().map(|(index, word)| AtomicU64::new(word & valid_mask(blocks, index))).collect();
        let members = words.iter().map(|word| u64::from(word.load(Relaxed).count_ones())).sum();
        Some(Self { words, blocks, members: AtomicU64::new(members) })
    }

    /// 64 blocks a word, the lowest block in the lowest bit.
    pub(super) fn words(&self) -> impl ExactSizeIterator<Item = u64> {
        self.words.iter().map(|word| word.load(Acquire))
    }

    pub(super) fn word_count(&self) -> usize {
        self.words.len()
    }

    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Number of members.
    pub(super) fn members(&self) -> u64 {
        self.members.load(Relaxed)
    }

    pub(super) fn contains(&self, block: BlockNumber) -> bool {
        let (index, mask) = place(block);
        self.words.get(index).is_some_and(|word| word.load(Acquire) & mask != 0)
    }

    /// Whether the block is new here.
    pub(super) fn insert(&self, block: BlockNumber) -> bool {
        debug_assert!(block.0 < self.blocks);
        let (index, mask) = place(block);
        if block.0 >= self.blocks || self.words[index].fetch_or(mask, Release) & mask != 0 {
            return false;
        }
        self.members.fetch_add(1, Relaxed);
        true
    }

    /// Whether the block was here.
    pub(super) fn remove(&self, block: BlockNumber) -> bool {
        let (index, mask) = place(block);
        let Some(word) = self.words.get(index) else { return false };
        if word.fetch_and(!mask, Release) & mask == 0 {
            return false;
        }
        self.members.fetch_sub(1, Relaxed);
        true
    }

    /// Takes in the members that `other` has in some of its words.
    pub(super) fn insert_words_of(&self, other: &Bits, words: Range<usize>) {
        for (mine, theirs) in self.words[words.clone()].iter().zip(&other.words[words]) {
            let theirs = theirs.load(Acquire);
            let new = theirs & !mine.fetch_or(theirs, Release);
            self.members.fetch_add(u64::from(new.count_ones()), Relaxed);
        }
    }
}

fn place(block: BlockNumber) -> (usize, u64) {
    ((block.0 / WORD) as usize, 1 << (block.0 % WORD))
}

/// The bits of one word that stand for blocks of the volume.
fn valid_mask(blocks: u32, index: usize) -> u64 {
    match blocks as usize - index * WORD as usize {
        left if left >= WORD as usize => u64::MAX,
        left => (1 << left) - 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn behaves_like_a_set_at_every_word_border() {
        for blocks in [1, 63, 64, 65, 128, 200] {
            let bits = Bits::all(blocks);
            assert_eq!(bits.members(), u64::from(blocks));
            let mut reference: BTreeSet<u32> = (0..blocks).collect();
            for n in (0..blocks).step_by(3) {
                assert_eq!(bits.remove(BlockNumber(n)), reference.remove(&n));
                assert!(!bits.remove(BlockNumber(n)));
            }
            for n in (0..blocks).step_by(6) {
                assert_eq!(bits.insert(BlockNumber(n)), reference.insert(n));
                assert!(!bits.insert(BlockNumber(n)));
            }
            assert_eq!(bits.members(), reference.len() as u64);
            assert!((0..blocks + 70).all(|n| bits.contains(BlockNumber(n)) == reference.contains(&n)));
        }
    }

    #[test]
    fn words_round_trip_and_never_grow_past_the_volume() {
        let bits = Bits::all(70);
        bits.remove(BlockNumber(3));
        let again = Bits::from_words(70, bits.words()).unwrap();
        assert!(again.words().eq(bits.words()) && again.members() == 69);
        let noisy = Bits::from_words(70, [u64::MAX, u64::MAX].into_iter()).unwrap();
        assert_eq!(noisy.members(), 70);
        assert!(!noisy.contains(BlockNumber(70)));
        assert!(Bits::from_words(70, [0].into_iter()).is_none());
    }

    #[test]
    fn merging_counts_new_members_once() {
        let (mine, theirs) = (Bits::none(130), Bits::none(130));
        for n in [0, 64, 129] {
            theirs.insert(BlockNumber(n));
        }
        mine.insert(BlockNumber(64));
        mine.insert_words_of(&theirs, 0..2);
        assert_eq!((mine.members(), mine.contains(BlockNumber(129))), (2, false));
        mine.insert_words_of(&theirs, 0..3);
        assert_eq!(mine.members(), 3);
    }
}
