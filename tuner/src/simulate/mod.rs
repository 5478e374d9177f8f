//! One configuration over one workload on the real engine, in virtual time: what a mount would have done, in about a second.
//!
//! The engine is opened as a mount opens it, all layers included, over a model of a store; operations run by their own
//! times (open loop) or a number at a time (closed loop); a final flush; then it is closed. One simulation is one thread
//! with a paused clock and no I/O at all: a stray socket panics. The same job gives the same result, on any machine.
//!
//! Opening, the survey of what is there and closing cost nothing and are not counted: they are the mount's, not the
//! workload's.

mod client;
pub mod dilation;
mod ledger;
mod many;
mod player;
mod scene;
mod tape;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use s3b_engine::clock;
use s3b_engine::payload::Weight;
use s3b_engine::settings::Settings;
use tokio::runtime::Handle;

use self::dilation::stretched;
pub(crate) use self::ledger::{HostSide, Observed};
pub use self::many::{Finished, in_parallel, many};
use self::player::Player;
use self::scene::Scene;
pub(crate) use self::scene::within_speeds;
pub use self::tape::{Found, MOST_KEPT, Ops, Tape};
use crate::measure::Measured;
use crate::model::{StoreModel, Utilisation};
use crate::outcome::Ledger;
pub use crate::turns::Pace;

/// What to simulate.
#[derive(Clone)]
pub struct Job {
    /// As a mount would have them; the volume's size may be left to the workload.
    pub settings: Settings,
    pub tape: Arc<Tape>,
    pub pace: Pace,
    /// The store; nothing: one that answers at once.
    pub store: Option<Arc<StoreModel>>,
    /// Of the store's weather and of what the writes carry. Jobs to be compared have the same.
    pub seed: u64,
    pub start: Start,
    pub host: Host,
    /// Every operation finds the engine idle: all that the ones before it started at once has been done.
    pub settle: bool,
}

impl Job {
    /// From a cold cache at the workload's own times.
    pub fn new(settings: Settings, tape: Arc<Tape>) -> Self {
        Self {
            settings,
            tape,
            pace: Pace::Schedule,
            store: None,
            seed: 0,
            start: Start::default(),
            host: Host::default(),
            settle: false,
        }
    }
}

/// What the cache holds when time starts, beyond what the store holds: in order of use, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Ranges that were read, offset and length in bytes of the volume.
    pub resident: Vec<(u64, u64)>,
    /// Ranges that were written and are not stored yet.
    pub dirty: Vec<(u64, u64)>,
}

/// What an operation costs the host before the engine has it, or when it is a hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Host {
    pub per_operation: Duration,
    pub ns_per_byte: f64,
}

impl Default for Host {
    /// Nothing.
    fn default() -> Self {
        Self { per_operation: Duration::ZERO, ns_per_byte: 0.0 }
    }
}

/// How a simulation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All operations and the final flush.
    Whole,
    /// Because the caller said so.
    Stopped,
}

/// What came out, in undilated time.
#[derive(Clone, Debug)]
pub struct Simulated {
    pub measured: Measured,
    pub ledger: Ledger,
    /// Most bytes ever acknowledged and not yet stored.
    pub at_risk_bytes: u64,
    /// In the store at the end, what was there at the start included.
    pub stored_bytes: u64,
    /// Of the store's model; nothing without one.
    pub utilisation: Option<Utilisation>,
    pub ended: Ended,
    /// What the engine said when the volume was opened.
    pub notices: Vec<String>,
}

/// Longer than anybody waits for a final flush: an engine that is not done by then will never be.
const NEVER: Duration = Duration::from_secs(400 * 24 * 3600);

/// Runs one job on this thread (on one of its own, if this one serves an async runtime).
///
/// # Errors
/// Settings no volume can be opened with, a workload whose source fails, or an engine that does not come to its end.
pub fn run(job: &Job) -> Result<Simulated> {
    run_until(job, &AtomicBool::new(false))
}

/// As [`run`]; ends early once `stop` is set.
///
/// # Errors
/// As [`run`].
pub fn run_until(job: &Job, stop: &AtomicBool) -> Result<Simulated> {
    if Handle::try_current().is_err() {
        return run_here(job, stop);
    }
    // This thread serves a runtime already, and no runtime runs inside another.
    std::thread::scope(|scope| match scope.spawn(|| run_here(job, stop)).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn run_here(job: &Job, stop: &AtomicBool) -> Result<Simulated> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.context("cannot start a simulation's runtime")?;
    let result = runtime.block_on(simulate(job, stop));
    // Tasks that still wait hold the volume; dropping them here, on this thread, is what ends them.
    drop(runtime);
    result
}

async fn simulate(job: &Job, stop: &AtomicBool) -> Result<Simulated> {
    let (settings, device_starts) = job.tape.fit(&job.settings)?;
    let scene = Scene::set(job, &settings, &device_starts).await?;
    scene
        .prime(&job.start, Weight::of_ratio(job.tape.content.compressibility))
        .await
        .context("cannot put the cache into its state at the start")?;
    scene.weather_on(job.seed);
    let before = scene.observe();
    let mut player = Player::new(job, scene.volume(), device_starts);
    let patience = Duration::from_nanos(job.tape.summary.duration_ns) + NEVER;
    let ended = match clock::timeout(stretched(patience), player.play(job, &scene, stop)).await {
        Some(ended) => ended?,
        None => bail!("{}: the engine does not come to its end: {}", job.tape.title, scene.describe()),
    };
    let forced = player.forced();
    let (measured, host) = player.finish(ended);
    let ledger = scene.ledger(&before, host, forced);
    let at_risk_bytes = scene.most_at_risk();
    let stored_bytes = scene.stored_bytes();
    let utilisation = scene.utilisation();
    if ended == Ended::Whole {
        scene.weather_off();
        scene.close().await.context("cannot close the volume")?;
    }
    let notices = scene.notices();
    Ok(Simulated { measured, ledger, at_risk_bytes, stored_bytes, utilisation, ended, notices })
}

#[cfg(test)]
mod tests;
