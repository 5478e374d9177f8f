//! The core explored as a model: every short sequence of events for two blocks, long random ones beyond.
//!
//! The harness plays driver, store, readers and writers. Content is tracked in cells of 256 bytes (half a sector), each
//! write giving its cells a version of their own, so "what was read" and "what is stored" can be compared with
//! "what was written, when" for every byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::buffer::Form;
use super::super::content::{Base, COPY_LIMIT};
use super::super::disk::{BlockRecord, Change, LoadedBlock, Slot};
use super::*;
use crate::data::BlockData;
use crate::geometry::{Geometry, Piece};
use crate::payload::{Payload, Source};

const BLOCK: u32 = 1024;
const CELL: u32 = 256;
const CELLS: usize = (BLOCK / CELL) as usize;

type Cells = [u8; CELLS];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    /// Cells `from..to` of a block.
    Write(u32, usize, usize),
    Zero(u32),
    Read(u32, usize),
    Flush,
    /// Time passes the write delay; due work starts.
    Tick,
    /// The oldest (newest) request in flight succeeds.
    Complete,
    CompleteNewest,
    /// The oldest fails, before or after it was applied.
    FailTransient,
    FailPermanent,
    FailApplied,
}

enum InFlight {
    Fetch(u32, BlockNumber),
    Merge(u32, BlockNumber),
    Store(u32, BlockNumber, BlockData),
    Delete(Vec<(u32, BlockNumber)>),
}

struct Blocked {
    block: u32,
    cells: std::ops::Range<usize>,
    zero: bool,
}

const FORM: Form = Form { block_size: BLOCK, payload: Payload::Real };

struct Harness {
    core: Core,
    now: Micros,
    blocks: usize,
    store: Vec<Cells>,
    /// The latest version of each cell.
    latest: Vec<Cells>,
    version: u8,
    /// All versions of each cell, oldest first: a reader may see any that was the latest since it began.
    history: Vec<[Vec<u8>; CELLS]>,
    in_flight: Vec<InFlight>,
    /// Block, cell, and length of the cell's history when the read began.
    readers: BTreeMap<Ticket, (u32, usize, usize)>,
    writers: BTreeMap<Ticket, Blocked>,
    flushes: BTreeMap<Ticket, Vec<Cells>>,
    errors: u32,
    trace: Vec<Event>,
    finishing: bool,
}

fn config(blocks: u32, capacity: u32, max_dirty: u32, threads: u32) -> Config {
    Config {
        geometry: Geometry::new(u64::from(BLOCK), u64::from(BLOCK * blocks)).unwrap(),
        payload: Payload::Real,
        capacity,
        max_dirty,
        threads,
        write_delay: 1000,
        timeout: 0,
        protected: 0,
        read_ahead: 0,
        read_ahead_trigger: 2,
        first_backoff: 100,
        longest_backoff: 3000,
        read_only: false,
        file: None,
    }
}

impl Harness {
    fn new(config: Config) -> Self {
        let blocks = config.geometry.blocks() as usize;
        let start = [[1; CELLS]].repeat(blocks);
        Self {
            core: Core::new(config, Arc::default()),
            now: 0,
            blocks,
            store: start.clone(),
            latest: start,
            version: 1,
            history: vec![std::array::from_fn(|_| vec![1]); blocks],
            in_flight: Vec::new(),
            readers: BTreeMap::new(),
            writers: BTreeMap::new(),
            flushes: BTreeMap::new(),
            errors: 0,
            trace: Vec::new(),
            finishing: false,
        }
    }

    fn apply(&mut self, event: Event) {
        if !self.finishing {
            self.trace.push(event);
        }
        self.now += 1;
        match event {
            Event::Write(block, from, to) => self.write(Blocked { block, cells: from..to, zero: false }, false),
            Event::Zero(block) => self.write(Blocked { block, cells: 0..CELLS, zero: true }, false),
            Event::Read(block, cell) => {
                let since = self.history[block as usize][cell].len();
                self.read(block, cell, since);
            }
            Event::Flush => {
                if let Some(ticket) = self.core.flush() {
                    self.flushes.insert(ticket, self.latest.clone());
                } else {
                    self.check_stored(&self.latest.clone());
                }
            }
            Event::Tick => {
                self.now += 1000;
                self.core.poll(self.now, |_| false);
            }
            Event::Complete if !self.in_flight.is_empty() => self.complete(0),
            Event::CompleteNewest if !self.in_flight.is_empty() => self.complete(self.in_flight.len() - 1),
            Event::FailTransient if !self.in_flight.is_empty() => self.fail(Error::transient("later"), false),
            Event::FailApplied if !self.in_flight.is_empty() => self.fail(Error::transient("in doubt"), true),
            Event::FailPermanent if !self.in_flight.is_empty() => self.fail(Error::corrupt("never"), false),
            _ => {}
        }
        self.effects();
        self.core.check_invariants();
    }

    fn write(&mut self, write: Blocked, queued: bool) {
        let access = Access { now: self.now, known_zero: false, queued };
        let block = BlockNumber(write.block);
        let start = write.cells.start as u32 * CELL;
        let piece = Piece { block, start, len: write.cells.len() as u32 * CELL };
        // Numbered when it happens, not when it was first tried: versions of a cell rise.
        let version = if write.zero { 0 } else { self.version + 1 };
        let bytes = vec![version; piece.len as usize];
        let result = if write.zero {
            self.core.replace(block, Base::Zero, access)
        } else {
            self.core.write(piece, Source::Bytes(&bytes), access)
        };
        match result {
            Ok(()) => {
                self.version = self.version.max(version);
                for cell in write.cells {
                    self.latest[write.block as usize][cell] = version;
                    self.history[write.block as usize][cell].push(version);
                }
            }
            Err(super::Blocked::Room) => {
                let ticket = self.core.wait_for_room(queued, Purpose::Write);
                self.writers.insert(ticket, write);
            }
            Err(super::Blocked::Bytes(piece)) => match self.core.want(piece, self.now, false) {
                Want::Wait(ticket) => drop(self.writers.insert(ticket, write)),
                Want::NoRoom => {
                    let ticket = self.core.wait_for_room(queued, Purpose::Read);
                    self.writers.insert(ticket, write);
                }
                Want::Failed(_) => self.errors += 1,
                Want::Ready | Want::Zero => panic!("blocked by bytes that are there: {:?}", self.trace),
            },
        }
        if queued {
            self.core.pass_on_room();
        }
    }

    fn piece(block: u32, cell: usize) -> Piece {
        Piece { block: BlockNumber(block), start: cell as u32 * CELL, len: CELL }
    }

    fn read(&mut self, block: u32, cell: usize, since: usize) {
        let piece = Self::piece(block, cell);
        let mut out = vec![0; CELL as usize];
        if let Some(content) = self.core.hit(piece, self.now) {
            content.copy_out(piece.range(), &mut out);
            assert_eq!(
                out,
                vec![self.latest[block as usize][cell]; CELL as usize],
                "a hit is not the latest: {:?}",
                self.trace
            );
            return;
        }
        match self.core.want(piece, self.now, false) {
            Want::Wait(ticket) => drop(self.readers.insert(ticket, (block, cell, since))),
            Want::NoRoom => {
                let ticket = self.core.wait_for_room(false, Purpose::Read);
                self.readers.insert(ticket, (block, cell, since));
            }
            Want::Failed(_) => self.errors += 1,
            Want::Ready | Want::Zero => panic!("a miss that is ready: {:?}", self.trace),
        }
    }

    fn effects(&mut self) {
        while self.core.has_effects() {
            for effect in self.core.take_effects() {
                match effect {
                    Effect::Wake(ticket, wake) => self.wake(ticket, wake),
                    Effect::Fetch { index, block, .. } => self.in_flight.push(InFlight::Fetch(index, block)),
                    Effect::Work { index } => self.work(index),
                    Effect::Delete { items } => self.in_flight.push(InFlight::Delete(items)),
                    Effect::Poll => drop(self.core.poll(self.now, |_| false)),
                    Effect::Load { .. } | Effect::Persist => panic!("there is no cache file"),
                }
            }
        }
    }

    fn work(&mut self, index: u32) {
        loop {
            match self.core.next_step(index) {
                Step::Again => {}
                Step::Finished => return,
                Step::Private(buffer) => self.core.replace_base(index, &buffer, buffer.private_copy()),
                Step::Merge(block) => return self.in_flight.push(InFlight::Merge(index, block)),
                Step::Store(block, data) => return self.in_flight.push(InFlight::Store(index, block, data)),
                Step::Load(_) => panic!("there is no cache file"),
            }
        }
    }

    fn wake(&mut self, ticket: Ticket, wake: Wake) {
        if let Some(expected) = self.flushes.remove(&ticket) {
            match wake {
                Wake::Flushed => self.check_stored(&expected),
                Wake::Failed(_) => self.errors += 1,
                _ => panic!("a flush was told to look again"),
            }
            return;
        }
        if let Some(write) = self.writers.remove(&ticket) {
            match wake {
                Wake::Failed(_) => {
                    self.errors += 1;
                    self.core.pass_on_room();
                }
                _ => self.write(write, true),
            }
        } else if let Some((block, cell, since)) = self.readers.remove(&ticket) {
            match wake {
                Wake::Failed(_) => self.errors += 1,
                Wake::Block(base) => {
                    let seen = match base {
                        Base::Memory(bytes) => bytes.as_ref()[cell * CELL as usize],
                        _ => 0,
                    };
                    let allowed = &self.history[block as usize][cell][since - 1..];
                    assert!(allowed.contains(&seen), "{seen} not in {allowed:?}: {:?}", self.trace);
                }
                _ => self.read(block, cell, since),
            }
            self.core.pass_on_room();
        } else {
            panic!("nobody holds {ticket:?}: {:?}", self.trace);
        }
    }

    fn cells(data: &BlockData) -> Cells {
        std::array::from_fn(|cell| match data {
            BlockData::Zero => 0,
            BlockData::Bytes(bytes) => {
                let cell = &bytes[cell * CELL as usize..][..CELL as usize];
                assert!(cell.iter().all(|byte| *byte == cell[0]), "a torn cell");
                cell[0]
            }
        })
    }

    fn complete(&mut self, at: usize) {
        match self.in_flight.remove(at) {
            InFlight::Fetch(index, block) => {
                let arrived = self.arrived(block);
                self.core.fetched(index, Ok(arrived), self.now);
            }
            InFlight::Merge(index, block) => {
                let arrived = self.arrived(block);
                if self.core.merged(index, Ok(arrived), self.now) {
                    self.work(index);
                }
            }
            InFlight::Store(index, block, data) => {
                self.store[block.0 as usize] = Self::cells(&data);
                // The layers below may hold their bytes a little longer.
                self.core.stored(index, Ok(None), self.now);
                drop(data);
            }
            InFlight::Delete(items) => {
                items.iter().for_each(|(_, block)| self.store[block.0 as usize] = [0; CELLS]);
                let results = items.into_iter().map(|(index, _)| (index, Ok(()))).collect();
                self.core.deleted(results, self.now);
            }
        }
    }

    fn arrived(&self, block: BlockNumber) -> Arrived {
        let cells = self.store[block.0 as usize];
        if cells == [0; CELLS] {
            return Arrived::Data(Base::Zero, None);
        }
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| [*cell; CELL as usize]).collect();
        Arrived::Data(Base::Memory(FORM.holding(&bytes)), None)
    }

    fn fail(&mut self, error: Error, applied: bool) {
        match self.in_flight.remove(0) {
            InFlight::Fetch(index, _) => self.core.fetched(index, Err(error), self.now),
            InFlight::Merge(index, _) => {
                if self.core.merged(index, Err(error), self.now) {
                    self.work(index);
                }
            }
            InFlight::Store(index, block, data) => {
                if applied {
                    self.store[block.0 as usize] = Self::cells(&data);
                }
                self.core.stored(index, Err(error), self.now);
            }
            InFlight::Delete(items) => {
                if applied {
                    items.iter().for_each(|(_, block)| self.store[block.0 as usize] = [0; CELLS]);
                }
                let results = items.into_iter().map(|(index, _)| (index, Err(error.clone()))).collect();
                self.core.deleted(results, self.now);
            }
        }
    }

    /// Each stored cell is at least as new as it was when the flush began.
    fn check_stored(&self, expected: &[Cells]) {
        for (block, cells) in expected.iter().enumerate() {
            for (cell, version) in cells.iter().enumerate() {
                let stored = self.store[block][cell];
                let newer = stored >= *version || stored == 0 || *version == 0;
                assert!(
                    newer,
                    "flushed version {version} of block {block} cell {cell}, stored {stored}: {:?}",
                    self.trace
                );
                // Without zeroing, versions only grow.
                if !self.trace.iter().any(|event| matches!(event, Event::Zero(_))) {
                    assert!(stored >= *version, "{:?}", self.trace);
                }
            }
        }
    }

    /// Everything heals: nobody waits any more, and the store has the latest of everything.
    fn finish(mut self) {
        self.finishing = true;
        self.core.drain();
        for _ in 0..500 {
            self.apply(Event::Tick);
            self.apply(Event::Complete);
            if self.in_flight.is_empty() && self.core.dirty() == 0 && self.writers.is_empty() && self.readers.is_empty()
            {
                break;
            }
        }
        self.apply(Event::Flush);
        assert!(self.flushes.is_empty(), "a flush hangs: {:?}", self.trace);
        let waiting =
            (&self.readers, self.writers.len(), self.core.room_waiters.len(), self.core.len(), self.core.dirty());
        assert!(self.readers.is_empty() && self.writers.is_empty(), "somebody hangs, {waiting:?}: {:?}", self.trace);
        assert_eq!(self.core.dirty(), 0, "{:?}", self.trace);
        assert_eq!(self.store, self.latest, "{:?}", self.trace);
        for block in 0..self.blocks as u32 {
            for cell in 0..CELLS {
                let since = self.history[block as usize][cell].len();
                self.read(block, cell, since);
                self.effects();
                while !self.in_flight.is_empty() {
                    self.apply(Event::Complete);
                }
            }
        }
        assert_eq!(self.core.background, 0);
    }
}

fn explore(config: &Config, alphabet: &[Event], depth: usize) -> usize {
    let mut count = 0;
    let mut digits = vec![0; depth];
    loop {
        let mut harness = Harness::new(config.clone());
        digits.iter().for_each(|digit| harness.apply(alphabet[*digit]));
        harness.finish();
        count += 1;
        let Some(at) = digits.iter().rposition(|digit| *digit + 1 < alphabet.len()) else {
            return count;
        };
        digits[at] += 1;
        digits[at + 1..].fill(0);
    }
}

#[test]
fn every_short_story_of_one_block_ends_well() {
    // Half a sector, one sector, the whole block; merges, flushes, errors of each kind.
    let alphabet = [
        Event::Write(0, 0, 2),
        Event::Write(0, 1, 2),
        Event::Write(0, 0, 4),
        Event::Zero(0),
        Event::Read(0, 3),
        Event::Flush,
        Event::Tick,
        Event::Complete,
        Event::FailTransient,
        Event::FailPermanent,
    ];
    assert_eq!(explore(&config(1, 1, 1, 1), &alphabet, 5), 100_000);
}

#[test]
fn every_short_story_of_two_blocks_under_pressure_ends_well() {
    // Two blocks, room for one: every write of the other has to wait, evict or be let in.
    let alphabet = [
        Event::Write(0, 0, 2),
        Event::Write(1, 0, 4),
        Event::Write(1, 3, 4),
        Event::Read(1, 0),
        Event::Flush,
        Event::Tick,
        Event::Complete,
        Event::CompleteNewest,
        Event::FailApplied,
    ];
    assert_eq!(explore(&config(2, 1, 1, 2), &alphabet, 5), 59_049);
    assert_eq!(explore(&config(2, 2, 1, 1), &alphabet, 5), 59_049);
}

#[test]
fn long_random_stories_end_well() {
    for seed in 0..3000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let blocks = random.random_range(1..6);
        let capacity = random.random_range(1..=blocks);
        let config = config(blocks, capacity, random.random_range(1..=capacity), random.random_range(1..4));
        let mut harness = Harness::new(config);
        for _ in 0..70 {
            let block = random.random_range(0..blocks);
            let from = random.random_range(0..CELLS);
            let event = match random.random_range(0..100) {
                0..30 => Event::Write(block, from, random.random_range(from..CELLS) + 1),
                30..34 => Event::Zero(block),
                34..50 => Event::Read(block, from),
                50..55 => Event::Flush,
                55..70 => Event::Tick,
                70..84 => Event::Complete,
                84..90 => Event::CompleteNewest,
                90..94 => Event::FailTransient,
                94..97 => Event::FailApplied,
                _ => Event::FailPermanent,
            };
            harness.apply(event);
        }
        harness.finish();
    }
}

/// A writer that rewrites one block without pause cannot hold a flush longer than two stores.
#[test]
fn a_flush_waits_for_two_stores_at_most() {
    let mut harness = Harness::new(config(1, 1, 1, 4));
    harness.apply(Event::Write(0, 0, 4));
    harness.apply(Event::Tick);
    harness.apply(Event::Write(0, 0, 4));
    harness.apply(Event::Flush);
    let mut stores = 0;
    while !harness.flushes.is_empty() {
        harness.apply(Event::Write(0, 0, 4));
        harness.apply(Event::Complete);
        stores += 1;
        harness.apply(Event::Write(0, 0, 4));
    }
    assert_eq!(stores, 2);
    harness.finish();
}

#[test]
fn an_entry_and_its_table_cost_little() {
    // Entry, hash table slot at its fullest load factor of 7/16 to 7/8, and what the buffer's owner needs.
    let entry = size_of::<Entry>();
    let table = 9 * 16 / 7;
    let counts_and_allocator = 16 + 8;
    assert!(entry + table + counts_and_allocator <= 128, "{entry} + {table} + {counts_and_allocator}");
    for block_size in (12..=23).map(|shift| 1 << shift) {
        let books = super::super::slab::books(block_size);
        assert!(entry + table + books <= 128, "{entry} + {table} + {books}, blocks of {block_size}");
    }
}

#[test]
fn no_copy_under_the_lock_is_larger_than_its_limit() {
    let big = 1 << 20;
    let geometry = Geometry::new(big, big * 2).unwrap();
    let mut core = Core::new(Config { geometry, ..config(1, 2, 2, 4) }, Arc::default());
    let access = Access { now: 0, known_zero: true, queued: false };
    let copied = |core: &Core| core.stats.block_cache.copied_bytes.get();
    let piece = |start, len| Piece { block: BlockNumber(0), start, len };
    core.write(piece(0, 4096), Source::Bytes(&[1; 4096]), access).unwrap();
    assert_eq!(copied(&core), 4096, "a small write of a large block copies only itself");
    core.drain();
    core.poll(1, |_| false);
    let index = core.find(BlockNumber(0)).unwrap();
    let held = loop {
        let before = copied(&core);
        match core.next_step(index) {
            Step::Again => assert!(copied(&core) - before <= COPY_LIMIT as u64),
            Step::Store(_, held) => break held,
            _ => panic!(),
        }
    };
    let stored = copied(&core);
    assert_eq!(stored, big, "the rest of a zero block is cleared, and a store shares the buffer");
    for i in 0..64 {
        core.write(piece(i * 8192, 8192), Source::Bytes(&[2; 8192]), access).unwrap();
    }
    let before = copied(&core);
    assert_eq!(before, stored + 64 * 8192, "writes during a store copy only themselves");
    core.stored(index, Ok(None), 2);
    core.poll(3, |_| false);
    assert!(matches!(core.next_step(index), Step::Private(_)), "the old body is still held below");
    drop(held);
    while let Step::Again = core.next_step(index) {
        assert!(copied(&core) - before <= 64 * 8192);
    }
    assert_eq!(copied(&core), before + 64 * 8192, "folding copies what was written, once");
    const { assert!(COPY_LIMIT <= 64 << 10) };
}

/// Buffers hold anything when they are taken: nothing of it may get into the file.
#[test]
fn the_image_of_an_incomplete_block_is_zero_where_it_is_unknown() {
    let size = 128 << 10;
    let geometry = Geometry::new(u64::from(size), u64::from(size)).unwrap();
    let file = Some(FileConfig { memory: 4 });
    let mut core = Core::new(Config { geometry, file, ..config(1, 1, 1, 1) }, Arc::default());
    let form = Form { block_size: size, payload: Payload::Real };
    drop([(); 4].map(|()| form.holding(&vec![0xee; size as usize])));
    let access = Access { now: 0, known_zero: false, queued: false };
    for start in [512, 100 << 10] {
        core.write(Piece { block: BlockNumber(0), start, len: 512 }, Source::Bytes(&[7; 512]), access).unwrap();
    }
    let item = loop {
        match core.next_persist() {
            PersistStep::Again => {}
            PersistStep::Item(item) => break item,
            _ => panic!("an incomplete block goes to the file as it is"),
        }
    };
    let Change::Put { mask: Some(mask), data: Some(data), .. } = item.change else { panic!("with its mask") };
    for (sector, bytes) in (0..).zip(data.chunks(512)) {
        let known = mask.contains(sector);
        assert!(bytes.iter().all(|byte| *byte == if known { 7 } else { 0 }), "sector {sector}");
        assert_eq!(known, [1, 200].contains(&sector));
    }
}

/// What was carried without a sync is not durable: a flush of the file waits for one.
#[test]
fn a_flush_of_the_file_waits_for_its_sync() {
    let file = Some(FileConfig { memory: 4 });
    let mut core = Core::new(Config { file, ..config(4, 4, 4, 1) }, Arc::default());
    let flushed = |core: &mut Core| core.take_effects().iter().any(|e| matches!(e, Effect::Wake(_, Wake::Flushed)));
    let access = Access { now: 0, known_zero: true, queued: false };
    let piece = Piece { block: BlockNumber(0), start: 0, len: BLOCK };
    core.write(piece, Source::Bytes(&[1; BLOCK as usize]), access).unwrap();
    let PersistStep::Item(item) = core.next_persist() else { panic!("a dirty block goes to the file") };
    let items = [item];
    assert!(core.flush_file().is_some(), "on its way is not there");
    core.persisted(&items, Ok(vec![Some(super::super::disk::Slot(0))]), false, false);
    assert!(!flushed(&mut core), "carried, not durable");
    assert!(core.flush_file().is_some() && core.wants_sync());
    core.synced(Ok(()));
    assert!(flushed(&mut core) && core.flush_file().is_none() && !core.wants_sync());
}

/// A load from the cache file is under way when the volume is joined: nobody who asks from then on gets its bytes.
#[test]
fn a_load_under_way_does_not_overtake_a_verification() {
    let (old, new) = (FORM.zeroed(), FORM.holding(&[9; BLOCK as usize]));
    for loads in [Ok(Base::Memory(old)), Err(Error::corrupt("a bad slot"))] {
        let mut core = Core::new(Config { file: Some(FileConfig { memory: 4 }), ..config(1, 4, 4, 1) }, Arc::default());
        let (record, slot) = (BlockRecord::Clean { etag: Some(ETag([7; 16])) }, Slot(0));
        let piece = Piece { block: BlockNumber(0), start: 0, len: 512 };
        core.restore(LoadedBlock { block: BlockNumber(0), slot, record, mask: None, zero: false }, None, true);
        let Want::Wait(before) = core.want(piece, 1, false) else { panic!("it is in the file") };
        core.distrust_restored();
        let Want::Wait(after) = core.want(piece, 2, false) else { panic!("it is not verified") };
        core.check_invariants();
        core.take_effects();
        core.loaded(0, 0, loads, 3);
        assert!(!core.take_effects().iter().any(|effect| matches!(effect, Effect::Wake(..))), "unverified");
        core.fetched(0, Ok(Arrived::Data(Base::Memory(new.clone()), None)), 4);
        core.check_invariants();
        let woken: Vec<Ticket> = (core.take_effects().into_iter())
            .filter_map(|effect| match effect {
                Effect::Wake(ticket, Wake::Block(Base::Memory(buffer))) if buffer.is_same(&new) => Some(ticket),
                _ => None,
            })
            .collect();
        assert_eq!(woken, [before, after]);
    }
}

#[test]
fn read_ahead_counts_as_used_when_it_served_somebody() {
    let whole = Piece { block: BlockNumber(0), start: 0, len: BLOCK };
    let part = Piece { block: BlockNumber(0), start: 0, len: 512 };
    for (written, used) in [(None, 1), (Some(part), 1), (Some(whole), 0)] {
        let mut core = Core::new(config(2, 2, 2, 4), Arc::default());
        core.prefetch.push_back(0);
        core.poll(0, |_| false);
        let index = core.find(BlockNumber(0)).unwrap();
        core.fetched(index, Ok(Arrived::Data(Base::Memory(FORM.zeroed()), None)), 1);
        if let Some(piece) = written {
            let access = Access { now: 2, known_zero: false, queued: false };
            core.write(piece, Source::Bytes(&vec![1; piece.len as usize]), access).unwrap();
        }
        assert!(core.hit(part, 3).is_some());
        assert_eq!(core.stats.block_cache.read_ahead_used.get(), used, "{written:?}");
    }
}
