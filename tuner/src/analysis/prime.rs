//! What a cache holds when a window begins: found by following the operations before it through an LRU cache with a write delay.
//!
//! A run of a window alone would start cold and miss what the workload had long loaded. Pure and without an engine: no read-ahead, no
//! failures, stores take no time, and a dirty block that falls out has been stored.

use std::collections::VecDeque;

use hashbrown::HashMap;
use s3b_scenarios::{Op, OpKind};

use super::{blocks, shift_of};

/// The cache of the configuration that will be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Bytes; a power of two.
    pub block_size: u64,
    /// How many blocks the cache holds; at least 1.
    pub blocks: usize,
    pub write_delay_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedBlock {
    /// Number in the volume.
    pub block: u64,
    /// Written, and not yet stored at the moment asked for.
    pub is_dirty: bool,
}

/// An LRU cache without content, fed with operations in order; can be asked at several times on the way.
pub struct ModelCache {
    shape: CacheShape,
    shift: u32,
    entries: HashMap<u64, Entry>,
    /// Touches, oldest first; only the last one of a block counts.
    touches: VecDeque<(u64, u64)>,
    next_touch: u64,
    /// Blocks that became dirty under an earlier number are clean.
    flushes: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    touch: u64,
    /// Since when, and under which number of flushes.
    dirty: Option<(u64, u64)>,
}

impl ModelCache {
    pub fn new(shape: CacheShape) -> Self {
        Self {
            shape: CacheShape { blocks: shape.blocks.max(1), ..shape },
            shift: shift_of(shape.block_size),
            entries: HashMap::new(),
            touches: VecDeque::new(),
            next_touch: 0,
            flushes: 0,
        }
    }

    /// Takes the next operation, whose first byte in the volume is `at`.
    pub fn add(&mut self, op: &Op, at: u64) {
        if op.kind == OpKind::Flush || op.flush_before {
            self.flushes += 1;
        }
        match op.kind {
            OpKind::Read | OpKind::Write => {
                for block in blocks(at, op.len, self.shift) {
                    self.touch(block, op);
                }
            }
            OpKind::Discard => self.discard(at, op.len),
            OpKind::Flush => {}
        }
        if op.durable {
            self.flushes += 1;
        }
    }

    fn touch(&mut self, block: u64, op: &Op) {
        let touch = self.next_touch;
        self.next_touch += 1;
        self.touches.push_back((block, touch));
        let (delay, flushes) = (self.shape.write_delay_ns, self.flushes);
        let entry = self.entries.entry(block).or_insert(Entry { touch, dirty: None });
        entry.touch = touch;
        if op.kind == OpKind::Write && !is_dirty(entry, op.time_ns, delay, flushes) {
            entry.dirty = Some((op.time_ns, flushes));
        }
        while self.entries.len() > self.shape.blocks {
            self.drop_oldest();
        }
        if self.touches.len() > 2 * self.entries.len() + 1024 {
            let entries = &self.entries;
            self.touches.retain(|(block, touch)| entries.get(block).is_some_and(|entry| entry.touch == *touch));
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((block, touch)) = self.touches.pop_front()
            && self.entries.get(&block).is_some_and(|entry| entry.touch == touch)
        {
            self.entries.remove(&block);
        }
    }

    /// Blocks discarded whole are known to be zero and need no place.
    fn discard(&mut self, at: u64, len: u64) {
        let (first, end) = (at.div_ceil(self.shape.block_size), (at + len) >> self.shift);
        self.entries.retain(|block, _| !(first..end).contains(block));
    }

    /// The blocks held at this time, no earlier than the last operation taken; the least recently used first: touching them
    /// in this order leaves the cache as the workload would.
    pub fn at(&self, now_ns: u64) -> Vec<CachedBlock> {
        let held = self.touches.iter().filter_map(|(block, touch)| {
            let entry = self.entries.get(block).filter(|entry| entry.touch == *touch)?;
            let is_dirty = is_dirty(entry, now_ns, self.shape.write_delay_ns, self.flushes);
            Some(CachedBlock { block: *block, is_dirty })
        });
        held.collect()
    }
}

fn is_dirty(entry: &Entry, now: u64, delay: u64, flushes: u64) -> bool {
    entry.dirty.is_some_and(|(since, number)| number == flushes && now - since <= delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CacheShape = CacheShape { block_size: 4096, blocks: 3, write_delay_ns: 10 };

    fn op(time: u64, kind: OpKind, block: u64) -> Op {
        Op::new(time, kind, block * 4096, 4096)
    }

    /// Right before this time: blocks, and whether they are dirty.
    fn held(ops: &[Op], before: u64) -> Vec<(u64, bool)> {
        let mut cache = ModelCache::new(SHAPE);
        ops.iter().filter(|op| op.time_ns < before).for_each(|op| cache.add(op, op.offset));
        cache.at(before).iter().map(|one| (one.block, one.is_dirty)).collect()
    }

    #[test]
    fn the_last_blocks_touched_are_held_and_young_writes_are_dirty() {
        let ops = [
            op(0, OpKind::Read, 1),
            op(1, OpKind::Write, 2),
            op(2, OpKind::Write, 3),
            op(3, OpKind::Read, 1),
            op(4, OpKind::Read, 4),
            op(9, OpKind::Write, 3),
            op(20, OpKind::Write, 3),
        ];
        assert_eq!(held(&ops, 5), [(3, true), (1, false), (4, false)]);
        assert_eq!(held(&ops, 12), [(1, false), (4, false), (3, true)], "dirty since the first write");
        assert_eq!(held(&ops, 13), [(1, false), (4, false), (3, false)], "stored");
        assert_eq!(held(&ops, 21), [(1, false), (4, false), (3, true)], "dirty again");
        assert_eq!(held(&ops, 0), []);
    }

    #[test]
    fn flushes_clean_and_discards_empty() {
        let ops = [op(0, OpKind::Write, 1), op(0, OpKind::Write, 2), Op::new(1, OpKind::Flush, 0, 0)];
        assert_eq!(held(&ops, 2), [(1, false), (2, false)]);
        let ops = [op(0, OpKind::Write, 1), op(0, OpKind::Write, 2), Op::new(1, OpKind::Discard, 4097, 8192)];
        assert_eq!(held(&ops, 2), [(1, true)], "only block 2 is discarded whole");
        let ops = [op(0, OpKind::Write, 1), Op { durable: true, ..op(1, OpKind::Write, 2) }, op(2, OpKind::Write, 2)];
        assert_eq!(held(&ops, 3), [(1, false), (2, true)]);
    }

    #[test]
    fn memory_is_that_of_the_cache() {
        let mut cache = ModelCache::new(SHAPE);
        for n in 0..100_000 {
            cache.add(&op(n, OpKind::Read, n % 2), n % 2 * 4096);
            assert!(cache.touches.len() <= 1030 && cache.entries.len() <= 3);
        }
        assert_eq!(cache.at(100_000).len(), 2);
    }
}
