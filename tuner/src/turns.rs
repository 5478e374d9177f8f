//! Whose turn it is: the rules of order that a replay in real time and one in virtual time have in common.
//!
//! A flush never overtakes a write that came before it: it begins when those writes have returned. In a closed loop an
//! operation begins when there is a place for it, within the bound of its stream and that of all; the place is free again
//! when its caller has thought about the answer, whatever that was.
//!
//! Starts no operation, measures nothing, and knows no disk.

use std::sync::Arc;
use std::time::Duration;

use s3b_engine::clock;
use s3b_scenarios::{Op, OpKind, StreamProperties};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Outstanding operations by schedule. A store that falls this far behind holds the schedule up; the lag shows it.
const SCHEDULED_AT_MOST: usize = 1 << 16;

/// When operations start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At their times.
    Schedule,
    /// As soon as fewer than this many are outstanding, within each stream's own bound and after its pauses.
    Closed { outstanding: usize },
}

/// Whether, in a closed loop, nothing else is asked before this operation has returned.
pub(crate) fn is_waited_for(op: &Op) -> bool {
    op.kind == OpKind::Flush || op.flush_before || op.durable
}

/// The writes since the last flush. Each holds a sender; when all are gone the receiver says so.
pub(crate) struct Epoch {
    writes: mpsc::Sender<()>,
    returned: mpsc::Receiver<()>,
}

impl Default for Epoch {
    fn default() -> Self {
        let (writes, returned) = mpsc::channel(1);
        Self { writes, returned }
    }
}

impl Epoch {
    /// What an operation must wait for, or keep others waiting for.
    pub fn order(&mut self, op: &Op) -> Order {
        let flushes_first = op.kind == OpKind::Flush || op.flush_before;
        let before = flushes_first.then(|| std::mem::take(self).returned);
        // A flush that still waits keeps the next one waiting too, since that covers the same writes.
        let holds = (op.kind != OpKind::Read).then(|| self.writes.clone());
        Order { before, holds }
    }
}

/// An operation's place among the writes and flushes, until dropped: when it has returned.
pub(crate) struct Order {
    before: Option<mpsc::Receiver<()>>,
    /// Keeps the next flush waiting.
    holds: Option<mpsc::Sender<()>>,
}

impl Order {
    /// Returns when an operation of this kind may begin.
    pub async fn wait(&mut self, kind: OpKind) {
        if let Some(before) = &mut self.before {
            // Nothing is ever sent: the end of the channel is the last write's return.
            before.recv().await;
        }
        if kind == OpKind::Flush {
            // It has passed on what it waited for; flushes themselves may overlap.
            self.holds = None;
        }
    }
}

/// How many may be outstanding. Its semaphores are never closed.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    at_most: usize,
    /// By [`s3b_scenarios::Origin::stream`]; by schedule none, which has neither bounds nor pauses.
    streams: Vec<Caller>,
}

/// Who asks for the operations of a stream in a closed loop.
struct Caller {
    /// Its own bound, within that of all.
    slots: Option<Arc<Semaphore>>,
    think: Duration,
}

impl Places {
    /// `on_clock`: how long a pause is on the clock that runs.
    pub fn new(pace: Pace, streams: &[StreamProperties], on_clock: fn(Duration) -> Duration) -> Self {
        let caller = |stream: &StreamProperties| Caller {
            slots: stream.depth.map(|depth| Arc::new(Semaphore::new(depth.max(1) as usize))),
            think: on_clock(Duration::from_nanos(stream.think_ns)),
        };
        let (at_most, streams) = match pace {
            Pace::Schedule => (SCHEDULED_AT_MOST, Vec::new()),
            Pace::Closed { outstanding } => (outstanding.max(1), streams.iter().map(caller).collect()),
        };
        Self { all: Arc::new(Semaphore::new(at_most)), at_most, streams }
    }

    pub fn at_most(&self) -> usize {
        self.at_most
    }

    /// Waits for a place: within the bound of the stream, then of all.
    pub async fn take(&self, stream: usize) -> Place {
        let caller = self.streams.get(stream);
        let own = match caller.and_then(|caller| caller.slots.clone()) {
            Some(slots) => slots.acquire_owned().await.ok(),
            None => None,
        };
        let slot = self.all.clone().acquire_owned().await.ok();
        Place { _slots: [slot, own], think: caller.map_or(Duration::ZERO, |caller| caller.think) }
    }

    /// Returns when no place is taken.
    pub async fn wait_for_all(&self) {
        let _all = self.all.acquire_many(self.at_most as u32).await;
    }
}

/// What an outstanding operation occupies.
#[derive(Default)]
pub(crate) struct Place {
    /// Of all, and of its stream.
    _slots: [Option<OwnedSemaphorePermit>; 2],
    /// So long after it returned.
    think: Duration,
}

impl Place {
    /// The operation has returned; its place is free once its caller has thought.
    pub fn leave(self) {
        if !self.think.is_zero() {
            tokio::spawn(async move {
                clock::sleep(self.think).await;
                drop(self);
            });
        }
    }
}
