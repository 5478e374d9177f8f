//! How fast simulations run, in real time: `cargo bench -p s3b-tuner --bench simulation_speed -- vm-io.vscsi.zst [64k|4k|grid]`.
//!
//! One thread for one configuration; all cores for the grid of 300.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_engine::clock;
use s3b_engine::settings::Settings;
use s3b_tuner::model::shipped;
use s3b_tuner::simulate::{Job, Tape, many, run};
use s3b_tuner::workload::Workload;

fn job(tape: &Arc<Tape>, block_size: u64, threads: u32, write_delay_ms: u64) -> Job {
    let mut settings = Settings::default();
    settings.volume.block_size = Some(block_size);
    settings.block_cache.threads = threads;
    settings.block_cache.write_delay = Duration::from_millis(write_delay_ms);
    Job { store: Some(Arc::new(shipped::standard())), seed: 1, ..Job::new(settings, tape.clone()) }
}

fn one(tape: &Arc<Tape>, block_size: u64) -> Result<()> {
    let start = clock::now();
    let simulated = run(&job(tape, block_size, 32, 250))?;
    let seconds = start.elapsed().as_secs_f64();
    let (cache, store) = (simulated.ledger.cache, simulated.ledger.store);
    let blocks = cache.read_hits + cache.read_misses + cache.write_hits + cache.write_misses;
    let ops = tape.summary.ops();
    println!(
        "{block_size} B blocks: {seconds:.3} s, {:.0} requests/s, {:.0} block operations/s, {} PUTs, {} GETs, {:.1} virtual s",
        ops as f64 / seconds,
        blocks as f64 / seconds,
        store.puts,
        store.gets,
        simulated.measured.elapsed.as_secs_f64(),
    );
    Ok(())
}

fn grid(tape: &Arc<Tape>) {
    let mut jobs = Vec::new();
    for shift in 16..24 {
        for threads in [4, 8, 16, 32, 64, 128] {
            for delay in [0, 250, 1000, 2500, 5000, 30_000] {
                jobs.push(job(tape, 1 << shift, threads, delay));
            }
        }
    }
    jobs.extend((0..12).map(|n| job(tape, 256 << 10, 10 + n, 500)));
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let start = clock::now();
    let results = many(&jobs, cores, &mut |_| {}, &AtomicBool::new(false));
    let failed = results.iter().filter(|result| !matches!(result, Some(Ok(_)))).count();
    println!(
        "{} configurations in {:.1} s on {cores} cores, {failed} failed",
        jobs.len(),
        start.elapsed().as_secs_f64()
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let trace = args.next().context("name a trace: -- vm.vscsi.zst [64k|4k|grid]")?;
    let what = args.next();
    let asked = |name: &str| what.as_deref().is_none_or(|what| what == name);
    let tape = Arc::new(Tape::of(Workload::load(&trace)?)?);
    for (name, block_size) in [("64k", 64 << 10), ("4k", 4 << 10)] {
        if asked(name) {
            one(&tape, block_size)?;
        }
    }
    if asked("grid") {
        grid(&tape);
    }
    Ok(())
}
