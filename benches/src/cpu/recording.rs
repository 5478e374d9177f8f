//! What `--record` adds to a request: the push with its lock and its look at the clock, and the thread that packs and
//! writes.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use s3b_engine::cpu::Cpu;
use s3b_engine::geometry::Geometry;
use s3b_engine::payload::Payload;
use s3b_engine::settings::{BlockCacheSettings, CacheSize, Location, Settings, VolumeSettings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use s3b_frontend::record::{Intake, Recording};
use s3b_scenarios::OpKind;
use s3b_testkit::xorshift;

use super::{median, used};

const SIZE: u64 = 64 << 20;
const REQUEST: usize = 4096;
const REQUESTS: u64 = 1_000_000;
const ROUNDS: usize = 9;

/// Nanoseconds of processor time that a recorded request costs, medians of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Nothing but pushes.
    pub alone: f64,
    /// The same from two threads at a time.
    pub contended: f64,
    /// A 4 KiB read that hits and its push, less the read: caches are as cold as on a mount, or nearly.
    pub beside_reads: f64,
    /// That read.
    pub read: f64,
    /// In the file, for each request.
    pub bytes: f64,
}

/// Random 4 KiB reads of a volume in the cache, with and without a recording to a file below `dir`, in turn.
///
/// # Errors
/// A file that cannot be written.
pub fn measure(dir: &Path) -> Result<Cost> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stack = runtime.block_on(filled())?;
    let volume = stack.volume();
    let (mut alone, mut contended, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0.0;
    for round in 0..=ROUNDS {
        let path = dir.join(format!("{round}.s3bt"));
        let [one, two, reading, silent] = [
            recorded(&path, |intake| pushes(intake, 1, REQUESTS))?,
            recorded(&path, |intake| {
                std::thread::scope(|scope| {
                    for seed in 1..=2 {
                        scope.spawn(move || pushes(intake, seed, REQUESTS / 2));
                    }
                });
            })?,
            recorded(&path, |intake| reads(&volume, Some(intake)))?,
            (
                timed(|| {
                    reads(&volume, None);
                    Ok(())
                })?,
                0,
            ),
        ];
        if round == 0 {
            continue;
        }
        alone.push(one.0);
        contended.push(two.0);
        with.push(reading.0);
        without.push(silent.0);
        bytes = reading.1 as f64 / REQUESTS as f64;
    }
    runtime.block_on(stack.close())?;
    let beside_reads = median(with.iter().zip(&without).map(|(with, without)| with - without).collect());
    let read = median(without);
    Ok(Cost { alone: median(alone), contended: median(contended), beside_reads, read, bytes })
}

async fn filled() -> Result<Stack> {
    let volume = VolumeSettings { size: Some(SIZE), block_size: Some(64 << 10), ..VolumeSettings::default() };
    let block_cache = BlockCacheSettings { size: CacheSize::Bytes(2 * SIZE), ..BlockCacheSettings::default() };
    let settings = Settings { location: Location::Memory, volume, block_cache, ..Settings::default() };
    let parts = Parts { backend: None, cpu: Cpu::inline(), payload: Payload::Real, password: None, access_key: None };
    let stack = Stack::open(&settings, parts).await?;
    let volume = stack.volume();
    for at in (0..SIZE).step_by(1 << 20) {
        volume.write(at, Bytes::from(vec![7; 1 << 20])).await?;
    }
    volume.flush().await?;
    Ok(stack)
}

/// Nanoseconds for each request, and the bytes of the file; from the start of the recording to its end.
fn recorded(path: &Path, work: impl FnOnce(&Intake)) -> Result<(f64, u64)> {
    let geometry = Geometry::new(64 << 10, SIZE)?;
    let mut counted = 0;
    let nanos = timed(|| {
        let recording = Recording::start(path, 0, geometry)?;
        let intake: Arc<Intake> = recording.intake();
        work(&intake);
        let counts = recording.counts();
        recording.finish();
        counted = counts.ops.get();
        Ok(())
    })?;
    let bytes = path.metadata()?.len();
    std::fs::remove_file(path)?;
    ensure!(counted > 0, "nothing was recorded");
    Ok((nanos, bytes))
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = used()?;
    work()?;
    Ok((used()? - before).as_nanos() as f64 / REQUESTS as f64)
}

fn somewhere(state: &mut u64) -> u64 {
    xorshift(state) % (SIZE / REQUEST as u64) * REQUEST as u64
}

fn pushes(intake: &Intake, seed: u64, count: u64) {
    let mut state = seed;
    (0..count).for_each(|_| intake.push(OpKind::Read, somewhere(&mut state), REQUEST as u64));
}

fn reads(volume: &Volume, intake: Option<&Intake>) {
    let (mut state, mut scratch) = (1, Vec::new());
    for _ in 0..REQUESTS {
        let at = somewhere(&mut state);
        if let Some(intake) = intake {
            intake.push(OpKind::Read, at, REQUEST as u64);
        }
        black_box(volume.try_read(at, REQUEST, &mut scratch).map(|bytes| bytes.map(|bytes| bytes.len())).is_some());
    }
}
