//! What an entry has in the cache file: where it came from, its slot, and what keeps both while work is under way.

use super::super::buffer::Buffer;
use super::super::content::{Base, Content};
use super::super::disk::{BlockRecord, LoadedBlock};
use super::{Core, Effect, InFile, NO_SLOT, State};
use crate::etag::ETag;

impl InFile {
    const NOTHING: InFile = InFile {
        slot: NO_SLOT,
        pending: 0,
        carrying: 0,
        current: false,
        recorded_dirty: false,
        resident: false,
        unverified: false,
        etag: None,
    };
}

impl Core {
    /// Takes in a block the file held when it was opened. `trusted`: need not be verified.
    pub(crate) fn restore(&mut self, loaded: LoadedBlock, image: Option<Buffer>, trusted: bool) {
        let zero = loaded.zero;
        let base = if zero { Base::Zero } else { Base::File };
        let (state, content) = match (loaded.record, loaded.mask, image) {
            (BlockRecord::Dirty, Some(mask), Some(image)) => (State::Dirty, Content::incomplete(image, mask)),
            (BlockRecord::Dirty, ..) => (State::Dirty, Content::new(base)),
            (BlockRecord::Clean { .. }, ..) if trusted => (State::Clean, Content::new(base)),
            (BlockRecord::Clean { .. }, ..) => (State::Clean2, Content::new(base)),
        };
        let index = self.insert(loaded.block, state, content, 0);
        let in_file = &mut self.in_file[index as usize];
        in_file.slot = loaded.slot.0;
        in_file.current = true;
        in_file.recorded_dirty = loaded.record == BlockRecord::Dirty;
        in_file.unverified = state == State::Clean;
        if let BlockRecord::Clean { etag } = loaded.record {
            in_file.etag = etag;
        }
        if state == State::Dirty {
            // It never goes away: what the settings ask for must still fit beside it.
            self.config.capacity += u32::from(self.config.read_only);
            self.sequence += 1;
            let sequence = self.sequence;
            self.begin_pending(index, sequence, 0);
        }
        self.recount(index);
        self.stats.block_cache.initial_size.increment();
    }

    /// Restored blocks that were believed must be verified after all: somebody else may have written meanwhile.
    pub(crate) fn distrust_restored(&mut self) {
        for index in 0..self.in_file.len() as u32 {
            let unverified = std::mem::take(&mut self.in_file[index as usize].unverified);
            let entry = self.entry_mut(index);
            if unverified && entry.state == State::Clean {
                entry.state = State::Clean2;
            }
        }
    }

    pub(super) fn file_inserted(&mut self, index: u32) {
        if self.config.file.is_none() {
            return;
        }
        let at = index as usize;
        if self.in_file.len() <= at {
            self.in_file.resize(at + 1, InFile::NOTHING);
        }
        self.in_file[at] = InFile::NOTHING;
        // The slot of an eviction not yet carried to the file is not taken over: its record may still say dirty.
        self.recount(index);
    }

    pub(super) fn file_removed(&mut self, index: u32) {
        if self.config.file.is_none() {
            return;
        }
        let file = std::mem::replace(&mut self.in_file[index as usize], InFile::NOTHING);
        self.file.resident -= u32::from(file.resident);
        self.file.waiting -= u32::from(file.pending != 0 && self.file.enabled);
        if file.slot != NO_SLOT && self.file.enabled {
            self.sequence += 1;
            self.file.drops.insert(self.entry(index).block.0, (file.slot, self.sequence));
            self.effects.push(Effect::Persist);
        } else if self.wants_durable() {
            self.effects.push(Effect::Persist);
        }
    }

    /// A load of the entry's slot begins outside a reader's.
    pub(super) fn slot_for_load(&mut self, index: u32) -> u32 {
        self.pin(index);
        self.in_file[index as usize].slot
    }

    pub(super) fn pin(&mut self, index: u32) {
        self.recency.remove(&mut self.table, index);
        self.entry_mut(index).pins += 1;
    }

    pub(super) fn unpin(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        entry.pins -= 1;
        if entry.pins == 0 {
            if matches!(entry.state, State::Clean | State::Clean2) {
                self.push_recent(index);
            }
            if self.file.enabled && self.in_file[index as usize].pending != 0 {
                self.effects.push(Effect::Persist);
            }
        }
    }

    /// The ETag under which a block was stored, where it is kept.
    pub(super) fn keep_etag(&mut self, index: u32, etag: Option<ETag>) {
        if let Some(file) = self.in_file.get_mut(index as usize) {
            file.etag = etag;
        }
    }
}
