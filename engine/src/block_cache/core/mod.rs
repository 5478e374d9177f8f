//! The block cache's state machine: what is legal. No lock, no clock, no async, no I/O; time is an argument, effects
//! come out as values, so every production interleaving is a sequence of these calls.
//!
//! | state | content | in recency | pending write | what may happen |
//! |---|---|---|---|---|
//! | CLEAN | complete, as in the store | yes | no | read, write -> DIRTY, evict, load from the cache file |
//! | CLEAN2 | complete in the cache file, unverified | yes | no | read -> READING2; partial write -> DIRTY without its base; evict |
//! | READING | nothing, GET in flight | no | no | fetched -> CLEAN; failed -> gone; write -> MERGING |
//! | READING2 | unverified, GET in flight | no | no | same -> CLEAN; other -> CLEAN with new bytes; failed -> CLEAN2 |
//! | DIRTY | complete, or an overlay | no | yes | picked -> STAGING (zero: WRITING at once) |
//! | STAGING | as DIRTY; a task folds, loads or copies it | no | yes | incomplete -> MERGING; ready -> WRITING |
//! | MERGING | overlay, GET in flight | no | yes | fetched -> DIRTY or STAGING; failed -> DIRTY |
//! | WRITING | complete; its snapshot is being stored | no | yes | stored -> CLEAN; write -> WRITING2; failed -> DIRTY |
//! | WRITING2 | as WRITING, written again since | no | yes, two | stored -> DIRTY; failed -> DIRTY |
//!
//! Every pending write has a number; an entry keeps that of its first write not yet stored (and, in WRITING2, of its
//! first write after the snapshot). [`Core::check_invariants`] executes this table after every step in tests.

mod flush;
mod persist;
mod read;
mod resident;
mod restore;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use persist::{PersistItem, PersistStep};
pub(crate) use read::{Arrived, Want};
pub(crate) use store::Step;
pub(crate) use write::{Access, Blocked};

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::at_risk::AtRisk;
use super::barrier::Barrier;
use super::buffer::Form;
use super::content::{Base, Content};
use super::oldest::Oldest;
use super::readahead::ReadAhead;
#[cfg(test)]
use super::recency::List;
use super::recency::{Linked, Links, Recency};
use super::ticket::Ticket;
use crate::error::Error;
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::payload::Payload;
use crate::stats::Stats;
use crate::store::Expect;

/// Microseconds since the cache was opened.
pub(crate) type Micros = u64;

/// What a ticket's holder is told.
#[derive(Clone)]
pub(crate) enum Wake {
    /// Look again.
    Retry,
    /// There may be room: look again, then [`Core::pass_on_room`].
    Room,
    /// The block's content when it arrived.
    Block(Base),
    /// The flush is done.
    Flushed,
    Failed(Error),
}

/// What room is wanted for. Readers do not wait for the dirty limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// What the core asks for.
pub(crate) enum Effect {
    Wake(Ticket, Wake),
    /// Read a block from the store, then [`Core::fetched`].
    Fetch {
        index: u32,
        block: BlockNumber,
        expect: Expect,
    },
    /// Load a slot of the cache file, then [`Core::loaded`].
    Load {
        index: u32,
        slot: u32,
    },
    /// Carry an entry to the store, step by step: [`Core::next_step`].
    Work {
        index: u32,
    },
    /// Delete zero blocks, then [`Core::deleted`].
    Delete {
        items: Vec<(u32, BlockNumber)>,
    },
    /// Call [`Core::poll`] soon: something became due earlier than announced.
    Poll,
    /// The cache file has work: [`Core::next_persist`].
    Persist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Clean,
    Clean2,
    Reading,
    Reading2,
    Dirty,
    Staging,
    Merging,
    Writing,
    Writing2,
}

/// Plain numbers; all times in microseconds, all sizes in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) geometry: Geometry,
    pub(crate) payload: Payload,
    pub(crate) capacity: u32,
    /// Most dirty blocks, at most `capacity`.
    pub(crate) max_dirty: u32,
    pub(crate) threads: u32,
    pub(crate) write_delay: Micros,
    /// 0: never.
    pub(crate) timeout: Micros,
    pub(crate) protected: u32,
    pub(crate) read_ahead: u32,
    pub(crate) read_ahead_trigger: u32,
    pub(crate) first_backoff: Micros,
    pub(crate) longest_backoff: Micros,
    /// Nothing is ever stored: dirty blocks from the cache file are shown, and stay in it.
    pub(crate) read_only: bool,
    /// With a cache file.
    pub(crate) file: Option<FileConfig>,
}

#[derive(Clone, Debug)]
pub(crate) struct FileConfig {
    /// Blocks held in memory on top of the file.
    pub(crate) memory: u32,
}

struct Entry {
    block: BlockNumber,
    links: Links,
    state: State,
    /// Waits out a pause after a failure before it may be picked again.
    backing_off: bool,
    /// Loads and carriages to the cache file under way: not evicted meanwhile.
    pins: u8,
    marks: Marks,
    /// See [`AtRisk`].
    at_risk: u32,
    content: Content,
    /// Number of the first write not yet stored; 0: none.
    pending: u64,
    /// Dirty: when that write happened. Clean: last use (kept only with a timeout).
    time: Micros,
    busy: Option<Box<Busy>>,
}

/// In one byte: a field each would make every entry eight bytes larger.
#[derive(Clone, Copy)]
struct Marks(u8);

impl Marks {
    /// Read or written since the memory hand last passed.
    const REFERENCED: u8 = 1;
    /// Fetched before anybody asked, and not asked for yet.
    const AHEAD: u8 = 2;

    fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    /// Clears it; says whether it was set.
    fn take(&mut self, mark: u8) -> bool {
        let was = self.0 & mark != 0;
        self.0 &= !mark;
        was
    }
}

/// What an entry needs only while something is going on.
#[derive(Default)]
struct Busy {
    tickets: Vec<Ticket>,
    /// WRITING2: number and time of the first write after the snapshot.
    after: u64,
    after_time: Micros,
    after_at_risk: u32,
    attempts: u32,
    /// Why the last attempt failed for good; flushes and reads of unknown bytes are told.
    error: Option<Error>,
    /// A slot of the background limit is held.
    slot: bool,
    /// STAGING, MERGING: stop after the merge; a reader asked for it.
    merge_only: bool,
    /// A load for a reader is under way.
    loading: bool,
}

/// What an entry has in the cache file. A side table: only there with a cache file.
#[derive(Clone, Copy)]
struct InFile {
    slot: u32,
    /// Number of the first change not in the file and not on its way there; 0: none.
    pending: u64,
    /// Number of the first change on its way to the file; 0: none.
    carrying: u64,
    /// The slot holds exactly the current content.
    current: bool,
    /// What the file's record says.
    recorded_dirty: bool,
    /// Counted among the blocks in memory.
    resident: bool,
    /// Restored and believed without asking the store.
    unverified: bool,
    etag: Option<ETag>,
}

const NO_SLOT: u32 = u32::MAX;

struct Table {
    entries: Vec<Entry>,
}

impl Linked for Table {
    fn links(&mut self, index: u32) -> &mut Links {
        &mut self.entries[index as usize].links
    }
}

pub(crate) struct Core {
    config: Config,
    table: Table,
    in_file: Vec<InFile>,
    free: Vec<u32>,
    index: HashMap<u32, u32, BlockHash>,
    recency: Recency,
    /// Number of the last write.
    sequence: u64,
    dirty: u32,
    at_risk: AtRisk,
    ready: Oldest,
    stored: Barrier,
    retries: BTreeSet<(Micros, u32)>,
    /// Entries whose last store failed for good.
    failing: u32,
    /// Write-backs, merges and read-aheads in flight.
    background: u32,
    next_ticket: u64,
    room_waiters: VecDeque<(Ticket, Purpose)>,
    read_ahead: ReadAhead,
    prefetch: VecDeque<u32>,
    /// When the driver looks next by itself.
    poll_at: Micros,
    draining: bool,
    file: persist::FileState,
    effects: Vec<Effect>,
    stats: Arc<Stats>,
}

/// Spreads block numbers over a hash table: they are small, dense and not hostile.
#[derive(Clone, Copy, Default)]
pub(crate) struct BlockHash;

impl std::hash::BuildHasher for BlockHash {
    type Hasher = BlockHasher;

    fn build_hasher(&self) -> BlockHasher {
        BlockHasher(0)
    }
}

pub(crate) struct BlockHasher(u64);

impl std::hash::Hasher for BlockHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // Fibonacci hashing; the rotation moves the well-mixed bits to both ends, where hashbrown looks.
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

impl Core {
    pub(crate) fn new(config: Config, stats: Arc<Stats>) -> Self {
        let blocks = config.geometry.blocks();
        let read_ahead = ReadAhead::new(config.read_ahead, config.read_ahead_trigger, blocks);
        let file = persist::FileState::new(&config);
        stats.block_cache.capacity.set(u64::from(config.capacity));
        let room = config.capacity as usize;
        Self {
            table: Table { entries: Vec::with_capacity(room) },
            in_file: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_capacity_and_hasher(room, BlockHash),
            recency: Recency::new(),
            sequence: 0,
            dirty: 0,
            at_risk: AtRisk::default(),
            ready: Oldest::default(),
            stored: Barrier::default(),
            retries: BTreeSet::new(),
            failing: 0,
            background: 0,
            next_ticket: 0,
            room_waiters: VecDeque::new(),
            read_ahead,
            prefetch: VecDeque::new(),
            poll_at: Micros::MAX,
            draining: false,
            file,
            effects: Vec::new(),
            stats,
            config,
        }
    }

    /// What has to be done since the last call, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    pub(crate) fn block_of(&self, index: u32) -> BlockNumber {
        self.entry(index).block
    }

    pub(crate) fn len(&self) -> u32 {
        self.index.len() as u32
    }

    pub(crate) fn dirty(&self) -> u32 {
        self.dirty
    }

    /// Whether the cache has no entry of this block.
    pub(crate) fn is_absent(&self, block: BlockNumber) -> bool {
        self.find(block).is_none()
    }

    /// Entries that can be added without evicting any.
    pub(crate) fn free_room(&self) -> u32 {
        self.config.capacity.saturating_sub(self.len())
    }

    pub(crate) fn threads(&self) -> u32 {
        self.config.threads
    }

    pub(crate) fn longest_backoff(&self) -> Duration {
        Duration::from_micros(self.config.longest_backoff)
    }

    fn has_room(&self) -> bool {
        let room = self.len() < self.config.capacity && self.memory_has_room();
        room || (self.recency.oldest().is_some() && (self.memory_has_room() || self.must_evict_for_memory()))
    }

    fn block_size(&self) -> u32 {
        self.config.geometry.block_size()
    }

    pub(crate) fn form(&self) -> Form {
        Form { block_size: self.block_size(), payload: self.config.payload }
    }

    fn entry(&self, index: u32) -> &Entry {
        &self.table.entries[index as usize]
    }

    fn entry_mut(&mut self, index: u32) -> &mut Entry {
        &mut self.table.entries[index as usize]
    }

    fn find(&self, block: BlockNumber) -> Option<u32> {
        self.index.get(&block.0).copied()
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Makes sure one more entry fits, evicting if it must.
    fn make_room(&mut self) -> bool {
        while self.must_evict_for_memory() || self.len() >= self.config.capacity {
            let Some(oldest) = self.recency.oldest() else {
                return false;
            };
            self.stats.block_cache.evictions.increment();
            self.remove(oldest);
        }
        self.memory_has_room()
    }

    fn insert(&mut self, block: BlockNumber, state: State, content: Content, now: Micros) -> u32 {
        let entry = Entry {
            block,
            links: Links::OUT,
            state,
            backing_off: false,
            pins: 0,
            marks: Marks(Marks::REFERENCED),
            at_risk: 0,
            content,
            pending: 0,
            time: now,
            busy: None,
        };
        let index = match self.free.pop() {
            Some(index) => {
                *self.entry_mut(index) = entry;
                index
            }
            None => {
                self.table.entries.push(entry);
                self.table.entries.len() as u32 - 1
            }
        };
        self.file_inserted(index);
        self.index.insert(block.0, index);
        if matches!(state, State::Clean | State::Clean2) {
            self.push_recent(index);
        }
        self.stats.block_cache.current_size.set(u64::from(self.len()));
        index
    }

    /// Forgets a clean or reading entry.
    fn remove(&mut self, index: u32) {
        debug_assert_eq!(self.entry(index).pending, 0);
        self.recency.remove(&mut self.table, index);
        self.file_removed(index);
        let block = self.entry(index).block;
        self.index.remove(&block.0);
        let entry = self.entry_mut(index);
        entry.content = Content::new(Base::Absent);
        entry.busy = None;
        self.free.push(index);
        self.stats.block_cache.current_size.set(u64::from(self.len()));
    }

    fn push_recent(&mut self, index: u32) {
        let protected = self.entry(index).block.0 < self.config.protected;
        self.recency.push(&mut self.table, index, protected);
    }

    fn wake_all(&mut self, index: u32, wake: &Wake) {
        if let Some(busy) = &mut self.entry_mut(index).busy {
            let tickets = std::mem::take(&mut busy.tickets);
            self.effects.extend(tickets.into_iter().map(|ticket| Effect::Wake(ticket, wake.clone())));
        }
    }

    /// Lets the next one in who waits for room, if there is some. Whoever is let in calls this again when done.
    pub(crate) fn pass_on_room(&mut self) {
        if self.room_waiters.is_empty() || !self.has_room() {
            return;
        }
        let may_dirty = self.may_dirty();
        let next = self.room_waiters.iter().position(|(_, purpose)| may_dirty || *purpose == Purpose::Read);
        if let Some((ticket, _)) = next.and_then(|at| self.room_waiters.remove(at)) {
            self.effects.push(Effect::Wake(ticket, Wake::Room));
        }
    }

    /// Waits for room (a free or evictable entry, and fewer dirty ones than the limit). `again`: was let in, and
    /// found the room gone; keeps its place.
    pub(crate) fn wait_for_room(&mut self, again: bool, purpose: Purpose) -> Ticket {
        let ticket = self.new_ticket();
        if again {
            self.room_waiters.push_front((ticket, purpose));
        } else {
            self.room_waiters.push_back((ticket, purpose));
        }
        self.stats.block_cache.pressure_waits.increment();
        self.effects.push(Effect::Poll);
        ticket
    }

    fn may_dirty(&self) -> bool {
        self.dirty < self.config.max_dirty
    }

    /// Executes the table above. For tests: O(entries).
    #[cfg(test)]
    pub(crate) fn check_invariants(&mut self) {
        let mut dirty = 0;
        let mut recent = 0;
        let mut slots = 0;
        let mut failing = 0;
        for (&block, &index) in &self.index {
            let entry = self.entry(index);
            assert_eq!(entry.block.0, block);
            let busy = entry.busy.as_deref();
            let clean = matches!(entry.state, State::Clean | State::Clean2);
            let reading = matches!(entry.state, State::Reading | State::Reading2);
            let free = clean && entry.pins == 0;
            assert_eq!(entry.links.list != List::Out, free, "{block:x}: recency holds exactly the clean and free");
            assert_eq!(
                entry.pending != 0,
                !clean && !reading,
                "{block:x} {:?}: pending {}",
                entry.state,
                entry.pending
            );
            match entry.state {
                State::Clean => assert!(entry.content.is_complete() && entry.content.overlay.is_none()),
                State::Clean2 | State::Reading2 => assert!(entry.content.overlay.is_none()),
                State::Reading => assert!(!entry.content.is_complete() && entry.content.overlay.is_none()),
                State::Writing | State::Writing2 => assert!(entry.content.is_complete()),
                State::Dirty => {
                    assert!(entry.content.is_complete() || entry.content.overlay.is_some());
                    let pending = entry.pending;
                    let queued = self.ready.iter().any(|item| item == (pending, index));
                    let waits = self.retries.iter().any(|(_, i)| *i == index);
                    assert_eq!(entry.backing_off, waits, "{block:x}");
                    assert!(queued || waits, "{block:x}: a dirty block nobody will pick");
                }
                State::Staging | State::Merging => {}
            }
            let after = busy.is_some_and(|busy| busy.after != 0);
            assert_eq!(after, entry.state == State::Writing2, "{block:x}");
            dirty += u32::from(entry.pending != 0);
            recent += u32::from(free);
            slots += u32::from(busy.is_some_and(|busy| busy.slot));
            failing += u32::from(busy.is_some_and(|busy| busy.error.is_some()));
            if clean || entry.state == State::Dirty {
                assert!(busy.is_none_or(|busy| !busy.slot), "{block:x}: a slot is held for nothing");
                assert!(
                    busy.is_none_or(|busy| busy.tickets.is_empty() || busy.loading),
                    "{block:x}: forgotten waiters"
                );
            }
        }
        assert_eq!(self.dirty, dirty);
        assert_eq!(self.recency.len(), recent);
        assert_eq!(self.failing, failing);
        assert!(self.background >= slots);
        assert!(self.len() <= self.config.capacity);
        assert!(self.dirty <= self.config.capacity);
        if self.stored.is_waiting() {
            let table = &self.table;
            let first = self.stored.first(|seq, i| table.entries[i as usize].pending == seq);
            assert!(first.is_some_and(|first| first <= self.stored.urgent()), "a flush waits for nothing");
        }
    }
}

impl Entry {
    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_with(Box::default)
    }

    /// Drops the busy part when nothing needs it any more.
    fn tidy(&mut self) {
        if let Some(busy) = &self.busy
            && busy.tickets.is_empty()
            && busy.after == 0
            && busy.error.is_none()
            && busy.attempts == 0
            && !busy.slot
            && !busy.loading
        {
            self.busy = None;
        }
    }
}
