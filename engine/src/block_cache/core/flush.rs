//! Flush numbers: see [`Barrier`](super::super::barrier::Barrier).

use super::{Core, Effect, Ticket, Wake};
use crate::error::Error;

impl Core {
    /// Starts a flush of everything written so far. `None`: there is nothing to wait for.
    pub(crate) fn flush(&mut self) -> Option<Ticket> {
        self.stats.block_cache.flushes.increment();
        let table = &self.table;
        self.stored.first(|sequence, index| table.entries[index as usize].pending == sequence)?;
        // A permanent failure is tried again for every flush: whoever flushes may have mended it.
        self.retry_failing();
        let ticket = self.new_ticket();
        self.stored.wait(self.sequence, ticket);
        self.effects.push(Effect::Poll);
        Some(ticket)
    }

    /// From now on everything dirty is due.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.effects.push(Effect::Poll);
    }

    pub(super) fn settle_flushes(&mut self) {
        let table = &self.table;
        let alive = |sequence, index: u32| table.entries[index as usize].pending == sequence;
        let done = self.stored.settle(self.dirty as usize, u64::MAX, alive);
        self.effects.extend(done.into_iter().map(|ticket| Effect::Wake(ticket, Wake::Flushed)));
    }

    pub(super) fn fail_flushes(&mut self, sequence: u64, error: &Error) {
        let failed = self.stored.fail(sequence);
        self.effects.extend(failed.into_iter().map(|ticket| Effect::Wake(ticket, Wake::Failed(error.clone()))));
    }
}
