//! LRU stack distances: how many other blocks were touched since a block was last touched, for every access of a workload.
//!
//! A cache of C blocks hits exactly the accesses of distance below C, so one pass answers for all cache sizes. Reads and writes
//! both count and both load the block (write-allocate); every block of a request is one access, in ascending order.
//! Discards are not accesses and leave the order as it is.
//!
//! Blocks stand in the order of their last access, a bit for each; a distance is the number of bits behind one. Bits are summed up
//! in groups of 512 in a Fenwick tree, which stays in the processor's cache. When the row of bits is used up it is closed
//! up, so memory depends on the distinct blocks followed and not on the accesses.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;
use s3b_scenarios::{Op, OpKind};

use super::histogram::Histogram;
use super::shards::Sample;
use super::{blocks, shift_of};

/// What one access found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// This block is not followed.
    Unknown,
    First,
    /// So many other blocks lie between (an estimate once sampling has begun).
    After(u64),
}

/// The distances of one kind of access.
#[derive(Clone, Debug, Default)]
pub struct Distances {
    /// All accesses, followed or not.
    pub accesses: u64,
    /// Weight of those that found nothing before them.
    pub first: f64,
    pub histogram: Histogram,
}

impl Distances {
    fn add(&mut self, reuse: Reuse, weight: f64) {
        match reuse {
            Reuse::Unknown => {}
            Reuse::First => self.first += weight,
            Reuse::After(distance) => self.histogram.add(distance, weight),
        }
    }

    /// The share of accesses that hit, for each cache size in blocks; the sizes ascend.
    ///
    /// With a sample, what its weights miss of the true number of accesses (or exceed it by) is taken as hits at the least
    /// distance: SHARDS-adj. A few hot blocks are most of that error, and they are close.
    pub fn hit_ratios(&self, cache_blocks: &[u64]) -> Vec<f64> {
        let missing = self.accesses as f64 - self.first - self.histogram.total();
        let hits = self.histogram.below(cache_blocks);
        let accesses = self.accesses.max(1) as f64;
        let ratio = |(hits, blocks): (f64, &u64)| if *blocks == 0 { 0.0 } else { (hits + missing) / accesses };
        hits.into_iter().zip(cache_blocks).map(ratio).map(|ratio| ratio.clamp(0.0, 1.0)).collect()
    }

    /// The share of accesses to blocks touched before.
    pub fn reuse(&self) -> f64 {
        if self.accesses == 0 { 0.0 } else { (1.0 - self.first / self.accesses as f64).clamp(0.0, 1.0) }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    place: u32,
    touched: Touched,
}

/// Whether a block was read, was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Touched(u8);

impl Touched {
    const READ: Self = Self(1);
    const WRITTEN: Self = Self(2);

    fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Follows the accesses of one workload in blocks of one size.
pub struct Recency {
    shift: u32,
    sample: Sample,
    entries: HashMap<u64, Entry>,
    order: Order,
    /// The block touched last, which needs no search: most accesses to large blocks are to it.
    latest: Option<(u64, Touched)>,
    all: Distances,
    reads: Distances,
}

impl Recency {
    /// `block_size` is a power of two; at most `limit` blocks are followed, beyond that a sample of them.
    pub fn new(block_size: u64, limit: usize) -> Self {
        Self {
            shift: shift_of(block_size),
            sample: Sample::up_to(limit),
            entries: HashMap::new(),
            order: Order::holding(0),
            latest: None,
            all: Distances::default(),
            reads: Distances::default(),
        }
    }

    /// Takes a read or write at byte `at` of the volume; other operations touch no block.
    pub fn add(&mut self, op: &Op, at: u64) {
        if matches!(op.kind, OpKind::Read | OpKind::Write) {
            for block in blocks(at, op.len, self.shift) {
                self.touch(block, op.kind == OpKind::Read);
            }
        }
    }

    /// One access to one block.
    pub fn touch(&mut self, block: u64, read: bool) -> Reuse {
        self.all.accesses += 1;
        self.reads.accesses += u64::from(read);
        let weight = self.sample.weight();
        let reuse = self.moved_up(block, if read { Touched::READ } else { Touched::WRITTEN });
        self.all.add(reuse, weight);
        if read {
            self.reads.add(reuse, weight);
        }
        while self.sample.is_full(self.entries.len()) {
            self.thin_out();
        }
        reuse
    }

    fn moved_up(&mut self, block: u64, touch: Touched) -> Reuse {
        if self.latest.is_some_and(|(latest, touched)| latest == block && touched.includes(touch)) {
            return Reuse::After(0);
        }
        if !self.sample.keeps(block) {
            return Reuse::Unknown;
        }
        if self.order.is_used_up() {
            self.close_up();
        }
        match self.entries.entry(block) {
            Slot::Vacant(slot) => {
                slot.insert(Entry { place: self.order.push(), touched: touch });
                self.latest = Some((block, touch));
                Reuse::First
            }
            Slot::Occupied(mut slot) => {
                let entry = slot.get_mut();
                let distance = self.order.behind(entry.place);
                self.order.remove(entry.place);
                entry.place = self.order.push();
                entry.touched = Touched(entry.touched.0 | touch.0);
                self.latest = Some((block, entry.touched));
                Reuse::After(self.sample.scaled(distance))
            }
        }
    }

    fn close_up(&mut self) {
        let ranks = self.order.ranks();
        for entry in self.entries.values_mut() {
            entry.place = self.order.rank(&ranks, entry.place);
        }
        self.order = Order::holding(self.entries.len());
    }

    fn thin_out(&mut self) {
        self.sample.halve();
        let Self { sample, entries, order, .. } = self;
        entries.retain(|block, entry| {
            let kept = sample.keeps(*block);
            if !kept {
                order.remove(entry.place);
            }
            kept
        });
        self.latest = None;
    }

    pub fn block_size(&self) -> u64 {
        1 << self.shift
    }

    /// Reads and writes.
    pub fn all(&self) -> &Distances {
        &self.all
    }

    /// The reads among them; the writes still load and move blocks.
    pub fn reads(&self) -> &Distances {
        &self.reads
    }

    /// The share of blocks that was followed: 1 is exact.
    pub fn rate(&self) -> f64 {
        self.sample.rate()
    }

    /// Distinct blocks touched.
    pub fn distinct(&self) -> u64 {
        self.sample.scaled(self.entries.len() as u64)
    }

    pub fn distinct_read(&self) -> u64 {
        self.distinct_touched(Touched::READ)
    }

    pub fn distinct_written(&self) -> u64 {
        self.distinct_touched(Touched::WRITTEN)
    }

    fn distinct_touched(&self, how: Touched) -> u64 {
        self.sample.scaled(self.entries.values().filter(|entry| entry.touched.includes(how)).count() as u64)
    }
}

const GROUP_WORDS: usize = 8;
const GROUP_PLACES: usize = GROUP_WORDS * 64;
const LEAST_GROUPS: usize = 8;

/// A row of places, the most recent last; each is taken or has been left.
struct Order {
    taken: Vec<u64>,
    /// A Fenwick tree over the taken places of each group, counting from 1.
    tree: Vec<u32>,
    next: usize,
    count: u64,
}

impl Order {
    /// With the first `count` places taken, and as many again free.
    fn holding(count: usize) -> Self {
        let groups = (2 * count).div_ceil(GROUP_PLACES).max(LEAST_GROUPS);
        assert!(groups * GROUP_PLACES <= u32::MAX as usize, "more blocks are followed than places have numbers");
        let mut order =
            Self { taken: vec![0; groups * GROUP_WORDS], tree: vec![0; groups + 1], next: count, count: count as u64 };
        for (n, word) in order.taken.iter_mut().enumerate() {
            let inside = count.saturating_sub(n * 64).min(64);
            *word = if inside == 64 { u64::MAX } else { (1 << inside) - 1 };
        }
        for group in 1..=groups {
            order.tree[group] += count.saturating_sub((group - 1) * GROUP_PLACES).min(GROUP_PLACES) as u32;
            let above = group + (group & group.wrapping_neg());
            if above <= groups {
                order.tree[above] += order.tree[group];
            }
        }
        order
    }

    fn is_used_up(&self) -> bool {
        self.next == self.taken.len() * 64
    }

    fn push(&mut self) -> u32 {
        let place = self.next;
        self.taken[place / 64] |= 1 << (place % 64);
        self.change(place, 1);
        self.next += 1;
        self.count += 1;
        place as u32
    }

    fn remove(&mut self, place: u32) {
        self.taken[place as usize / 64] &= !(1 << (place % 64));
        self.change(place as usize, u32::MAX);
        self.count -= 1;
    }

    /// Adds to the group of a place, modulo 2^32.
    fn change(&mut self, place: usize, by: u32) {
        let mut group = place / GROUP_PLACES + 1;
        while group < self.tree.len() {
            self.tree[group] = self.tree[group].wrapping_add(by);
            group += group & group.wrapping_neg();
        }
    }

    /// How many places are taken behind a taken one.
    fn behind(&self, place: u32) -> u64 {
        let place = place as usize;
        let mut group = place / GROUP_PLACES;
        let first_word = group * GROUP_WORDS;
        let mut before = 0;
        while group > 0 {
            before += u64::from(self.tree[group]);
            group &= group - 1;
        }
        let word = place / 64;
        let inside = self.taken[first_word..word].iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        let below = u64::from((self.taken[word] & ((1 << (place % 64)) - 1)).count_ones());
        self.count - (before + inside + below) - 1
    }

    /// The places taken before each word.
    fn ranks(&self) -> Vec<u32> {
        let mut sum = 0;
        let before = self.taken.iter().map(|word| {
            let before = sum;
            sum += word.count_ones();
            before
        });
        before.collect()
    }

    fn rank(&self, ranks: &[u32], place: u32) -> u32 {
        let word = place as usize / 64;
        ranks[word] + (self.taken[word] & ((1 << (place % 64)) - 1)).count_ones()
    }
}

#[cfg(test)]
mod tests;
