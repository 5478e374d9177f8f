//! One stream of a phase: a shape with times, flush points and an end.

use crate::content::ContentProperties;
use crate::op::{Op, OpKind, Origin};
use crate::period::Period;
use crate::random::Random;

use super::arrivals::{Arrivals, Gaps};
use super::shape::{Kept, Places, Shape, Sources};
use super::step::{Area, Sizes};

/// How long a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Requests(u64),
    /// Until at least so many were asked for.
    Bytes(u64),
    /// No operation is intended to start later than this after the stream's first.
    Duration(Period),
    /// To the end of what the shape has to do.
    Once,
}

/// Where flushes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushPoints {
    /// Behind every so many writes.
    pub every_writes: Option<u64>,
    /// Each time so much has passed, if anything was written since the last flush.
    pub every: Option<Period>,
    pub at_end: bool,
}

/// A stream of a scenario, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub(super) shape: Shape,
    pub(super) area: Area,
    pub(super) sizes: Sizes,
    pub(super) read_percent: u64,
    pub(super) amount: Amount,
    pub(super) arrivals: Arrivals,
    /// Between the start of the phase and the first operation.
    pub(super) delay: Period,
    pub(super) flush: FlushPoints,
    /// Writes flush what came before them.
    pub(super) flush_before: bool,
    /// Writes are durable when they return.
    pub(super) durable: bool,
    pub(super) properties: StreamProperties,
}

/// What running a stream needs to know besides its operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamProperties {
    /// What its writes carry, those not marked zero.
    pub content: ContentProperties,
    /// Closed loop: its operations outstanding at most, within the depth of the whole; nothing: only that counts.
    pub depth: Option<u32>,
    /// Closed loop: nanoseconds from an operation's return to when its place is free for another.
    pub think_ns: u64,
}

impl Stream {
    /// `factor` times as long on an area `factor` times as large.
    pub(super) fn multiply(&mut self, factor: u64) {
        self.area = Area { start: self.area.start * factor, len: self.area.len * factor };
        self.amount = match self.amount {
            Amount::Requests(requests) => Amount::Requests(requests.saturating_mul(factor)),
            Amount::Bytes(bytes) => Amount::Bytes(bytes.saturating_mul(factor)),
            Amount::Duration(period) => Amount::Duration(Period(period.0.saturating_mul(factor))),
            Amount::Once => Amount::Once,
        };
    }
}

/// The operations of one stream, in order of time.
pub(super) struct StreamOps {
    stream: Stream,
    number: usize,
    places: Places,
    gaps: Gaps,
    zeros: Random,
    first_ns: u64,
    /// Intended start of the next operation, of the last one, and of the next flush by time.
    next_ns: u64,
    last_ns: u64,
    flush_ns: Option<u64>,
    requests: u64,
    bytes: u64,
    writes_since_flush_point: u64,
    /// Something was written since the last flush.
    dirty: bool,
    /// A flush belongs behind what was yielded last.
    owed: bool,
    ended: bool,
}

impl StreamOps {
    /// `seed`: of the scenario. `start_ns`: when the phase starts.
    pub(super) fn new(stream: &Stream, number: usize, seed: u64, round: u64, start_ns: u64, kept: Kept) -> Self {
        // A source of its own for each choice: changing one leaves the others as they were.
        let mut random = random_of(seed, number, round);
        let [places, gaps, zeros] = std::array::from_fn(|_| Random::new(random.bits()));
        let sources = Sources { places, popularity: random_of(seed, number, EVERY_ROUND) };
        let first_ns = start_ns.saturating_add(stream.delay.0);
        let (sizes, shape, area) = (stream.sizes.clone(), stream.shape, stream.area);
        Self {
            number,
            places: Places::new(shape, area, sizes, stream.read_percent, sources, kept),
            gaps: stream.arrivals.gaps(gaps),
            zeros,
            first_ns,
            next_ns: first_ns,
            last_ns: first_ns,
            flush_ns: stream.flush.every.map(|every| first_ns.saturating_add(every.0)),
            requests: 0,
            bytes: 0,
            writes_since_flush_point: 0,
            dirty: false,
            owed: false,
            ended: false,
            stream: stream.clone(),
        }
    }

    /// Where a following phase may start: the stream's own time is over.
    pub(super) fn end_ns(&self) -> u64 {
        match self.stream.amount {
            Amount::Duration(period) => self.first_ns.saturating_add(period.0),
            Amount::Requests(_) | Amount::Bytes(_) | Amount::Once => self.next_ns,
        }
    }

    /// For the stream's next round.
    pub(super) fn kept(&self) -> Kept {
        self.places.kept()
    }

    fn is_through(&self) -> bool {
        // Time has come to its end: all further operations would fall on this one instant.
        if self.next_ns == u64::MAX {
            return true;
        }
        match self.stream.amount {
            Amount::Requests(requests) => self.requests >= requests,
            Amount::Bytes(bytes) => self.bytes >= bytes,
            Amount::Duration(period) => self.requests > 0 && self.next_ns - self.first_ns > period.0,
            Amount::Once => self.stream.shape == Shape::Flush && self.requests > 0,
        }
    }

    fn flush(&mut self, time_ns: u64) -> Op {
        (self.dirty, self.owed) = (false, false);
        self.last_ns = time_ns;
        Op { origin: Origin::new(self.number, false), ..Op::new(time_ns, OpKind::Flush, 0, 0) }
    }

    /// A flush by time that is due before the next operation.
    fn due_flush(&mut self) -> Option<Op> {
        let (every, due) = (self.stream.flush.every?.0, self.flush_ns?);
        if due > self.next_ns {
            return None;
        }
        let missed = (self.next_ns - due) / every;
        self.flush_ns = Some(due.saturating_add((missed + 1).saturating_mul(every)));
        self.dirty.then(|| self.flush(due))
    }

    /// The flush at the end, once; unless the last thing was one.
    fn last_flush(&mut self) -> Option<Op> {
        self.ended = true;
        (self.stream.flush.at_end && self.dirty).then(|| self.flush(self.last_ns))
    }

    fn request(&mut self) -> Option<Op> {
        let step = self.places.next(self.stream.amount != Amount::Once)?;
        let write = step.kind == OpKind::Write;
        let zero = write && self.zeros.chance(self.stream.properties.content.zero_share);
        let op = Op {
            flush_before: write && self.stream.flush_before,
            durable: write && self.stream.durable,
            origin: Origin::new(self.number, zero),
            ..Op::new(self.next_ns, step.kind, step.offset, step.len)
        };
        self.last_ns = self.next_ns;
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(step.len);
        self.dirty |= matches!(step.kind, OpKind::Write | OpKind::Discard);
        self.writes_since_flush_point += u64::from(write);
        if write && self.stream.flush.every_writes == Some(self.writes_since_flush_point) {
            self.writes_since_flush_point = 0;
            self.owed = true;
        }
        self.owed |= step.flush;
        if !step.together {
            self.next_ns = self.next_ns.saturating_add(self.gaps.next());
        }
        Some(op)
    }
}

impl Iterator for StreamOps {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        if self.ended {
            return None;
        }
        if self.owed {
            return Some(self.flush(self.last_ns));
        }
        if self.is_through() {
            return self.last_flush();
        }
        if let Some(flush) = self.due_flush() {
            return Some(flush);
        }
        self.request().or_else(|| self.last_flush())
    }
}

/// No round has this number.
const EVERY_ROUND: u64 = (1 << 32) - 1;

/// A source of its own for each stream in each round, of which there are fewer than 2^32.
fn random_of(seed: u64, stream: usize, round: u64) -> Random {
    let salt = Random::new(seed).bits();
    Random::new(salt ^ (stream as u64 + 1) << 32 ^ round)
}

#[cfg(test)]
mod tests {
    use super::super::arrivals::ArrivalKind;
    use super::*;

    const MS: u64 = 1_000_000;

    /// Writes every 10 ms.
    fn stream(amount: Amount, flush: FlushPoints) -> Stream {
        Stream {
            shape: Shape::Sequential,
            area: Area { start: 0, len: 1 << 20 },
            sizes: Sizes { weighted: vec![(4096, 1)] },
            read_percent: 0,
            amount,
            arrivals: Arrivals { every: Period(10 * MS), kind: ArrivalKind::Regular },
            delay: Period(5 * MS),
            flush,
            flush_before: false,
            durable: true,
            properties: StreamProperties::default(),
        }
    }

    /// The times of a stream's operations in ms; flushes negative.
    fn story(stream: &Stream) -> Vec<i64> {
        let ops = StreamOps::new(stream, 3, 1, 0, 0, Kept::default());
        let time = |op: Op| if op.kind == OpKind::Flush { -1 } else { 1 } * (op.time_ns / MS) as i64;
        ops.map(time).collect()
    }

    #[test]
    fn flushes_stand_where_they_were_asked_for() {
        let none = FlushPoints::default();
        assert_eq!(story(&stream(Amount::Requests(3), none)), [5, 15, 25]);
        let ends = FlushPoints { at_end: true, ..none };
        assert_eq!(story(&stream(Amount::Bytes(5000), ends)), [5, 15, -15]);
        let writes = FlushPoints { every_writes: Some(2), ..ends };
        assert_eq!(story(&stream(Amount::Requests(5), writes)), [5, 15, -15, 25, 35, -35, 45, -45]);
        assert_eq!(story(&stream(Amount::Requests(2), writes)), [5, 15, -15], "never twice in a row");
        let timed = FlushPoints { every: Some(Period(25 * MS)), ..none };
        assert_eq!(story(&stream(Amount::Duration(Period(60 * MS)), timed)), [5, 15, 25, -30, 35, 45, -55, 55, 65]);
        let rare = FlushPoints { every: Some(Period(MS)), ..none };
        assert_eq!(story(&stream(Amount::Requests(3), rare)), [5, -6, 15, -16, 25], "only after a write");
    }

    /// Operations that would all fall on the last instant that 64 bits can name.
    #[test]
    fn the_end_of_time_ends_a_stream() {
        for amount in [Amount::Requests(u64::MAX), Amount::Bytes(u64::MAX), Amount::Duration(Period(u64::MAX))] {
            let stream = stream(amount, FlushPoints { at_end: true, ..FlushPoints::default() });
            let ops = StreamOps::new(&stream, 3, 1, 0, u64::MAX - 25 * MS, Kept::default());
            assert_eq!(ops.take(9).count(), 3, "{amount:?}: two writes and a flush");
        }
    }

    #[test]
    fn writes_are_marked_durable_and_zero_as_often_as_asked() {
        let mut stream = stream(Amount::Requests(8000), FlushPoints::default());
        stream.properties.content.zero_share = 0.25;
        stream.read_percent = 50;
        let ops: Vec<Op> = StreamOps::new(&stream, 3, 1, 0, 0, Kept::default()).collect();
        let writes: Vec<&Op> = ops.iter().filter(|op| op.kind == OpKind::Write).collect();
        let zeros = writes.iter().filter(|op| op.origin.is_zero()).count();
        assert!((900..1100).contains(&zeros), "{zeros} of {} are zero", writes.len());
        assert!(ops.iter().all(|op| op.durable == (op.kind == OpKind::Write) && op.origin.stream() == 3));
        assert!(ops.iter().all(|op| op.kind == OpKind::Write || !op.origin.is_zero()));
    }
}
