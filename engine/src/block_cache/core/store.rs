//! Write-back: which block goes to the store when, and what becomes of it.
//!
//! Policy: oldest first. A block is due at its write delay, sooner under pressure, at once for a flush. At most
//! `threads` stores, merges and read-aheads run at a time; read-ahead starts only when no store is due.

use super::super::buffer::Buffer;
use super::super::content::{Base, Fold};
use super::{Arrived, Core, Effect, Marks, Micros, State, Wake};
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::BlockNumber;

/// Zero blocks deleted with one slot (one bulk delete takes 1000 keys).
const DELETE_BATCH: usize = 1000;

/// How far past an incomplete block to look for a complete one under pressure.
const LOOK_AHEAD: usize = 64;

/// The next step of carrying an entry to the store.
pub(crate) enum Step {
    /// A piece was folded; ask again.
    Again,
    /// Load this slot of the cache file, then [`Core::loaded`].
    Load(u32),
    /// Read the block, then [`Core::merged`].
    Merge(BlockNumber),
    /// Copy this buffer outside the lock, then [`Core::replace_base`].
    Private(Buffer),
    /// Store this, then [`Core::stored`].
    Store(BlockNumber, BlockData),
    /// Nothing left to do.
    Finished,
}

impl Core {
    /// Starts what is due. Answers when to come back, if nothing else happens before. `known_zero`: needs no reading ahead.
    pub(crate) fn poll(&mut self, now: Micros, known_zero: impl Fn(BlockNumber) -> bool) -> Option<Micros> {
        self.end_backoffs(now);
        while self.background < self.config.threads
            && let Some(index) = self.pick(now)
        {
            self.start(index, now);
        }
        self.start_prefetches(now, known_zero);
        let timeout = self.drop_unused(now);
        let due = self.first_ready().map(|index| self.due_at(self.entry(index).time).max(now + 1));
        // With all slots taken a completion comes first, and polls.
        let due = due.filter(|_| self.background < self.config.threads && !self.config.read_only);
        let retry = self.retries.first().map(|(at, _)| *at);
        let next = [due, retry, timeout].into_iter().flatten().min();
        self.poll_at = next.unwrap_or(Micros::MAX);
        next
    }

    /// Under half the limit a block rests for the full write delay; from there the delay shrinks to nothing at the limit.
    pub(super) fn due_at(&self, dirtied: Micros) -> Micros {
        let limit = u64::from(self.config.max_dirty).min(u64::from(self.config.capacity) * 9 / 10).max(1);
        let dirty = u64::from(self.dirty);
        let half = limit / 2;
        let rest = if dirty <= half { limit - half } else { limit.saturating_sub(dirty) };
        let delay = u128::from(self.config.write_delay) * u128::from(rest) / u128::from((limit - half).max(1));
        dirtied.saturating_add(delay as u64)
    }

    fn first_ready(&mut self) -> Option<u32> {
        let table = &self.table;
        let alive = |sequence, index: u32| {
            let entry = &table.entries[index as usize];
            entry.pending == sequence && entry.state == State::Dirty && !entry.backing_off
        };
        self.ready.tidy(self.dirty as usize, alive);
        self.ready.first(alive).map(|(_, index)| index)
    }

    fn pick(&mut self, now: Micros) -> Option<u32> {
        let index = self.first_ready().filter(|_| !self.config.read_only)?;
        let entry = self.entry(index);
        let pressed = !self.room_waiters.is_empty();
        let due = self.draining || pressed || entry.pending <= self.stored.urgent() || self.due_at(entry.time) <= now;
        if !due {
            return None;
        }
        if pressed && !entry.content.is_complete() {
            // A complete block makes room one round trip sooner.
            let sooner = self.ready.iter().take(LOOK_AHEAD).find(|(sequence, index)| {
                let entry = self.entry(*index);
                entry.pending == *sequence
                    && entry.state == State::Dirty
                    && !entry.backing_off
                    && entry.content.is_complete()
            });
            return Some(sooner.map_or(index, |(_, index)| index));
        }
        Some(index)
    }

    fn start(&mut self, index: u32, now: Micros) {
        if self.entry(index).content.is_zero() {
            self.start_deletes(index, now);
            return;
        }
        self.background += 1;
        self.count_cause(index, now);
        let entry = self.entry_mut(index);
        entry.state = State::Staging;
        entry.busy().slot = true;
        self.effects.push(Effect::Work { index });
    }

    /// Why now: the write delay where it is over in any case.
    fn count_cause(&self, index: u32, now: Micros) {
        let (entry, stats) = (self.entry(index), &self.stats.block_cache);
        // Tried before, and counted then; or the mount's end, which is nobody's doing.
        if self.draining || entry.busy.as_ref().is_some_and(|busy| busy.attempts > 0) {
            return;
        }
        let cause = if entry.time.saturating_add(self.config.write_delay) <= now {
            &stats.delay_stores
        } else if entry.pending <= self.stored.urgent() {
            &stats.flush_stores
        } else {
            &stats.pressure_stores
        };
        cause.increment();
    }

    /// One slot for as many due zero blocks as stand in front.
    fn start_deletes(&mut self, first: u32, now: Micros) {
        let mut items = Vec::new();
        let mut next = Some(first);
        while let Some(index) = next
            && self.entry(index).content.is_zero()
            && items.len() < DELETE_BATCH
        {
            let entry = self.entry_mut(index);
            entry.state = State::Writing;
            items.push((index, entry.block));
            next = self.pick(now);
        }
        self.background += 1;
        self.stats.block_cache.zero_stores.add(items.len() as u64);
        self.effects.push(Effect::Delete { items });
    }

    pub(super) fn begin_merge_for_reader(&mut self, index: u32) {
        self.release_backoff(index);
        let entry = self.entry_mut(index);
        entry.state = State::Staging;
        entry.busy().merge_only = true;
        self.effects.push(Effect::Work { index });
    }

    /// What to do next for an entry under [`Effect::Work`].
    pub(crate) fn next_step(&mut self, index: u32) -> Step {
        debug_assert_eq!(self.entry(index).state, State::Staging);
        let form = self.form();
        let entry = self.entry_mut(index);
        if entry.busy().merge_only && entry.content.is_complete() {
            self.stop_work(index);
            self.back_to_ready(index);
            return Step::Finished;
        }
        let (fold, copied) = entry.content.fold(form);
        self.stats.block_cache.copied_bytes.add(copied as u64);
        match fold {
            Fold::More => Step::Again,
            Fold::Shared(buffer) => Step::Private(buffer),
            Fold::InFile => Step::Load(self.slot_for_load(index)),
            Fold::Incomplete => {
                self.stats.block_cache.merge_reads.increment();
                let entry = self.entry_mut(index);
                entry.state = State::Merging;
                Step::Merge(entry.block)
            }
            Fold::Done => {
                self.stats.block_cache.stores.increment();
                let entry = self.entry_mut(index);
                entry.state = State::Writing;
                let data = match &entry.content.base {
                    Base::Memory(buffer) => BlockData::Bytes(buffer.to_bytes()),
                    _ => BlockData::Zero,
                };
                Step::Store(entry.block, data)
            }
        }
    }

    /// A private copy for [`Step::Private`]; ignored if the base is another one by now.
    pub(crate) fn replace_base(&mut self, index: u32, shared: &Buffer, private: Buffer) {
        self.stats.block_cache.copied_bytes.add(private.len() as u64);
        let entry = self.entry_mut(index);
        if matches!(&entry.content.base, Base::Memory(base) if base.is_same(shared)) {
            entry.content.base = Base::Memory(private);
        }
    }

    /// A [`Step::Merge`] came back. `true`: go on with [`Core::next_step`].
    pub(crate) fn merged(&mut self, index: u32, result: Result<Arrived>, now: Micros) -> bool {
        debug_assert_eq!(self.entry(index).state, State::Merging);
        self.merge_arrived(index, result, now)
    }

    pub(super) fn merge_arrived(&mut self, index: u32, result: Result<Arrived>, now: Micros) -> bool {
        let block = self.entry(index).block;
        let base = match result {
            Ok(Arrived::Data(base, _)) => base,
            // Made whole by a write meanwhile: what the store said does not matter.
            _ if self.entry(index).content.is_complete() => Base::Absent,
            Ok(Arrived::Unchanged) => {
                let error = Error::failed(format!("{block:?}: the store answered 'unchanged' unasked"));
                self.work_failed(index, error, now);
                return false;
            }
            Err(error) => {
                self.work_failed(index, error, now);
                return false;
            }
        };
        let worked = self.entry(index).busy.as_ref().is_some_and(|busy| busy.slot || busy.merge_only);
        let entry = self.entry_mut(index);
        entry.content.set_base(base);
        entry.state = State::Staging;
        // The file has an incomplete image at best.
        self.content_changed(index);
        self.wake_all(index, &Wake::Retry);
        if !worked {
            // Only a reader's fetch, overtaken by a write: no task carries it on.
            self.back_to_ready(index);
        }
        worked
    }

    /// A [`Step::Store`] came back.
    pub(crate) fn stored(&mut self, index: u32, result: Result<Option<ETag>>, now: Micros) {
        match result {
            Ok(etag) => {
                self.stop_work(index);
                self.store_done(index, etag, now);
                self.after_stores();
            }
            Err(error) => self.work_failed(index, error, now),
        }
    }

    /// An [`Effect::Delete`] came back, one result per item.
    pub(crate) fn deleted(&mut self, results: Vec<(u32, Result<()>)>, now: Micros) {
        self.background -= 1;
        for (index, result) in results {
            match result {
                Ok(()) => self.store_done(index, Some(ETag::ZERO_BLOCK), now),
                Err(error) => self.work_failed(index, error, now),
            }
        }
        self.after_stores();
    }

    fn after_stores(&mut self) {
        self.settle_flushes();
        self.effects.push(Effect::Poll);
        self.pass_on_room();
    }

    fn store_done(&mut self, index: u32, etag: Option<ETag>, now: Micros) {
        let stored = std::mem::take(&mut self.entry_mut(index).at_risk);
        self.at_risk.stored(stored);
        let entry = self.entry_mut(index);
        let rewritten = entry.state == State::Writing2;
        let mut failed = false;
        if let Some(busy) = &mut entry.busy {
            busy.attempts = 0;
            failed = busy.error.take().is_some();
        }
        if rewritten {
            let busy = entry.busy();
            let (sequence, time) = (std::mem::take(&mut busy.after), busy.after_time);
            let at_risk = std::mem::take(&mut busy.after_at_risk);
            entry.state = State::Dirty;
            entry.pending = sequence;
            entry.time = time;
            entry.at_risk = at_risk;
            self.ready.insert(sequence, index);
            self.stored.insert(sequence, index);
        } else {
            entry.pending = 0;
            self.dirty -= 1;
            self.stats.block_cache.dirty.set(u64::from(self.dirty));
            self.become_clean(index, etag, now);
            self.record_changed(index);
        }
        self.failing -= u32::from(failed);
        self.entry_mut(index).tidy();
        self.pass_on_room();
    }

    /// A store or merge failed: the block stays dirty and is tried again, for ever.
    pub(super) fn work_failed(&mut self, index: u32, error: Error, now: Micros) {
        self.stats.block_cache.store_errors.increment();
        self.stop_work(index);
        let sequence = self.entry(index).pending;
        let reported = error.clone().context(format!("storing {:?}", self.entry(index).block));
        if self.entry(index).state == State::Merging {
            self.wake_all(index, &Wake::Failed(error.clone()));
        }
        let permanent = !error.is_transient();
        if permanent {
            self.fail_flushes(sequence, &reported);
        }
        let (first, longest) = (self.config.first_backoff, self.config.longest_backoff);
        let block_size = self.block_size();
        let asked = error.retry_after().map_or(0, |pause| pause.as_micros() as Micros);
        let entry = self.entry_mut(index);
        let busy = entry.busy();
        busy.attempts += 1;
        busy.after = 0;
        let since = std::mem::take(&mut busy.after_at_risk);
        let doubled = first.saturating_mul(1 << (busy.attempts - 1).min(20));
        let pause = if permanent { longest } else { doubled.max(asked).min(longest) };
        let failed_before = busy.error.take().is_some();
        busy.error = permanent.then_some(error);
        entry.state = State::Dirty;
        entry.backing_off = true;
        let mut at_risk = entry.at_risk;
        self.at_risk.joined(&mut at_risk, since, block_size);
        self.entry_mut(index).at_risk = at_risk;
        self.failing = self.failing - u32::from(failed_before) + u32::from(permanent);
        self.retries.insert((now.saturating_add(pause), index));
        self.effects.push(Effect::Poll);
        self.pass_on_room();
    }

    /// The cache file lost a dirty block's bytes: reads of it and flushes fail until it is overwritten.
    pub(super) fn mark_failing(&mut self, index: u32, error: Error) {
        let sequence = self.entry(index).pending;
        self.fail_flushes(sequence, &error);
        let busy = self.entry_mut(index).busy();
        if busy.error.replace(error).is_none() {
            self.failing += 1;
        }
    }

    /// The task of an entry ends: its slot is free.
    fn stop_work(&mut self, index: u32) {
        let busy = self.entry_mut(index).busy();
        busy.merge_only = false;
        if std::mem::take(&mut busy.slot) {
            self.background -= 1;
        }
    }

    fn back_to_ready(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        entry.state = State::Dirty;
        entry.tidy();
        let sequence = entry.pending;
        self.ready.insert(sequence, index);
        self.effects.push(Effect::Poll);
    }

    fn end_backoffs(&mut self, now: Micros) {
        while let Some((at, index)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.pop_first();
            self.leave_backoff(index);
        }
    }

    fn leave_backoff(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        entry.backing_off = false;
        let sequence = entry.pending;
        self.ready.insert(sequence, index);
    }

    /// Ends an entry's pause early, if it is in one.
    pub(super) fn release_backoff(&mut self, index: u32) {
        if self.entry(index).backing_off {
            self.retries.retain(|(_, waiting)| *waiting != index);
            self.leave_backoff(index);
            self.effects.push(Effect::Poll);
        }
    }

    /// Ends the pauses of all that failed for good.
    pub(super) fn retry_failing(&mut self) {
        if self.failing == 0 {
            return;
        }
        let failing: Vec<u32> = self.retries.iter().map(|(_, index)| *index).collect();
        for index in failing {
            if self.entry(index).busy.as_ref().is_some_and(|busy| busy.error.is_some()) {
                self.release_backoff(index);
            }
        }
    }

    fn start_prefetches(&mut self, now: Micros, known_zero: impl Fn(BlockNumber) -> bool) {
        while self.background < self.config.threads
            && let Some(block) = self.prefetch.pop_front()
        {
            let block = BlockNumber(block);
            if self.find(block).is_some() || known_zero(block) || !self.room_waiters.is_empty() || !self.make_room() {
                continue;
            }
            let index = self.begin_fetch(block, now);
            let entry = self.entry_mut(index);
            entry.marks.set(Marks::AHEAD);
            entry.busy().slot = true;
            self.background += 1;
            self.stats.block_cache.read_ahead_reads.increment();
        }
    }

    /// Drops clean blocks unused for the timeout; answers when the next one will be.
    fn drop_unused(&mut self, now: Micros) -> Option<Micros> {
        if self.config.timeout == 0 {
            return None;
        }
        loop {
            let due = |core: &Self, index: u32| core.entry(index).time.saturating_add(core.config.timeout);
            let oldest = self.recency.oldest_of_each().min_by_key(|index| due(self, *index))?;
            let at = due(self, oldest);
            if at > now {
                return Some(at);
            }
            self.remove(oldest);
            self.pass_on_room();
        }
    }
}
