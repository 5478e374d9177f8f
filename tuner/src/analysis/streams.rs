//! Sequential access: requests that start where an earlier one ended, at once or among other streams.

use std::collections::VecDeque;

use s3b_scenarios::{Op, OpKind};
use serde::Serialize;

/// Streams followed at a time: more than a file system's readers and its journal.
const STREAMS: usize = 64;

/// How much of a workload continues where something ended. Shares are of reads and writes, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sequential {
    /// Starts where the request right before it ended.
    pub strict: f64,
    /// Starts where one of the streams followed ended; a stream is reads or writes.
    pub in_streams: f64,
    pub reads_in_streams: f64,
    pub writes_in_streams: f64,
    /// Bytes of the mean run: a stream from its first request to its last.
    pub run_bytes_mean: u64,
}

#[derive(Clone, Default)]
pub struct Streams {
    /// Where each stream ended, the most recent first.
    ends: [VecDeque<u64>; 2],
    previous_end: Option<u64>,
    strict: u64,
    continued: [u64; 2],
    requests: [u64; 2],
    bytes: u64,
}

impl Streams {
    /// Takes a read or write at byte `at` of the volume. Says whether it starts where the request before it ended.
    pub fn add(&mut self, op: &Op, at: u64) -> bool {
        if !matches!(op.kind, OpKind::Read | OpKind::Write) {
            return false;
        }
        let (kind, end) = (usize::from(op.kind == OpKind::Write), at + op.len);
        let strict = self.previous_end == Some(at);
        self.previous_end = Some(end);
        self.strict += u64::from(strict);
        self.requests[kind] += 1;
        self.bytes += op.len;
        let ends = &mut self.ends[kind];
        let found = ends.iter().position(|one| *one == at);
        match found {
            Some(n) => {
                ends.remove(n);
                self.continued[kind] += 1;
            }
            None => ends.truncate(STREAMS - 1),
        }
        ends.push_front(end);
        strict
    }

    pub fn sequential(&self) -> Sequential {
        let share = |part: u64, all: u64| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let (all, continued) = (self.requests.iter().sum(), self.continued.iter().sum());
        Sequential {
            strict: share(self.strict, all),
            in_streams: share(continued, all),
            reads_in_streams: share(self.continued[0], self.requests[0]),
            writes_in_streams: share(self.continued[1], self.requests[1]),
            run_bytes_mean: self.bytes.checked_div(all - continued).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_streams_are_recognised() {
        let mut streams = Streams::default();
        for n in 0..10u64 {
            streams.add(&Op::new(0, OpKind::Read, n * 4096, 4096), n * 4096);
            streams.add(&Op::new(0, OpKind::Write, (100 + n) * 4096, 4096), (100 + n) * 4096);
        }
        let found = streams.sequential();
        assert_eq!((found.strict, found.in_streams, found.reads_in_streams), (0.0, 0.9, 0.9));
        assert_eq!(found.run_bytes_mean, 40_960);
        assert!(streams.add(&Op::new(0, OpKind::Read, 110 * 4096, 512), 110 * 4096), "behind the last write");
        assert_eq!(streams.sequential().reads_in_streams, 9.0 / 11.0);
        assert_eq!(Streams::default().sequential().run_bytes_mean, 0);
    }

    #[test]
    fn a_stream_is_forgotten_behind_many_others() {
        for (others, share) in [(STREAMS as u64 - 1, 1), (STREAMS as u64, 0)] {
            let mut streams = Streams::default();
            let read = |block: u64| Op::new(0, OpKind::Read, block * 4096, 4096);
            for block in std::iter::once(0).chain((1..=others).map(|n| n * 10)).chain([1]) {
                streams.add(&read(block), block * 4096);
            }
            assert_eq!(streams.continued[0], share);
        }
    }
}
