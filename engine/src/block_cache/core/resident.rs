//! Which contents are in memory on top of the cache file. Without a file all are.

use super::super::content::Base;
use super::{Core, Marks, State};

impl Core {
    pub(super) fn memory_grew(&mut self, index: u32) {
        self.recount(index);
        self.shrink_memory(Some(index));
    }

    pub(super) fn recount(&mut self, index: u32) {
        if self.config.file.is_none() {
            return;
        }
        let content = &self.entry(index).content;
        let resident = matches!(content.base, Base::Memory(_)) || content.overlay.is_some();
        let was = std::mem::replace(&mut self.in_file[index as usize].resident, resident);
        self.file.resident = self.file.resident + u32::from(resident) - u32::from(was);
    }

    /// Blocks whose content is in the file leave memory, those not used lately first. Not `but`, which has just come for
    /// somebody who waits: it would go before he looks, and come, and go.
    pub(super) fn shrink_memory(&mut self, but: Option<u32>) {
        let mut steps = 2 * self.table.entries.len();
        while self.file.resident > self.file.memory && steps > 0 {
            steps -= 1;
            let index = self.file.hand % self.table.entries.len() as u32;
            self.file.hand = index + 1;
            let current = self.in_file[index as usize].current;
            let entry = self.entry_mut(index);
            if entry.marks.take(Marks::REFERENCED) || but == Some(index) {
                continue;
            }
            let resting = matches!(entry.state, State::Clean | State::Dirty) && entry.pins == 0;
            if resting && current && entry.content.overlay.is_none() && matches!(entry.content.base, Base::Memory(_)) {
                entry.content.base = Base::File;
                self.recount(index);
            }
        }
    }

    /// Whether memory has room for one more block: the file may be slower than the writers.
    pub(super) fn memory_has_room(&self) -> bool {
        self.config.file.is_none() || self.file.resident < self.file.memory.saturating_add(self.file.memory / 4 + 1)
    }

    /// Without a working file, memory is all there is.
    pub(super) fn must_evict_for_memory(&self) -> bool {
        self.config.file.is_some() && !self.has_file() && !self.memory_has_room()
    }
}
