//! What the cache file held when it was opened.

use super::super::buffer::Buffer;
use super::super::content::{Base, Content};
use super::super::disk::{BlockRecord, LoadedBlock};
use super::{Core, State};

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
}
