//! Memory of a full cache, and the time until a large volume can be used.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use s3b_engine::clock;
use s3b_engine::object::{GetIf, Got, Object, ObjectBackend, PutIf};
use s3b_engine::s3::{Credentials, S3Backend};
use s3b_engine::settings::S3Settings;
use s3b_testkit::seaweed::Seaweed;
use s3b_testkit::{Mount, port_of};
use tokio::task::JoinSet;

use crate::contestants::Programs;
use crate::fio::Job;
use crate::kernel::resident;
use crate::report::{Outcome, Want};

const MIB: u64 = 1 << 20;
const CACHE: u64 = 256 * MIB;

/// A volume of 1 TiB with as many blocks, evenly spread.
const LARGE: u64 = 1 << 40;
const LARGE_BLOCK: u64 = 256 << 10;
const LARGE_BLOCKS: u64 = 100_000;
const EVERY: u64 = LARGE / LARGE_BLOCK / LARGE_BLOCKS;
/// As many of those blocks as a server takes within this are enough: SeaweedFS takes some 2,000 a second on two cores.
const FILLING: Duration = Duration::from_secs(50);
/// Requests at a time that fill it.
const FILLERS: u64 = 64;

pub const CASES: [&str; 3] = ["resident-memory-full-cache", "usable-1tib-100k-blocks", "usable-1tib-s3"];

/// Runs one of [`CASES`].
pub fn run(case: &str, programs: &Programs, rounds: usize) -> Result<Outcome> {
    match case {
        "resident-memory-full-cache" => resident_memory(case, programs),
        "usable-1tib-s3" => usable_over_s3(case, programs, rounds),
        _ => usable(case, programs, rounds),
    }
}

/// The highest resident memory after twice the cache was written and read.
fn resident_memory(case: &str, programs: &Programs) -> Result<Outcome> {
    let store = tempfile::tempdir_in("/dev/shm")?;
    let size = format!("--size={}", 2 * CACHE);
    let cache = format!("--block-cache-size={}m", CACHE / MIB);
    let flags = [size.as_str(), "--block-size=64k", cache.as_str()];
    let mount = Mount::start(&mut programs.s3b.mount_directory(store.path(), &flags))?;
    for pattern in ["write", "read"] {
        let job = Job {
            pattern,
            request_bytes: MIB,
            file_bytes: 2 * CACHE,
            seconds: 0,
            jobs: 1,
            end_fsync: false,
            direct: true,
            cpu: None,
        };
        job.run(&mount.file())?;
    }
    let (_, highest) = resident(mount.pid())?;
    mount.unmount()?;
    let bound = (CACHE + 64 * MIB) / MIB;
    Ok(Outcome::alone(case, "MiB", vec![highest as f64 / MIB as f64], Want::AtMost(bound as f64)))
}

/// Seconds from the start of the program to the first bytes of a volume of 1 TiB that holds 100,000 blocks.
fn usable(case: &str, programs: &Programs, rounds: usize) -> Result<Outcome> {
    let store = tempfile::tempdir_in("/dev/shm")?;
    for number in 0..LARGE_BLOCKS {
        // Sparse: no memory behind them, but blocks all the same.
        File::create(store.path().join(format!("{:08x}", number * EVERY)))?.set_len(LARGE_BLOCK)?;
    }
    let mount = || programs.s3b.mount_directory(store.path(), &["--size=1t", "--block-size=256k"]);
    let seconds = until_first_bytes(mount, EVERY * LARGE_BLOCK * (LARGE_BLOCKS - 1), rounds)?;
    Ok(Outcome::alone(case, "s", seconds, Want::AtMost(1.0)))
}

/// Seconds from the start of the program to bytes of the block at `offset`.
fn until_first_bytes(command: impl Fn() -> Command, offset: u64, rounds: usize) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let start = clock::now();
        let mount = Mount::start(&mut command())?;
        let mut bytes = vec![0; 4096];
        File::open(mount.file())?.read_exact_at(&mut bytes, offset)?;
        seconds.push(start.elapsed().as_secs_f64());
        mount.unmount()?;
    }
    Ok(seconds)
}

/// The same on a real S3 server. The name of the outcome says how many blocks there were.
fn usable_over_s3(case: &str, programs: &Programs, rounds: usize) -> Result<Outcome> {
    const BUCKET: &str = "large";
    let server = Seaweed::shared()?.context("SeaweedFS is not installed: ./run-tests does it")?;
    server.create_bucket(BUCKET)?;
    let port = port_of(&server.endpoint())?;
    let keys = (Seaweed::ACCESS_ID, Seaweed::SECRET);
    let mount = || programs.s3b.mount_bucket(port, keys, BUCKET, &["--size=1t", "--block-size=256k", "--compress"]);

    // One block as s3b makes it, small because it compresses; all others are copies.
    let first = Mount::start(&mut mount())?;
    OpenOptions::new()
        .write(true)
        .open(first.file())?
        .write_all_at(&vec![7; usize::try_from(LARGE_BLOCK)?], EVERY * LARGE_BLOCK)?;
    first.unmount()?;
    let settings = S3Settings { base_url: Some(server.endpoint()), ..S3Settings::default() };
    let credentials = Credentials::fixed(keys.0, keys.1.to_owned().into(), None);
    let backend = Arc::new(S3Backend::new(BUCKET, &settings, credentials, Arc::default())?);
    let blocks = tokio::runtime::Runtime::new()?.block_on(copy_blocks(backend))?;
    ensure!(blocks >= LARGE_BLOCKS / 10, "the server took only {blocks} blocks within {FILLING:?}");

    let seconds = until_first_bytes(mount, EVERY * LARGE_BLOCK * blocks, rounds)?;
    Ok(Outcome::alone(&format!("{case}-{blocks}-blocks"), "s", seconds, Want::AtMost(1.0)))
}

/// Puts copies of block [`EVERY`] at its multiples, in order, for [`FILLING`]; answers the last multiple.
async fn copy_blocks(backend: Arc<S3Backend>) -> Result<u64> {
    let key = |number: u64| format!("{:08x}", number * EVERY);
    let Got::Object(Object { body, headers, .. }) = backend.get(&key(1), GetIf::Always, 1 << 20).await? else {
        bail!("the first block is not in the bucket");
    };
    let next = Arc::new(AtomicU64::new(2));
    let deadline = clock::now() + FILLING;
    let mut fillers = JoinSet::new();
    for _ in 0..FILLERS {
        let (backend, next, headers, body) = (backend.clone(), next.clone(), headers.clone(), body.clone());
        fillers.spawn(async move {
            while clock::now() < deadline {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= LARGE_BLOCKS {
                    break;
                }
                backend.put(&key(number), headers.clone(), body.clone(), PutIf::Always).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    // Every number handed out was put.
    Ok((next.load(Ordering::Relaxed) - 1).min(LARGE_BLOCKS - 1))
}
