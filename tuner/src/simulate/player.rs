//! Runs operations against a volume in virtual time, as [`crate::replay`] does in real time and with the same rules: an
//! absolute deadline each, latency from the intended start, hits answered in place and misses spawned, the turns of
//! [`crate::turns`]. Apart from that one only for speed: by schedule it needs no places, it knows no interrupts and no
//! spinning, and counts hits instead of timing them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::Error;
use s3b_engine::payload::Weight;
use s3b_engine::volume::Volume;
use s3b_scenarios::{Op, OpKind};
use tokio::sync::{Notify, oneshot};

use super::dilation::{shrunk, since, stretched, tick_after};
use super::ledger::HostSide;
use super::scene::Scene;
use super::{Ended, Host, Job};
use crate::bodies::PIECE;
use crate::measure::{Done, Measured};
use crate::turns::{Epoch, Order, Pace, Place, Places, is_waited_for};

/// Operations between two looks at limits and the wish to stop.
const LOOK_EVERY: u64 = 64;

const NEARLY_NOW: Duration = Duration::from_micros(20);

/// What the operations under way share with the loop. Locked only to add a number.
struct Shared {
    results: Mutex<Results>,
    /// One fewer is outstanding.
    returned: Notify,
}

#[derive(Default)]
struct Results {
    measured: Measured,
    outstanding: usize,
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Results) -> T) -> T {
        change(&mut self.results.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, op: &Op, intended: Instant, started: Instant, result: Result<(), Error>) {
        let now = clock::now();
        self.with(|results| match result {
            Ok(()) => results.measured.done(Done {
                kind: op.kind,
                bytes: op.len,
                latency: shrunk(now - intended),
                service: shrunk(now - started),
            }),
            Err(error) => results
                .measured
                .failed(op.kind, || format!("{} of {} bytes at {}: {error}", op.kind.name(), op.len, op.offset)),
        });
    }
}

pub(super) struct Player {
    volume: Arc<Volume>,
    device_starts: Vec<u64>,
    /// Of what each stream writes.
    weights: Vec<Weight>,
    /// Of a closed loop: by schedule, counting is enough.
    places: Places,
    epoch: Epoch,
    shared: Arc<Shared>,
    scratch: Vec<u8>,
    host: Host,
    started: Instant,
    /// Host time not yet slept in a closed loop, in undilated nanoseconds.
    debt_ns: f64,
    /// By schedule: when the one caller has issued what came so far.
    host_free: Instant,
    side: HostSide,
    ops: u64,
    /// Stores that flushes had hurried when all operations had returned: without the final flush.
    forced: Option<u64>,
}

/// What is left to do of an operation.
enum Rest {
    Nothing,
    /// All of it, or a write from this byte on.
    From(u64),
}

impl Player {
    pub(super) fn new(job: &Job, volume: Arc<Volume>, device_starts: Vec<u64>) -> Self {
        let streams = &job.tape.streams;
        Self {
            volume,
            device_starts,
            weights: streams.iter().map(|stream| Weight::of_ratio(stream.content.compressibility)).collect(),
            places: Places::new(job.pace, streams, stretched),
            epoch: Epoch::default(),
            shared: Arc::new(Shared { results: Mutex::default(), returned: Notify::new() }),
            scratch: Vec::new(),
            host: job.host,
            started: clock::now(),
            debt_ns: 0.0,
            host_free: clock::now(),
            side: HostSide::default(),
            ops: 0,
            forced: None,
        }
    }

    /// All operations and the final flush.
    ///
    /// # Errors
    /// What the workload's source yields. Operations that fail are counted in the result.
    pub(super) async fn play(&mut self, job: &Job, scene: &Scene, stop: &AtomicBool) -> Result<Ended> {
        self.started = clock::now();
        for op in job.tape.ops()? {
            let op = op?;
            if self.ops.is_multiple_of(LOOK_EVERY) && stop.load(Relaxed) {
                return Ok(Ended::Stopped);
            }
            self.ops += 1;
            match job.pace {
                Pace::Schedule => self.at_its_time(op, job.settle).await,
                Pace::Closed { .. } => self.in_turn(op).await,
            }
        }
        self.drain(scene).await;
        Ok(Ended::Whole)
    }

    async fn at_its_time(&mut self, op: Op, settle: bool) {
        let mut now = clock::now();
        if settle {
            // A tick passes only when nothing is left to do at this one.
            clock::sleep(Duration::from_millis(1)).await;
            now = clock::now();
        }
        let intended = tick_after(self.started, op.time_ns);
        if intended > now {
            clock::sleep_until(intended).await;
            now = intended;
        } else {
            // Far behind, nothing here would ever wait and let others run.
            tokio::task::coop::consume_budget().await;
        }
        if self.wait_for_turn().await {
            now = clock::now();
        }
        now = self.behind_the_others(&op, now).await;
        self.issue(op, intended, now, Place::default());
    }

    /// One caller issues all operations, so those of a burst queue. Answers when this one is issued: a moment to come as
    /// long as that is nearer than the engine's own steps, since every sleep costs the simulation time.
    async fn behind_the_others(&mut self, op: &Op, now: Instant) -> Instant {
        let issued = now.max(self.host_free);
        self.host_free = issued + stretched(self.host_time(op));
        if issued > now + stretched(NEARLY_NOW) {
            clock::sleep_until(issued).await;
        }
        issued
    }

    async fn in_turn(&mut self, op: Op) {
        tokio::task::coop::consume_budget().await;
        let place = self.places.take(op.origin.stream()).await;
        self.pay(&op).await;
        let now = clock::now();
        let waits = is_waited_for(&op);
        let returned = self.issue(op, now, now, place);
        if let (true, Some(returned)) = (waits, returned) {
            // An error means that the task panicked, and that ends the simulation elsewhere.
            let _ = returned.await;
        }
    }

    /// Whether it had to wait.
    async fn wait_for_turn(&self) -> bool {
        let mut waited = false;
        while self.shared.with(|results| results.outstanding >= self.places.at_most()) {
            self.shared.returned.notified().await;
            waited = true;
        }
        waited
    }

    fn host_time(&self, op: &Op) -> Duration {
        let moved = if matches!(op.kind, OpKind::Read | OpKind::Write) { op.len } else { 0 };
        self.host.per_operation + Duration::from_nanos((moved as f64 * self.host.ns_per_byte) as u64)
    }

    /// One caller issues all operations of a closed loop, so that the host's time holds up the next one.
    async fn pay(&mut self, op: &Op) {
        self.debt_ns += self.host_time(op).as_nanos() as f64;
        let ticks = (self.debt_ns / 1000.0) as u64;
        if ticks > 0 {
            self.debt_ns -= ticks as f64 * 1000.0;
            clock::sleep(stretched(Duration::from_micros(ticks))).await;
        }
    }

    /// Answers when the operation returns, unless it has already.
    fn issue(&mut self, mut op: Op, intended: Instant, now: Instant, place: Place) -> Option<oneshot::Receiver<()>> {
        let lag = shrunk(now - intended);
        op.offset += self.device_starts.get(op.device as usize).copied().unwrap_or(0);
        self.side.count(&op, self.volume.geometry());
        let weight = self.weight(&op);
        let rest = self.try_at_once(&op, weight);
        let host_time = self.host_time(&op);
        let shared = &self.shared;
        match rest {
            Ok(Rest::Nothing) => {
                let (kind, bytes) = (op.kind, op.len);
                shared.with(|results| {
                    results.measured.started(lag);
                    results.measured.done(Done { kind, bytes, latency: lag + host_time, service: host_time });
                });
                place.leave();
                None
            }
            Err(error) => {
                shared.with(|results| results.measured.started(lag));
                shared.record(&op, intended, now, Err(error));
                place.leave();
                None
            }
            Ok(Rest::From(from)) => {
                shared.with(|results| {
                    results.measured.started(lag);
                    results.outstanding += 1;
                });
                Some(self.spawn(Rested { op, weight, from, intended, now, place }))
            }
        }
    }

    fn spawn(&mut self, rested: Rested) -> oneshot::Receiver<()> {
        let Rested { op, weight, from, intended, now, place } = rested;
        let order = self.epoch.order(&op);
        let (volume, shared) = (self.volume.clone(), self.shared.clone());
        let (tell, returned) = oneshot::channel();
        tokio::spawn(async move {
            let result = run(&volume, &op, weight, from, order).await;
            shared.record(&op, intended, now, result);
            shared.with(|results| results.outstanding -= 1);
            shared.returned.notify_one();
            place.leave();
            // Nobody may be waiting.
            let _ = tell.send(());
        });
        returned
    }

    /// What a write carries.
    fn weight(&self, op: &Op) -> Weight {
        match self.weights.get(op.origin.stream()) {
            Some(weight) if !op.origin.is_zero() => *weight,
            _ => Weight::ZERO,
        }
    }

    /// Does what can be done without waiting.
    fn try_at_once(&mut self, op: &Op, weight: Weight) -> Result<Rest, Error> {
        if op.len > PIECE || op.flush_before || op.durable {
            return Ok(Rest::From(0));
        }
        match op.kind {
            OpKind::Read => match self.volume.try_read(op.offset, op.len as usize, &mut self.scratch) {
                Some(read) => read.map(|_| Rest::Nothing),
                None => Ok(Rest::From(0)),
            },
            OpKind::Write => {
                let taken = self.volume.try_write_weight(op.offset, op.len, weight)?;
                Ok(if taken == op.len { Rest::Nothing } else { Rest::From(taken) })
            }
            OpKind::Flush | OpKind::Discard => Ok(Rest::From(0)),
        }
    }

    /// Waits for all, and flushes.
    async fn drain(&mut self, scene: &Scene) {
        // Of a closed loop: thinking is part of it.
        self.places.wait_for_all().await;
        while self.shared.with(|results| results.outstanding > 0) {
            self.shared.returned.notified().await;
        }
        self.forced = Some(scene.forced());
        let before_flush = clock::now();
        let flushed = self.volume.flush().await;
        self.shared.with(|results| {
            if let Err(error) = flushed {
                results.measured.failed(OpKind::Flush, || format!("the final flush: {error}"));
            }
            results.measured.drain = since(before_flush);
        });
    }

    /// See the field.
    pub(super) fn forced(&self) -> Option<u64> {
        self.forced
    }

    pub(super) fn finish(self, ended: Ended) -> (Measured, HostSide) {
        let mut measured = self.shared.with(|results| std::mem::take(&mut results.measured));
        measured.elapsed = since(self.started);
        measured.interrupted = ended != Ended::Whole;
        (measured, self.side)
    }
}

/// An operation that cannot be done without waiting.
struct Rested {
    op: Op,
    weight: Weight,
    from: u64,
    intended: Instant,
    now: Instant,
    place: Place,
}

/// What remains of an operation: of a write, all from byte `from` on.
async fn run(volume: &Volume, op: &Op, weight: Weight, from: u64, mut order: Order) -> Result<(), Error> {
    order.wait(op.kind).await;
    if op.flush_before {
        volume.flush().await?;
    }
    match op.kind {
        OpKind::Read => {
            let starts = (0..op.len).step_by(PIECE as usize);
            let pieces = starts.map(|at| volume.read(op.offset + at, (op.len - at).min(PIECE) as usize));
            try_join_all(pieces).await?;
        }
        OpKind::Write => {
            let starts = (0..op.len).step_by(PIECE as usize).filter(|start| start + PIECE > from);
            let pieces = starts.map(|start| {
                let (at, end) = (start.max(from), (start + PIECE).min(op.len));
                volume.write_weight(op.offset + at, end - at, weight)
            });
            try_join_all(pieces).await?;
        }
        OpKind::Flush => volume.flush().await?,
        OpKind::Discard => volume.zero(op.offset, op.len).await?,
    }
    if op.durable { volume.flush().await } else { Ok(()) }
}
