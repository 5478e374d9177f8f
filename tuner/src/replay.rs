//! Runs operations against a volume: by schedule (open loop) or as fast as a bound of outstanding ones allows.
//!
//! By schedule, every operation has an absolute intended start; a late one delays nobody's schedule, and its latency
//! counts from when it should have started. A flush never overtakes a write that came before it: it begins when those
//! writes have returned. In a closed loop, operations behind a flush wait for it as well, as its caller would.
//! Hits are answered on this task, as a mount answers them on its FUSE thread; misses are spawned.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures::future::try_join_all;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::{Error, ErrorKind};
use s3b_engine::volume::Volume;
use s3b_scenarios::{Op, OpKind, StreamProperties};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::bodies::{Bodies, PIECE};
use crate::interrupt::Interrupt;
use crate::measure::{Done, Measured};

/// Outstanding operations by schedule. A store that falls this far behind holds the schedule up; the lag shows it.
const SCHEDULED_AT_MOST: usize = 1 << 16;

/// A timer's tick and a little more.
const AWAKE: Duration = Duration::from_micros(1200);

/// A sleeping thread is called up to the kernel's timer slack of 50 us late.
const LATE_AT_MOST: Duration = Duration::from_micros(60);

/// When operations start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At their times.
    Schedule,
    /// As soon as fewer than this many are outstanding, within each stream's own bound and after its pauses.
    Closed { outstanding: usize },
    /// The same, whatever bounds and pauses the streams have.
    Max { outstanding: usize },
}

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    pub pace: Pace,
    /// Where each device of the workload begins in the volume.
    pub device_starts: Vec<u64>,
    /// Of the workload: what its writes carry, and its own bounds in a closed loop.
    pub streams: Vec<StreamProperties>,
    pub seed: u64,
}

/// What operations run against: a volume, or a stand-in of which a test knows everything.
pub trait Disk: Send + Sync + 'static {
    /// Whether all of it could be read without waiting.
    fn try_read(&self, offset: u64, len: usize, scratch: &mut Vec<u8>) -> Option<Result<(), Error>>;
    /// How many leading bytes could be taken in without waiting.
    fn try_write(&self, offset: u64, data: &[u8]) -> Result<usize, Error>;
    fn read(&self, offset: u64, len: usize) -> impl Future<Output = Result<(), Error>> + Send;
    fn write(&self, offset: u64, data: Bytes) -> impl Future<Output = Result<(), Error>> + Send;
    fn zero(&self, offset: u64, len: u64) -> impl Future<Output = Result<(), Error>> + Send;
    fn flush(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Disk for Volume {
    fn try_read(&self, offset: u64, len: usize, scratch: &mut Vec<u8>) -> Option<Result<(), Error>> {
        self.try_read(offset, len, scratch).map(|read| read.map(drop))
    }

    fn try_write(&self, offset: u64, data: &[u8]) -> Result<usize, Error> {
        self.try_write(offset, data)
    }

    async fn read(&self, offset: u64, len: usize) -> Result<(), Error> {
        self.read(offset, len).await.map(drop)
    }

    async fn write(&self, offset: u64, data: Bytes) -> Result<(), Error> {
        self.write(offset, data).await
    }

    async fn zero(&self, offset: u64, len: u64) -> Result<(), Error> {
        self.zero(offset, len).await
    }

    async fn flush(&self) -> Result<(), Error> {
        self.flush().await
    }
}

/// Told about every operation that was started.
pub trait Progress {
    fn started(&mut self, op: &Op);
}

impl<F: FnMut(&Op)> Progress for F {
    fn started(&mut self, op: &Op) {
        self(op);
    }
}

/// Runs the operations and a final flush.
///
/// # Errors
/// An operation that the workload itself cannot yield. Operations that fail are counted in the answer.
pub async fn replay<D: Disk>(
    disk: Arc<D>,
    ops: impl Iterator<Item = Result<Op>>,
    options: &Options,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<Measured> {
    let outstanding = match options.pace {
        Pace::Schedule => SCHEDULED_AT_MOST,
        Pace::Closed { outstanding } | Pace::Max { outstanding } => outstanding.max(1),
    };
    let mut replayer = Replayer::new(disk, options, outstanding);
    let start = clock::now();
    let mut failure = None;
    for op in ops {
        let op = match op {
            Ok(op) => op,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        progress.started(&op);
        let go_on = match options.pace {
            Pace::Schedule => replayer.at(start + Duration::from_nanos(op.time_ns), op, interrupt).await,
            Pace::Closed { .. } | Pace::Max { .. } => replayer.at_once(op, interrupt).await,
        };
        if !go_on {
            break;
        }
    }
    let measured = replayer.finish(start, outstanding).await;
    match failure {
        Some(error) => Err(error),
        None => Ok(measured),
    }
}

/// Results, shared with the spawned operations. Locked only to add a number.
#[derive(Clone, Default)]
struct Results(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    measured: Measured,
    /// An error that the next operation would meet as well.
    hopeless: bool,
}

impl Results {
    fn with<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, op: &Op, intended: Instant, started: Instant, result: Result<(), Error>) {
        let end = clock::now();
        self.with(|shared| match result {
            Ok(()) => shared.measured.done(Done {
                kind: op.kind,
                bytes: op.len,
                latency: end.saturating_duration_since(intended),
                service: end.saturating_duration_since(started),
            }),
            Err(error) => {
                shared.hopeless |= hopeless(&error);
                shared
                    .measured
                    .failed(op.kind, || format!("{} of {} bytes at {}: {error}", op.kind.name(), op.len, op.offset));
            }
        });
    }
}

fn hopeless(error: &Error) -> bool {
    use ErrorKind::{Busy, Closed, Config, Denied, NoBucket, ReadOnly, Redirect};
    matches!(error.kind(), Busy | Closed | Config | Denied | NoBucket | ReadOnly | Redirect)
}

/// What an outstanding operation occupies.
struct Place {
    /// Of all, and of its stream.
    _slots: [Option<OwnedSemaphorePermit>; 2],
    /// So long after it returned.
    think: Duration,
}

impl Place {
    fn leave(self) {
        if !self.think.is_zero() {
            tokio::spawn(async move {
                clock::sleep(self.think).await;
                drop(self);
            });
        }
    }
}

/// The writes since the last flush. Each holds a sender; when all are gone the receiver says so.
struct Epoch {
    writes: mpsc::Sender<()>,
    returned: mpsc::Receiver<()>,
}

impl Epoch {
    fn new() -> Self {
        let (writes, returned) = mpsc::channel(1);
        Self { writes, returned }
    }
}

struct Replayer<'a, D> {
    disk: Arc<D>,
    options: &'a Options,
    bodies: Bodies,
    slots: Arc<Semaphore>,
    /// Of streams with a bound of their own.
    stream_slots: Vec<Option<Arc<Semaphore>>>,
    epoch: Epoch,
    results: Results,
    scratch: Vec<u8>,
}

impl<'a, D: Disk> Replayer<'a, D> {
    fn new(disk: Arc<D>, options: &'a Options, outstanding: usize) -> Self {
        let own_slots = |stream: &StreamProperties| Some(Arc::new(Semaphore::new(stream.depth?.max(1) as usize)));
        let bounded = matches!(options.pace, Pace::Closed { .. });
        Self {
            disk,
            options,
            bodies: Bodies::new(&options.streams, options.seed),
            stream_slots: options.streams.iter().map(|stream| own_slots(stream).filter(|_| bounded)).collect(),
            slots: Arc::new(Semaphore::new(outstanding)),
            epoch: Epoch::new(),
            results: Results::default(),
            scratch: Vec::new(),
        }
    }

    /// Starts an operation at its time, however late that is by now. False: stop.
    async fn at(&mut self, intended: Instant, op: Op, interrupt: &Interrupt) -> bool {
        if intended > clock::now() {
            tokio::select! {
                biased;
                () = interrupt.wait() => {}
                () = wait_until(intended) => {}
            }
        } else {
            // Far behind, nothing here would ever wait and let others run.
            tokio::task::coop::consume_budget().await;
        }
        let Some(slot) = self.slot(&self.slots, interrupt).await else { return false };
        self.issue(op, Some(intended), Place { _slots: [Some(slot), None], think: Duration::ZERO });
        !self.results.with(|shared| shared.hopeless)
    }

    /// Starts an operation as soon as there is room. False: stop.
    async fn at_once(&mut self, op: Op, interrupt: &Interrupt) -> bool {
        let Some(place) = self.place(&op, interrupt).await else { return false };
        let flushes = op.kind == OpKind::Flush || op.flush_before || op.durable;
        let returned = self.issue(op, None, place);
        if let (true, Some(returned)) = (flushes, returned) {
            // An error means that the task is gone, and then its result was recorded or it panicked.
            let _ = returned.await;
        }
        !self.results.with(|shared| shared.hopeless)
    }

    /// In a closed loop: within the bound of its stream, then of all.
    async fn place(&self, op: &Op, interrupt: &Interrupt) -> Option<Place> {
        let stream = op.origin.stream();
        let own = match self.stream_slots.get(stream).and_then(Option::as_ref) {
            Some(slots) => Some(self.slot(slots, interrupt).await?),
            None => None,
        };
        let slot = self.slot(&self.slots, interrupt).await?;
        let pauses = matches!(self.options.pace, Pace::Closed { .. });
        let think_ns = self.options.streams.get(stream).map_or(0, |stream| if pauses { stream.think_ns } else { 0 });
        Some(Place { _slots: [Some(slot), own], think: Duration::from_nanos(think_ns) })
    }

    async fn slot(&self, slots: &Arc<Semaphore>, interrupt: &Interrupt) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = interrupt.wait() => {
                self.results.with(|shared| shared.measured.interrupted = true);
                None
            }
            slot = slots.clone().acquire_owned() => slot.ok(),
        }
    }

    /// Answers when the operation returns, unless it has already.
    fn issue(&mut self, mut op: Op, intended: Option<Instant>, place: Place) -> Option<oneshot::Receiver<()>> {
        let started = clock::now();
        let intended = intended.unwrap_or(started);
        self.results.with(|shared| shared.measured.started(started.saturating_duration_since(intended)));
        op.offset += self.options.device_starts.get(op.device as usize).copied().unwrap_or(0);
        let data = if op.kind == OpKind::Write { self.bodies.pieces(&op) } else { Vec::new() };
        let rest = match self.try_at_once(&op, data) {
            Ok(Some(rest)) => rest,
            Ok(None) => {
                self.results.record(&op, intended, started, Ok(()));
                place.leave();
                return None;
            }
            Err(error) => {
                self.results.record(&op, intended, started, Err(error));
                return None;
            }
        };
        let order = self.order(&op);
        let (disk, results) = (self.disk.clone(), self.results.clone());
        let (tell, returned) = oneshot::channel();
        tokio::spawn(async move {
            let result = run(&*disk, &op, rest, order).await;
            results.record(&op, intended, started, result);
            place.leave();
            // Nobody may be waiting.
            let _ = tell.send(());
        });
        Some(returned)
    }

    /// Does what can be done without waiting. Answers what remains of a write's data, or nothing when all is done.
    fn try_at_once(&mut self, op: &Op, data: Vec<Bytes>) -> Result<Option<Vec<Bytes>>, Error> {
        if op.len > PIECE || op.flush_before || op.durable {
            return Ok(Some(data));
        }
        match op.kind {
            OpKind::Read => match self.disk.try_read(op.offset, op.len as usize, &mut self.scratch) {
                Some(read) => read.map(|()| None),
                None => Ok(Some(data)),
            },
            OpKind::Write => {
                let mut rest = data;
                let taken = self.disk.try_write(op.offset, &rest[0])?;
                let whole = taken == rest[0].len();
                rest[0] = rest[0].slice(taken..);
                Ok((!whole).then_some(rest))
            }
            OpKind::Flush | OpKind::Discard => Ok(Some(data)),
        }
    }

    /// What an operation must wait for, or keep others waiting for.
    fn order(&mut self, op: &Op) -> Order {
        let flushes_first = op.kind == OpKind::Flush || op.flush_before;
        let before = flushes_first.then(|| std::mem::replace(&mut self.epoch, Epoch::new()).returned);
        // A flush that still waits keeps the next one waiting too, since that covers the same writes.
        let holds = (op.kind != OpKind::Read).then(|| self.epoch.writes.clone());
        Order { before, holds }
    }

    /// Waits for all, flushes, and takes the results.
    async fn finish(self, start: Instant, outstanding: usize) -> Measured {
        // Every slot free means every operation returned; the semaphore is never closed.
        let _all = self.slots.acquire_many(outstanding as u32).await;
        let before_flush = clock::now();
        let flushed = self.disk.flush().await;
        let end = clock::now();
        self.results.with(|shared| {
            let mut measured = std::mem::take(&mut shared.measured);
            if let Err(error) = flushed {
                measured.failed(OpKind::Flush, || format!("the final flush: {error}"));
            }
            measured.drain = end.saturating_duration_since(before_flush);
            measured.elapsed = end.saturating_duration_since(start);
            measured
        })
    }
}

/// Returns at `time`, not at a timer's next tick. It sleeps nearly all of the time: a thread that spins is set back by the
/// kernel for what it has used, and then everything it times is late by some milliseconds.
async fn wait_until(time: Instant) {
    // Time of its own, such as a paused clock's, passes only while everybody waits.
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return clock::sleep_until(time).await;
    }
    clock::sleep_until(time.checked_sub(AWAKE).unwrap_or(time)).await;
    let rest = time.saturating_duration_since(clock::now());
    if rest > LATE_AT_MOST {
        #[expect(clippy::disallowed_methods, reason = "for less than a tick; the runtime has other threads")]
        tokio::task::block_in_place(|| std::thread::sleep(rest - LATE_AT_MOST));
    }
    while clock::now() < time {
        std::hint::spin_loop();
    }
}

struct Order {
    before: Option<mpsc::Receiver<()>>,
    /// Keeps the next flush waiting.
    holds: Option<mpsc::Sender<()>>,
}

async fn run<D: Disk>(disk: &D, op: &Op, data: Vec<Bytes>, mut order: Order) -> Result<(), Error> {
    if let Some(before) = &mut order.before {
        // Nothing is ever sent: the end of the channel is the last write's return.
        before.recv().await;
    }
    if op.kind == OpKind::Flush {
        // It has passed on what it waited for; flushes themselves may overlap.
        order.holds = None;
    }
    if op.flush_before {
        disk.flush().await?;
    }
    match op.kind {
        OpKind::Read => {
            let starts = (0..op.len).step_by(PIECE as usize);
            let pieces = starts.map(|at| disk.read(op.offset + at, (op.len - at).min(PIECE) as usize));
            try_join_all(pieces).await?;
        }
        OpKind::Write => {
            // `data` ends where the operation ends, whatever has been taken in already.
            let mut at = op.end() - data.iter().map(|piece| piece.len() as u64).sum::<u64>();
            let pieces = data.into_iter().map(|piece| {
                let offset = at;
                at += piece.len() as u64;
                disk.write(offset, piece)
            });
            try_join_all(pieces).await?;
        }
        OpKind::Flush => disk.flush().await?,
        OpKind::Discard => disk.zero(op.offset, op.len).await?,
    }
    if op.durable { disk.flush().await } else { Ok(()) }
}

#[cfg(test)]
mod tests;
