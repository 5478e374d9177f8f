//! Opens a cache file: makes an empty one, or finds out what a used one still holds, whatever ended its last use.
//!
//! Lost dirty data are an error unless the caller accepts it; whatever is lost is named.

use std::cmp::Reverse;
use std::ops::Range;

use super::format::{
    DIRECTORY_LEN, FileState, Found, HEADER_HEAD, HEADER_LEN, Identity, RECORD_LEN, Record, SEGMENTS_AT,
    SLOTS_PER_SEGMENT, STATE_AT, STATE_LEN,
};
use super::slots::Slots;
use super::table::{Content, Table};
use super::{BlockRecord, Loaded, LoadedBlock, OpenOptions, Slot};
use crate::block_cache::sectors::SectorMask;
use crate::error::{Error, Result};

/// Slots beyond the capacity: new versions are written before old ones go.
const MIN_SPARE: u32 = 16;
/// More than a group of this many changes gains little from sharing its syncs.
const MAX_SPARE: u32 = 1024;

/// An opened file, in parts.
pub struct Opened {
    pub state: FileState,
    pub table: Table,
    pub next_sequence: u64,
    /// Blocks that may live here.
    pub capacity: u32,
    /// Slots in use at most; those above only until their dirty blocks are stored.
    pub slots: u32,
    /// Lowest last.
    pub free: Vec<u32>,
    pub loaded: Loaded,
}

/// A record that counts, with its slot.
struct Kept {
    slot: u32,
    record: Record,
    mask: Option<SectorMask>,
}

/// Opens `slots`, creating the file if it is empty.
pub fn open(slots: &Slots, identity: &Identity, capacity: u32, options: OpenOptions) -> Result<Opened> {
    let capacity = capacity.clamp(1, identity.geometry.blocks());
    let mut loader = Loader {
        slots,
        identity,
        options,
        notices: Vec::new(),
        erase: Vec::new(),
        state_lost: false,
        next_sequence: 1,
    };
    if loader.is_blank()? {
        let state = loader.create()?;
        return Ok(loader.finish(state, capacity, Vec::new()));
    }
    loader.check_header()?;
    // What a killed process left in the page cache becomes durable before anything is built on it.
    slots.sync()?;
    let state = loader.read_state()?;
    loader.check_len(&state)?;
    let kept = loader.scan(state.segments)?;
    let kept = loader.fit(kept, capacity);
    let state = loader.tidy(state, capacity, &kept)?;
    Ok(loader.finish(state, capacity, kept))
}

/// Slots needed for a capacity, and for what is there already.
fn slots_for(capacity: u32, live: u32) -> u32 {
    capacity.max(live).saturating_add(spare(capacity)).min(u32::MAX - SLOTS_PER_SEGMENT)
}

pub fn spare(capacity: u32) -> u32 {
    (capacity / 8).clamp(MIN_SPARE, MAX_SPARE)
}

struct Loader<'a> {
    slots: &'a Slots,
    identity: &'a Identity,
    options: OpenOptions,
    notices: Vec<String>,
    /// Slots whose records must go.
    erase: Vec<u32>,
    /// No state was found; one must be written.
    state_lost: bool,
    next_sequence: u64,
}

impl Loader<'_> {
    fn len(&self) -> Result<u64> {
        self.slots.disk.len().map_err(|error| self.slots.error("asking for its length", error))
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.slots.disk.read_at(at, out).map_err(|error| self.slots.error("reading it", error))
    }

    /// Empty, or its creation was cut short before the header's first sector was written.
    fn is_blank(&self) -> Result<bool> {
        let len = self.len()?;
        let mut head = vec![0; len.min(HEADER_HEAD as u64) as usize];
        self.read(0, &mut head)?;
        Ok(len <= SEGMENTS_AT && head.iter().all(|byte| *byte == 0))
    }

    fn create(&self) -> Result<FileState> {
        let header = self.identity.encode(&self.slots.name)?;
        let state = FileState { generation: 0, token: 0, segments: 0 };
        let failed = |error| self.slots.error("creating it", error);
        let disk = &self.slots.disk;
        disk.set_len(SEGMENTS_AT).map_err(failed)?;
        disk.write_at(HEADER_HEAD as u64, &header[HEADER_HEAD..]).map_err(failed)?;
        self.slots.write_state(&state, state.place())?;
        self.slots.write_state(&state, state.other_place())?;
        self.slots.sync()?;
        disk.write_at(0, &header[..HEADER_HEAD]).map_err(failed)?;
        self.slots.sync()?;
        Ok(state)
    }

    fn check_header(&self) -> Result<()> {
        let mut header = vec![0; self.len()?.min(HEADER_LEN as u64) as usize];
        self.read(0, &mut header)?;
        self.identity.check(&header, &self.slots.name)
    }

    /// An error, unless the user said that dirty blocks may be lost.
    fn lose(&mut self, what: String) -> Result<()> {
        let name = &self.slots.name;
        if !self.options.accept_loss {
            return Err(Error::corrupt(format!(
                "cache file {name}: {what}; nothing was changed: mount with --force to give up what is damaged and keep the rest, \
                 or name another --block-cache-file"
            )));
        }
        self.notices.push(format!("cache file {name}: {what}; given up because of --force"));
        Ok(())
    }

    fn read_state(&mut self) -> Result<FileState> {
        let mut places = Vec::new();
        if self.len()? >= SEGMENTS_AT {
            for at in STATE_AT {
                let mut bytes = [0; STATE_LEN];
                self.read(at, &mut bytes)?;
                places.extend(FileState::decode(&bytes));
            }
        }
        if let Some(state) = places.into_iter().max_by_key(|state| state.generation) {
            return Ok(state);
        }
        self.lose("its mount token and length are destroyed, dirty blocks may be lost".into())?;
        self.state_lost = true;
        let len = self.len()?;
        let mut segments = 0;
        while self.slots.layout.segment_at(segments + 1) <= len {
            segments += 1;
        }
        Ok(FileState { generation: 0, token: 0, segments })
    }

    fn check_len(&mut self, state: &FileState) -> Result<()> {
        let expected = self.slots.layout.segment_at(state.segments);
        let len = self.len()?;
        if len < expected {
            self.lose(format!("truncated to {len} of {expected} bytes, dirty blocks may be lost"))?;
        }
        if len > expected {
            // It was growing or shrinking when it was interrupted, and what is beyond holds nothing.
            let mut segment = state.segments;
            while self.slots.layout.data_at(segment * SLOTS_PER_SEGMENT) <= len {
                if self.slots.read_directory(segment)?.iter().any(|byte| *byte != 0) {
                    self.lose(format!("its state says {expected} bytes, but there are records beyond"))?;
                    break;
                }
                segment += 1;
            }
        }
        if len != expected {
            self.slots.disk.set_len(expected).map_err(|error| self.slots.error("mending its length", error))?;
        }
        Ok(())
    }

    /// Reads all records. One per block is kept: the newest, if it can be believed.
    fn scan(&mut self, segments: u32) -> Result<Vec<Kept>> {
        let mut found = Vec::new();
        let (mut bad_clean, mut bad_dirty) = (Vec::new(), Vec::new());
        for segment in 0..segments {
            let bytes = self.slots.read_directory(segment)?;
            debug_assert_eq!(bytes.len(), DIRECTORY_LEN);
            let (records, _) = bytes.as_chunks::<RECORD_LEN>();
            for (slot, bytes) in (segment * SLOTS_PER_SEGMENT..).zip(records) {
                match Record::decode(bytes, slot) {
                    Found::Free => {}
                    Found::Record(record) if record.block.0 < self.identity.geometry.blocks() => {
                        found.push((slot, record));
                    }
                    Found::Record(_) | Found::Bad { maybe_dirty: true } => bad_dirty.push(slot),
                    Found::Bad { maybe_dirty: false } => bad_clean.push(slot),
                }
            }
        }
        if let Some(first) = bad_dirty.first() {
            let count = bad_dirty.len();
            self.lose(format!("{count} damaged records (the first of slot {first}) may have been of dirty blocks"))?;
        }
        if !bad_clean.is_empty() {
            let (name, count) = (&self.slots.name, bad_clean.len());
            self.notices.push(format!("cache file {name}: {count} damaged records of clean blocks dropped"));
        }
        self.erase.extend(bad_clean);
        self.erase.extend(bad_dirty);

        found.sort_unstable_by_key(|(_, record)| (record.block, Reverse(record.sequence)));
        self.newest_of_each(found)
    }

    fn newest_of_each(&mut self, found: Vec<(u32, Record)>) -> Result<Vec<Kept>> {
        let mut kept = Vec::with_capacity(found.len());
        let mut damaged = Vec::new();
        let mut previous = None;
        for (slot, record) in found {
            self.next_sequence = self.next_sequence.max(record.sequence + 1);
            if previous.replace(record.block) == Some(record.block) {
                self.erase.push(slot);
                continue;
            }
            match self.believe(slot, &record)? {
                Some(mask) => kept.push(Kept { slot, record, mask }),
                None => {
                    damaged.push(record.block);
                    self.erase.push(slot);
                }
            }
        }
        if !damaged.is_empty() {
            let named: Vec<String> = damaged.iter().take(8).map(ToString::to_string).collect();
            let more = if damaged.len() > 8 { ", ..." } else { "" };
            let (count, named) = (damaged.len(), named.join(", "));
            self.lose(format!("the data of {count} dirty blocks are damaged: {named}{more}"))?;
        }
        kept.sort_unstable_by_key(|kept| kept.record.sequence);
        Ok(kept)
    }

    /// The mask of a block whose data are good, or are not needed; `None` if a dirty block's are not.
    fn believe(&self, slot: u32, record: &Record) -> Result<Option<Option<SectorMask>>> {
        if record.kind != BlockRecord::Dirty || record.zero {
            return Ok(Some(None));
        }
        let mut mask = None;
        if record.incomplete {
            mask = self.slots.read_mask(slot, record)?;
            if mask.is_none() {
                return Ok(None);
            }
        }
        let mut data = vec![0; self.slots.block_len()];
        let crc = self.slots.read_data(slot, mask.as_ref(), &mut data)?;
        Ok((crc == record.data_crc).then_some(mask))
    }

    /// Drops clean blocks that a smaller capacity has no room for: those in slots too high, then the oldest.
    fn fit(&mut self, kept: Vec<Kept>, capacity: u32) -> Vec<Kept> {
        let dirty = kept.iter().filter(|kept| kept.record.kind == BlockRecord::Dirty).count() as u32;
        let slots = slots_for(capacity, dirty);
        let fits = |kept: &Kept| kept.record.kind == BlockRecord::Dirty || kept.slot < slots;
        let mut surplus = (kept.iter().filter(|kept| fits(kept)).count() as u32).saturating_sub(capacity);
        let (mut rest, mut dropped) = (Vec::with_capacity(kept.len()), 0);
        for kept in kept {
            let clean = kept.record.kind != BlockRecord::Dirty;
            if !fits(&kept) || clean && surplus > 0 {
                surplus -= u32::from(fits(&kept));
                dropped += 1;
                self.erase.push(kept.slot);
            } else {
                rest.push(kept);
            }
        }
        let name = &self.slots.name;
        if dropped > 0 {
            self.notices
                .push(format!("cache file {name}: {dropped} clean blocks dropped, its capacity is now {capacity}"));
        }
        if dirty > capacity {
            self.notices.push(format!(
                "cache file {name}: holds {dirty} dirty blocks, its capacity is now {capacity}; all are kept until they are stored"
            ));
        }
        rest
    }

    /// Erases what does not count, durably, and cuts off segments that are no longer needed.
    fn tidy(&mut self, mut state: FileState, capacity: u32, kept: &[Kept]) -> Result<FileState> {
        for slot in &self.erase {
            self.slots.erase_record(*slot)?;
        }
        if !self.erase.is_empty() {
            self.slots.sync()?;
        }
        let highest = kept.iter().map(|kept| kept.slot + 1).max().unwrap_or(0);
        let needed = slots_for(capacity, kept.len() as u32).max(highest).div_ceil(SLOTS_PER_SEGMENT);
        if needed < state.segments || self.state_lost {
            let needed = needed.min(state.segments);
            state = FileState { generation: state.generation + 1, segments: needed, ..state };
            self.slots.write_state(&state, state.place())?;
            self.slots.sync()?;
            self.slots.write_state(&state, state.other_place())?;
            let len = self.slots.layout.segment_at(needed);
            self.slots.disk.set_len(len).map_err(|error| self.slots.error("shrinking it", error))?;
        }
        Ok(state)
    }

    fn finish(self, state: FileState, capacity: u32, kept: Vec<Kept>) -> Opened {
        let mut table = Table::default();
        let in_file = state.segments * SLOTS_PER_SEGMENT;
        table.grow(in_file);
        let slots = slots_for(capacity, kept.len() as u32);
        let mut blocks = Vec::with_capacity(kept.len());
        for Kept { slot, record, mask } in kept {
            let Record { block, kind, zero, data_crc: crc, .. } = record;
            let slot = Slot(slot);
            table.put(slot, Content { block, zero, crc, mask: mask.clone() });
            blocks.push(LoadedBlock { block, slot, record: kind, mask, zero });
        }
        let free = free_slots(&table, 0..in_file.min(slots));
        let loaded = Loaded { blocks, token: state.token, notices: self.notices };
        Opened { state, table, next_sequence: self.next_sequence, capacity, slots, free, loaded }
    }
}

/// Free slots of a range, lowest last.
pub fn free_slots(table: &Table, range: Range<u32>) -> Vec<u32> {
    range.rev().filter(|slot| table.get(Slot(*slot)).is_none()).collect()
}
