//! Writing: what makes a block dirty.

use std::ops::Range;

use super::super::content::{Base, COPY_LIMIT, Content};
use super::{Core, Effect, Marks, Micros, State, Wake};
use crate::geometry::{BlockNumber, Piece};
use crate::payload::Source;

/// How a write comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) now: Micros,
    /// The block is surely zero in the store.
    pub(crate) known_zero: bool,
    /// Has waited for room already; others queue behind those who wait.
    pub(crate) queued: bool,
}

/// Why a write cannot go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// No free entry, or too many dirty ones: [`Core::wait_for_room`].
    Room,
    /// Part of a sector is written whose rest is unknown: [`Core::want`] this piece first.
    Bytes(Piece),
}

impl Core {
    /// Writes at most [`COPY_LIMIT`] bytes into one block.
    pub(crate) fn write(&mut self, piece: Piece, source: Source<'_>, access: Access) -> Result<(), Blocked> {
        debug_assert!(piece.len as usize <= COPY_LIMIT);
        let form = self.form();
        if piece.len == form.block_size && self.wants_new_base(piece.block) {
            let base = Base::written(form, source);
            self.stats.block_cache.copied_bytes.add(u64::from(piece.len));
            return self.replace(piece.block, base, access);
        }
        if source.is_zeros() && access.known_zero && self.find(piece.block).is_none() {
            return Ok(());
        }
        let index = self.admit(piece.block, Some(piece.range()), access)?;
        let entry = self.entry_mut(index);
        let copied = entry.content.write(form, piece.range(), source);
        if entry.marks.take(Marks::AHEAD) && piece.len < form.block_size {
            // It saved the read that would complete the block.
            self.stats.block_cache.read_ahead_used.increment();
        }
        self.stats.block_cache.copied_bytes.add(copied as u64);
        self.written(index, if source.is_zeros() { 0 } else { piece.len }, access.now);
        Ok(())
    }

    /// Replaces a whole block.
    pub(crate) fn replace(&mut self, block: BlockNumber, base: Base, access: Access) -> Result<(), Blocked> {
        if access.known_zero && matches!(base, Base::Zero) && self.find(block).is_none() {
            return Ok(());
        }
        let index = self.admit(block, None, access)?;
        let len = if matches!(base, Base::Zero) { 0 } else { self.block_size() };
        let entry = self.entry_mut(index);
        entry.content = Content::new(base);
        // What was read ahead is gone unread.
        entry.marks.take(Marks::AHEAD);
        // Whatever was unknown or unreadable is not any more.
        self.heal(index);
        self.wake_all(index, &Wake::Retry);
        self.written(index, len, access.now);
        Ok(())
    }

    /// Whether a write of the whole block should bring its own buffer, instead of being copied into the one there.
    pub(crate) fn wants_new_base(&self, block: BlockNumber) -> bool {
        match self.find(block) {
            None => true,
            Some(index) => {
                let content = &self.entry(index).content;
                content.overlay.is_some() || !matches!(&content.base, Base::Memory(buffer) if buffer.is_unshared())
            }
        }
    }

    /// Finds or makes the entry, ready to take a write of `part` (`None`: all of the block).
    fn admit(&mut self, block: BlockNumber, part: Option<Range<usize>>, access: Access) -> Result<u32, Blocked> {
        let may_enter = (access.queued || self.room_waiters.is_empty()) && self.may_dirty();
        let Some(index) = self.find(block) else {
            let content = Content::new(if access.known_zero { Base::Zero } else { Base::Absent });
            check_edges(&content, block, part)?;
            if !may_enter || !self.make_room() {
                return Err(Blocked::Room);
            }
            self.stats.block_cache.write_misses.increment();
            return Ok(self.insert(block, State::Dirty, content, access.now));
        };
        let state = self.entry(index).state;
        if state == State::Reading2 {
            // Its old bytes may yet turn out good: wait for the verdict rather than merge against a guess.
            return Err(Blocked::Bytes(Piece { block, start: 0, len: self.block_size() }));
        }
        if state == State::Clean2 {
            // Unverified bytes must not be mixed with new ones; what is not written now is fetched by the merge.
            check_edges(&Content::new(Base::Absent), block, part.clone())?;
        } else {
            check_edges(&self.entry(index).content, block, part)?;
        }
        if matches!(state, State::Clean | State::Clean2 | State::Reading) && !may_enter {
            return Err(Blocked::Room);
        }
        self.stats.block_cache.write_hits.increment();
        match state {
            State::Clean => self.recency.remove(&mut self.table, index),
            State::Clean2 => {
                self.recency.remove(&mut self.table, index);
                self.entry_mut(index).content = Content::new(Base::Absent);
            }
            _ => {}
        }
        Ok(index)
    }

    /// The content of an admitted entry has changed by `len` bytes that matter.
    fn written(&mut self, index: u32, len: u32, now: Micros) {
        self.sequence += 1;
        let sequence = self.sequence;
        let entry = self.entry_mut(index);
        entry.marks.set(Marks::REFERENCED);
        match entry.state {
            State::Clean | State::Clean2 | State::Dirty if entry.pending == 0 => {
                entry.state = State::Dirty;
                self.begin_pending(index, sequence, now);
            }
            State::Reading => {
                entry.state = State::Merging;
                self.begin_pending(index, sequence, now);
            }
            State::Writing => {
                entry.state = State::Writing2;
                let busy = entry.busy();
                busy.after = sequence;
                busy.after_time = now;
            }
            _ => {}
        }
        self.put_at_risk(index, len);
        self.content_changed(index);
    }

    fn put_at_risk(&mut self, index: u32, len: u32) {
        let block_size = self.block_size();
        let entry = &mut self.table.entries[index as usize];
        let bytes = match entry.state {
            State::Writing2 => &mut entry.busy().after_at_risk,
            _ => &mut entry.at_risk,
        };
        if self.at_risk.written(bytes, len, block_size) {
            self.stats.block_cache.most_at_risk.set(self.at_risk.most());
        }
    }

    pub(super) fn begin_pending(&mut self, index: u32, sequence: u64, now: Micros) {
        let entry = self.entry_mut(index);
        entry.pending = sequence;
        entry.time = now;
        self.dirty += 1;
        self.stats.block_cache.dirty.set(u64::from(self.dirty));
        self.ready.insert(sequence, index);
        self.stored.insert(sequence, index);
        if self.due_at(now) < self.poll_at {
            self.poll_at = 0;
            self.effects.push(Effect::Poll);
        }
    }

    /// New content makes a block whole that could not be merged: it is an ordinary dirty block again.
    fn heal(&mut self, index: u32) {
        let Some(busy) = &mut self.entry_mut(index).busy else { return };
        if busy.error.take().is_some() {
            busy.attempts = 0;
            self.failing -= 1;
            self.release_backoff(index);
        }
        self.entry_mut(index).tidy();
    }
}

fn check_edges(content: &Content, block: BlockNumber, part: Option<Range<usize>>) -> Result<(), Blocked> {
    match part {
        Some(range) if !content.can_write(&range) => {
            let start = range.start / 512 * 512;
            let end = range.end.div_ceil(512) * 512;
            Err(Blocked::Bytes(Piece { block, start: start as u32, len: (end - start) as u32 }))
        }
        _ => Ok(()),
    }
}
