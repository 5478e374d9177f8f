//! Which blocks to fetch before they are asked for. Plain numbers: knows nothing of the cache.
//!
//! Each sequential reader is a stream with a window of its own. A stream is recognised out of order, because the kernel
//! sends several requests at once. The window grows only while readers still wait for their blocks, so it settles at
//! what latency x bandwidth needs and stays small for a slow reader.

use std::ops::Range;

/// Streams followed at a time; the one unused for longest makes room.
const STREAMS: usize = 16;

/// Window of a new stream, in blocks (s3backer's read-ahead).
const FIRST_WINDOW: u32 = 4;

#[derive(Debug)]
pub(crate) struct ReadAhead {
    streams: Vec<Stream>,
    /// Largest window; 0 turns read-ahead off.
    cap: u32,
    /// Sequential reads before the first prefetch.
    trigger: u32,
    /// Blocks of the volume.
    blocks: u32,
    reads: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    /// The block after the last one read.
    next: u32,
    /// The block after the last one prefetched.
    ahead: u32,
    window: u32,
    run: u32,
    last_used: u64,
}

impl ReadAhead {
    pub(crate) fn new(cap: u32, trigger: u32, blocks: u32) -> Self {
        Self { streams: Vec::new(), cap, trigger: trigger.max(1), blocks, reads: 0 }
    }

    /// A read of the blocks `first..=last` happened; `waited` if any of it was not in memory. Answers what to prefetch.
    pub(crate) fn on_read(&mut self, first: u32, last: u32, waited: bool) -> Range<u32> {
        if self.cap == 0 {
            return 0..0;
        }
        self.reads += 1;
        let end = last + 1;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.matches(first, end)) else {
            self.begin(end);
            return 0..0;
        };
        stream.last_used = self.reads;
        if end <= stream.next {
            // The rest of the block just read, or a late one of several requests: no progress.
            return 0..0;
        }
        stream.next = end;
        stream.run += 1;
        if stream.run < self.trigger {
            return 0..0;
        }
        if waited && stream.run > self.trigger {
            stream.window = (stream.window * 2).min(self.cap);
        }
        let from = stream.ahead.max(stream.next);
        let to = (u64::from(stream.next) + u64::from(stream.window)).min(u64::from(self.blocks)) as u32;
        stream.ahead = stream.ahead.max(to);
        from..to.max(from)
    }

    fn begin(&mut self, next: u32) {
        let window = FIRST_WINDOW.min(self.cap);
        let stream = Stream { next, ahead: next, window, run: 1, last_used: self.reads };
        if self.streams.len() < STREAMS {
            self.streams.push(stream);
        } else if let Some(oldest) = self.streams.iter_mut().min_by_key(|stream| stream.last_used) {
            *oldest = stream;
        }
    }
}

impl Stream {
    /// Continues the stream, allowing for requests that overtook each other within one window.
    fn matches(&self, first: u32, end: u32) -> bool {
        let slack = self.window.max(end - first);
        end.saturating_add(slack) >= self.next && first <= self.next.saturating_add(slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_reader_gets_a_growing_window_only_while_it_waits() {
        let mut ahead = ReadAhead::new(64, 2, 1000);
        assert_eq!(ahead.on_read(0, 0, true), 0..0);
        assert_eq!(ahead.on_read(1, 1, true), 2..6);
        assert_eq!(ahead.on_read(1, 1, false), 0..0, "the same block again asks for nothing");
        assert_eq!(ahead.on_read(2, 2, false), 6..7);
        assert_eq!(ahead.on_read(3, 3, true), 7..12);
        for block in 4..40 {
            ahead.on_read(block, block, true);
        }
        let more = ahead.on_read(40, 40, true);
        assert_eq!(more.end, 41 + 64, "the window stops at the cap");
    }

    #[test]
    fn random_readers_get_nothing_and_the_end_is_respected() {
        let mut ahead = ReadAhead::new(64, 2, 1_000_000);
        for block in [500_000, 3, 77_000, 20_000, 900_000, 12_345] {
            assert!(ahead.on_read(block, block, true).is_empty());
        }
        let mut ahead = ReadAhead::new(64, 2, 10);
        ahead.on_read(7, 7, true);
        assert_eq!(ahead.on_read(8, 8, true), 9..10);
        assert!(ahead.on_read(9, 9, true).is_empty());
    }

    #[test]
    fn requests_that_overtake_each_other_stay_one_stream() {
        let mut ahead = ReadAhead::new(64, 2, 1000);
        let mut seen = std::collections::BTreeSet::new();
        for first in [0, 4, 12, 8, 16, 24, 20, 28] {
            seen.extend(ahead.on_read(first, first + 3, false));
        }
        assert!(seen.contains(&32), "{seen:?}");
        assert_eq!(ahead.streams.len(), 1);
    }

    #[test]
    fn several_streams_do_not_disturb_each_other() {
        let mut ahead = ReadAhead::new(8, 2, 1_000_000);
        let mut fetched = 0;
        for step in 0..50 {
            for reader in 0..8 {
                fetched += ahead.on_read(reader * 10_000 + step, reader * 10_000 + step, false).len();
            }
        }
        assert_eq!(fetched, 8 * (4 + 48));
    }
}
