//! Memory of a full cache, and the time until a large volume can be used.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use s3b_engine::clock;
use s3b_testkit::Mount;

use crate::contestants::Programs;
use crate::fio::Job;
use crate::kernel::resident;
use crate::report::{Outcome, Want};

const MIB: u64 = 1 << 20;
const CACHE: u64 = 256 * MIB;

pub const CASES: [&str; 2] = ["resident-memory-full-cache", "usable-1tib-100k-blocks"];

/// Runs one of [`CASES`].
pub fn run(case: &str, programs: &Programs, rounds: usize) -> Result<Outcome> {
    match case {
        "resident-memory-full-cache" => resident_memory(case, programs),
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
    const BLOCK: u64 = 256 << 10;
    const BLOCKS: u64 = 100_000;
    let store = tempfile::tempdir_in("/dev/shm")?;
    let every = (1 << 40) / BLOCK / BLOCKS;
    for number in 0..BLOCKS {
        // Sparse: no memory behind them, but blocks all the same.
        File::create(store.path().join(format!("{:08x}", number * every)))?.set_len(BLOCK)?;
    }
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let start = clock::now();
        let mut command = programs.s3b.mount_directory(store.path(), &["--size=1t", "--block-size=256k"]);
        let mount = Mount::start(&mut command)?;
        let mut bytes = vec![0; 4096];
        File::open(mount.file())?.read_exact_at(&mut bytes, every * BLOCK * (BLOCKS - 1))?;
        seconds.push(start.elapsed().as_secs_f64());
        mount.unmount()?;
    }
    Ok(Outcome::alone(case, "s", seconds, Want::AtMost(1.0)))
}
