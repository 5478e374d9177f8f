//! Runs operations against a volume: by schedule (open loop) or as fast as a bound of outstanding ones allows.
//!
//! By schedule, every operation has an absolute intended start; a late one delays nobody's schedule, and its latency
//! counts from when it should have started. A flush never overtakes a write that came before it ([`crate::turns`]). In a
//! closed loop, operations behind a flush wait for it as well, as its caller would.
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
use tokio::sync::oneshot;

use crate::bodies::{Bodies, PIECE};
use crate::interrupt::Interrupt;
use crate::measure::{Done, Measured};
use crate::turns::{Epoch, Order, Pace, Place, Places, is_waited_for};

/// A timer's tick and a little more.
const AWAKE: Duration = Duration::from_micros(1200);

/// A sleeping thread is called up to the kernel's timer slack of 50 us late.
const LATE_AT_MOST: Duration = Duration::from_micros(60);

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
    let mut replayer = Replayer::new(disk, options);
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
            Pace::Closed { .. } => replayer.at_once(op, interrupt).await,
        };
        if !go_on {
            break;
        }
    }
    let measured = replayer.finish(start).await;
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

struct Replayer<'a, D> {
    disk: Arc<D>,
    options: &'a Options,
    bodies: Bodies,
    places: Places,
    epoch: Epoch,
    results: Results,
    scratch: Vec<u8>,
}

impl<'a, D: Disk> Replayer<'a, D> {
    fn new(disk: Arc<D>, options: &'a Options) -> Self {
        Self {
            disk,
            options,
            bodies: Bodies::new(&options.streams, options.seed),
            places: Places::new(options.pace, &options.streams, |pause| pause),
            epoch: Epoch::default(),
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
        let Some(place) = self.place(&op, interrupt).await else { return false };
        self.issue(op, Some(intended), place);
        !self.results.with(|shared| shared.hopeless)
    }

    /// Starts an operation as soon as there is room. False: stop.
    async fn at_once(&mut self, op: Op, interrupt: &Interrupt) -> bool {
        let Some(place) = self.place(&op, interrupt).await else { return false };
        let waits = is_waited_for(&op);
        let returned = self.issue(op, None, place);
        if let (true, Some(returned)) = (waits, returned) {
            // An error means that the task is gone, and then its result was recorded or it panicked.
            let _ = returned.await;
        }
        !self.results.with(|shared| shared.hopeless)
    }

    /// Waits for a place; nothing when interrupted.
    async fn place(&self, op: &Op, interrupt: &Interrupt) -> Option<Place> {
        tokio::select! {
            biased;
            () = interrupt.wait() => {
                self.results.with(|shared| shared.measured.interrupted = true);
                None
            }
            place = self.places.take(op.origin.stream()) => Some(place),
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
                place.leave();
                return None;
            }
        };
        let order = self.epoch.order(&op);
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

    /// Waits for all, flushes, and takes the results.
    async fn finish(self, start: Instant) -> Measured {
        // No place taken means every operation returned.
        self.places.wait_for_all().await;
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

async fn run<D: Disk>(disk: &D, op: &Op, data: Vec<Bytes>, mut order: Order) -> Result<(), Error> {
    order.wait(op.kind).await;
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
