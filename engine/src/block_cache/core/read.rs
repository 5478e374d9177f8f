//! Reading: hits, fetches, verification of reloaded blocks, loads from the cache file.

use super::super::content::{Base, Content, Known};
use super::{Core, Effect, Marks, Micros, NO_SLOT, State, Ticket, Wake};
use crate::error::{Error, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Piece};
use crate::store::Expect;

/// The answer to somebody who wants a piece of a block.
pub(crate) enum Want {
    /// It is in memory: [`Core::hit`] has it.
    Ready,
    /// All zero, and not worth an entry.
    Zero,
    Wait(Ticket),
    /// No entry is free: [`Core::wait_for_room`].
    NoRoom,
    Failed(Error),
}

/// What came back for a block.
pub(crate) enum Arrived {
    Data(Base, Option<ETag>),
    /// The content in hand is current.
    Unchanged,
}

impl Core {
    /// The content of a block, if the piece can be read from memory now. Counts as a use.
    pub(crate) fn hit(&mut self, piece: Piece, now: Micros) -> Option<&Content> {
        let index = self.find(piece.block)?;
        let timeout = self.config.timeout;
        let entry = self.entry_mut(index);
        if matches!(entry.state, State::Clean2 | State::Reading2) || entry.content.known(piece.range()) != Known::Yes {
            return None;
        }
        entry.marks.set(Marks::REFERENCED);
        let was_ahead = entry.marks.take(Marks::AHEAD);
        if entry.state == State::Clean && timeout != 0 {
            entry.time = now;
        }
        if was_ahead {
            self.stats.block_cache.read_ahead_used.increment();
        }
        self.recency.touch(&mut self.table, index);
        Some(&self.entry(index).content)
    }

    /// Registers a reader of a piece that [`Core::hit`] refused, and starts what it needs.
    pub(crate) fn want(&mut self, piece: Piece, now: Micros, known_zero: bool) -> Want {
        let Some(index) = self.find(piece.block) else {
            if known_zero {
                return Want::Zero;
            }
            if !self.make_room() {
                return Want::NoRoom;
            }
            let index = self.begin_fetch(piece.block, now);
            return Want::Wait(self.join(index));
        };
        let known = self.entry(index).content.known(piece.range());
        match self.entry(index).state {
            State::Clean2 => {
                self.begin_verify(index);
                Want::Wait(self.join(index))
            }
            State::Reading | State::Reading2 => Want::Wait(self.join(index)),
            _ if known == Known::Yes => Want::Ready,
            _ if known == Known::InFile => {
                self.begin_load(index);
                Want::Wait(self.join(index))
            }
            State::Dirty => {
                if let Some(error) = self.entry(index).busy.as_ref().and_then(|busy| busy.error.clone()) {
                    return Want::Failed(error);
                }
                self.begin_merge_for_reader(index);
                Want::Wait(self.join(index))
            }
            _ => Want::Wait(self.join(index)),
        }
    }

    /// A read of these blocks was answered; `waited` if not from memory alone. May start read-ahead.
    pub(crate) fn note_read(&mut self, first: BlockNumber, last: BlockNumber, waited: bool) {
        let ahead = self.read_ahead.on_read(first.0, last.0, waited);
        if !ahead.is_empty() {
            self.prefetch.extend(ahead);
            // Only the newest interests matter; what was asked long ago has been read or will not be.
            let most = 2 * self.config.read_ahead as usize + 64;
            let excess = self.prefetch.len().saturating_sub(most);
            self.prefetch.drain(..excess);
            self.effects.push(Effect::Poll);
        }
    }

    fn join(&mut self, index: u32) -> Ticket {
        let ticket = self.new_ticket();
        let entry = self.entry_mut(index);
        entry.busy().tickets.push(ticket);
        if entry.marks.take(Marks::AHEAD) {
            self.stats.block_cache.read_ahead_used.increment();
        }
        ticket
    }

    pub(super) fn begin_fetch(&mut self, block: BlockNumber, now: Micros) -> u32 {
        let index = self.insert(block, State::Reading, Content::new(Base::Absent), now);
        self.effects.push(Effect::Fetch { index, block, expect: Expect::Any });
        index
    }

    fn begin_verify(&mut self, index: u32) {
        self.recency.remove(&mut self.table, index);
        let block = self.entry(index).block;
        let expect = self.in_file[index as usize].etag.map_or(Expect::Any, Expect::Unless);
        self.entry_mut(index).state = State::Reading2;
        self.effects.push(Effect::Fetch { index, block, expect });
    }

    fn begin_load(&mut self, index: u32) {
        let slot = self.in_file[index as usize].slot;
        debug_assert_ne!(slot, NO_SLOT);
        // A load in flight must not lose its slot to an eviction.
        if !std::mem::replace(&mut self.entry_mut(index).busy().loading, true) {
            self.pin(index);
            self.effects.push(Effect::Load { index, slot });
        }
    }

    /// A [`Effect::Fetch`] came back.
    pub(crate) fn fetched(&mut self, index: u32, result: Result<Arrived>, now: Micros) {
        if let Some(busy) = &mut self.entry_mut(index).busy
            && std::mem::take(&mut busy.slot)
        {
            self.background -= 1;
            self.effects.push(Effect::Poll);
        }
        let waited_for = self.entry(index).busy.as_ref().is_some_and(|busy| !busy.tickets.is_empty());
        match self.entry(index).state {
            State::Reading => self.read_done(index, result, now),
            State::Reading2 => self.verify_done(index, result, now),
            // Written to while it was being read: only its merge was under way.
            State::Merging => {
                let _ = self.merge_arrived(index, result, now);
            }
            state => unreachable!("a fetch came back in state {state:?}"),
        }
        // Those who waited for the block go first: each passes the room on when it has had its bytes.
        if !waited_for {
            self.pass_on_room();
        }
    }

    fn read_done(&mut self, index: u32, result: Result<Arrived>, now: Micros) {
        match result {
            Ok(Arrived::Data(base, etag)) => {
                let entry = self.entry_mut(index);
                entry.content = Content::new(base.clone());
                self.become_clean(index, etag, now);
                self.wake_all(index, &Wake::Block(base));
                self.entry_mut(index).tidy();
                self.content_changed(index);
            }
            Ok(Arrived::Unchanged) => {
                let block = self.entry(index).block;
                self.read_failed(index, Error::failed(format!("{block:?}: the store answered 'unchanged' unasked")));
            }
            Err(error) => self.read_failed(index, error),
        }
    }

    fn read_failed(&mut self, index: u32, error: Error) {
        self.wake_all(index, &Wake::Failed(error));
        self.remove(index);
    }

    fn verify_done(&mut self, index: u32, result: Result<Arrived>, now: Micros) {
        match result {
            Ok(Arrived::Unchanged) => {
                self.stats.block_cache.verified.increment();
                let etag = self.in_file[index as usize].etag;
                self.become_clean(index, etag, now);
                self.wake_all(index, &Wake::Retry);
            }
            Ok(Arrived::Data(base, etag)) => {
                self.stats.block_cache.mismatch.increment();
                self.entry_mut(index).content = Content::new(base.clone());
                self.become_clean(index, etag, now);
                self.wake_all(index, &Wake::Block(base));
                self.content_changed(index);
            }
            Err(error) => {
                let entry = self.entry_mut(index);
                entry.state = State::Clean2;
                if entry.pins == 0 {
                    self.push_recent(index);
                }
                self.wake_all(index, &Wake::Failed(error));
            }
        }
        self.entry_mut(index).tidy();
    }

    pub(super) fn become_clean(&mut self, index: u32, etag: Option<ETag>, now: Micros) {
        self.keep_etag(index, etag);
        let timeout = self.config.timeout;
        if timeout != 0 && now.saturating_add(timeout) < self.poll_at {
            self.poll_at = 0;
            self.effects.push(Effect::Poll);
        }
        let entry = self.entry_mut(index);
        entry.state = State::Clean;
        entry.time = now;
        entry.marks.set(Marks::REFERENCED);
        if entry.pins == 0 {
            self.push_recent(index);
        }
    }

    /// An [`Effect::Load`], a [`Step::Load`](super::Step::Load) or a
    /// [`PersistStep::Load`](super::PersistStep::Load) came back. Answers whether the entry's task may go on.
    pub(crate) fn loaded(&mut self, index: u32, slot: u32, result: Result<Base>, now: Micros) -> bool {
        self.unpin(index);
        if let Some(busy) = &mut self.entry_mut(index).busy {
            busy.loading = false;
        }
        let still = matches!(self.entry(index).content.base, Base::File) && self.in_file[index as usize].slot == slot;
        let mut go_on = true;
        match result {
            // Distrusted meanwhile: readers are to get verified bytes. Those who asked for them wait on.
            _ if still && self.entry(index).state == State::Reading2 => {}
            _ if still && self.entry(index).state == State::Clean2 => self.wake_all(index, &Wake::Retry),
            Ok(base) if still => {
                self.entry_mut(index).content.base = base.clone();
                self.memory_grew(index);
                let plain = self.entry(index).content.overlay.is_none();
                self.wake_all(index, &if plain { Wake::Block(base) } else { Wake::Retry });
            }
            Err(error) if still => go_on = self.load_failed(index, error, now),
            // Overwritten meanwhile.
            _ => self.wake_all(index, &Wake::Retry),
        }
        self.entry_mut(index).tidy();
        self.pass_on_room();
        go_on
    }

    /// The slot's bytes are bad. Those of a clean block are in the store, also under sectors written since: they are
    /// fetched again. Dirty ones are lost, which must not be hidden. Answers whether the entry's task may go on.
    fn load_failed(&mut self, index: u32, error: Error, now: Micros) -> bool {
        let state = self.entry(index).state;
        if state == State::Clean && self.entry(index).pins == 0 {
            self.wake_all(index, &Wake::Retry);
            self.remove(index);
            return false;
        }
        let written_since =
            matches!(state, State::Dirty | State::Staging) && self.entry(index).content.overlay.is_some();
        if written_since && !self.in_file[index as usize].recorded_dirty {
            self.entry_mut(index).content.base = Base::Absent;
            self.wake_all(index, &Wake::Retry);
            return true;
        }
        self.wake_all(index, &Wake::Failed(error.clone()));
        self.give_up_persisting(index);
        if state == State::Staging {
            self.work_failed(index, error, now);
        } else if self.entry(index).pending != 0 {
            self.mark_failing(index, error);
        }
        false
    }
}
