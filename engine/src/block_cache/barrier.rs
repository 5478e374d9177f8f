//! Flushes: each waits until every write up to its number has arrived (in the store, or in the cache file).
//!
//! A block's pending number is that of its first write which has not arrived. It has arrived as far as flush `n` is
//! concerned exactly when that number is above `n`; so a flush is done when the smallest pending number is above it,
//! and a block that is rewritten without pause delays a flush by two stores at most.

use std::collections::VecDeque;

use super::oldest::Oldest;
use super::ticket::Ticket;

#[derive(Debug, Default)]
pub(crate) struct Barrier {
    pending: Oldest,
    waiting: VecDeque<(u64, Ticket)>,
}

impl Barrier {
    /// A block's first pending write.
    pub(crate) fn insert(&mut self, sequence: u64, index: u32) {
        self.pending.insert(sequence, index);
    }

    /// The smallest pending number.
    pub(crate) fn first(&mut self, alive: impl Fn(u64, u32) -> bool) -> Option<u64> {
        self.pending.first(alive).map(|(sequence, _)| sequence)
    }

    pub(crate) fn wait(&mut self, number: u64, ticket: Ticket) {
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last <= number));
        self.waiting.push_back((number, ticket));
    }

    /// The largest number a flush waits for: writes up to it are urgent.
    pub(crate) fn urgent(&self) -> u64 {
        self.waiting.back().map_or(0, |(number, _)| *number)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tickets of the flushes that are done: those below the smallest pending number and `limit`.
    pub(crate) fn settle(&mut self, living: usize, limit: u64, alive: impl Fn(u64, u32) -> bool) -> Vec<Ticket> {
        self.pending.tidy(living, &alive);
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let first = self.first(alive).unwrap_or(u64::MAX).min(limit);
        let done = self.waiting.iter().take_while(|(number, _)| *number < first).count();
        self.waiting.drain(..done).map(|(_, ticket)| ticket).collect()
    }

    /// Takes out the flushes that wait for this pending number.
    pub(crate) fn fail(&mut self, sequence: u64) -> Vec<Ticket> {
        let kept = self.waiting.iter().take_while(|(number, _)| *number < sequence).count();
        self.waiting.drain(kept..).map(|(_, ticket)| ticket).collect()
    }
}
