//! A queue of entries by the number of their first write, oldest first.
//!
//! Numbers arrive almost always in rising order (a deque), sometimes late (a tree). Nothing is removed from the middle:
//! an item is dead as soon as its entry no longer carries its number, and dead items are dropped when they surface.

use std::collections::{BTreeSet, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Oldest {
    rising: VecDeque<(u64, u32)>,
    late: BTreeSet<(u64, u32)>,
}

/// Dead items tolerated beyond the living ones before a sweep.
const SLACK: usize = 1024;

impl Oldest {
    pub(crate) fn insert(&mut self, sequence: u64, index: u32) {
        if self.rising.back().is_none_or(|(last, _)| *last < sequence) {
            self.rising.push_back((sequence, index));
        } else {
            self.late.insert((sequence, index));
        }
    }

    /// The oldest living item.
    pub(crate) fn first(&mut self, alive: impl Fn(u64, u32) -> bool) -> Option<(u64, u32)> {
        while let Some((sequence, index)) = self.rising.front()
            && !alive(*sequence, *index)
        {
            self.rising.pop_front();
        }
        while let Some((sequence, index)) = self.late.first()
            && !alive(*sequence, *index)
        {
            self.late.pop_first();
        }
        match (self.rising.front(), self.late.first()) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    /// Up to `limit` living items from the oldest on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let (mut rising, mut late) = (self.rising.iter().peekable(), self.late.iter().peekable());
        std::iter::from_fn(move || {
            let from_late = match (rising.peek(), late.peek()) {
                (Some(a), Some(b)) => b < a,
                (None, Some(_)) => true,
                _ => false,
            };
            if from_late { late.next().copied() } else { rising.next().copied() }
        })
    }

    /// Drops the dead once they outnumber the `living`, so that one stuck entry at the head cannot hold memory.
    pub(crate) fn tidy(&mut self, living: usize, alive: impl Fn(u64, u32) -> bool) {
        if self.rising.len() + self.late.len() > 2 * living + SLACK {
            self.rising.retain(|(sequence, index)| alive(*sequence, *index));
            self.late.retain(|(sequence, index)| alive(*sequence, *index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_numbers_come_in_order_and_the_dead_are_skipped() {
        let mut queue = Oldest::default();
        for (sequence, index) in [(5, 0), (7, 1), (6, 2), (9, 3), (8, 4)] {
            queue.insert(sequence, index);
        }
        assert_eq!(queue.iter().map(|(s, _)| s).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
        assert_eq!(queue.first(|s, _| s != 5 && s != 6), Some((7, 1)));
        assert_eq!(queue.first(|s, _| s == 8), Some((8, 4)));
        assert_eq!(queue.first(|_, _| false), None);
        for sequence in 10..5000 {
            queue.insert(sequence, 1);
        }
        queue.tidy(1, |s, _| s == 4000);
        assert_eq!(queue.iter().count(), 1);
    }
}
