//! The state table, executed.

use super::super::recency::List;
use super::{Core, State};

impl Core {
    /// Executes the table above. For tests: O(entries).
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
