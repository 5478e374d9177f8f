//! s3b over a directory on tmpfs against the null file: what the program itself costs.

use std::path::Path;

use anyhow::Result;
use s3b_testkit::Mount;

use crate::contestants::{Programs, drain};
use crate::fio::{Job, Measured};
use crate::report::{Outcome, Want};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// All in cache.
const SMALL: u64 = 128 * MIB;
/// Eight times the cache of the steady state.
const LARGE: u64 = 2048 * MIB;
const LARGE_CACHE: u64 = 256 * MIB;
/// Where a strict null file runs.
const CPU: usize = 0;

/// One comparison on a mounted pair.
pub struct Case {
    pub name: String,
    block_size: u64,
    /// The file does not fit the cache.
    steady: bool,
    /// The null file and its fio share one CPU: its best case, as then nothing waits for another core to wake up.
    strict: bool,
    job: Job,
    figure: Figure,
    want: Want,
}

#[derive(Clone, Copy)]
enum Figure {
    MegabytesPerSecond,
    RequestsPerSecond,
    MedianMicroseconds,
}

/// The list of the performance targets.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (block_size, write, random) in [(4 * KIB, 0.5, 0.9), (64 * KIB, 0.8, 0.7), (MIB, 0.8, 0.6)] {
        cases.push(case("seq-write", block_size, job("write", MIB), Figure::MegabytesPerSecond, Want::Ratio(write)));
        let random_write = job("randwrite", 4 * KIB);
        cases.push(case("rand-write", block_size, random_write, Figure::RequestsPerSecond, Want::Ratio(random)));
        if block_size > 4 * KIB {
            let fsynced = Job { end_fsync: true, ..job("write", MIB) };
            cases.push(case("seq-write-fsync", block_size, fsynced, Figure::MegabytesPerSecond, Want::Ratio(0.4)));
        }
    }
    let read = Job { seconds: 2, ..job("read", 128 * KIB) };
    cases.push(case("seq-read", 64 * KIB, read, Figure::MegabytesPerSecond, Want::Ratio(0.85)));
    let random_read = Job { seconds: 2, ..job("randread", 4 * KIB) };
    cases.push(case("rand-read", 64 * KIB, random_read.clone(), Figure::RequestsPerSecond, Want::Ratio(0.9)));
    cases.push(case("rand-read-p50", 64 * KIB, random_read, Figure::MedianMicroseconds, Want::Within(3.0)));
    // Left alone, the scheduler puts the null file on the idle core, where every request costs a wake-up across cores;
    // write-back keeps that core busy for ours. These take that luck away, from the null file's side only.
    for (name, block_size, pattern) in [
        ("strict-rand-write", 4 * KIB, "randwrite"),
        ("strict-rand-write", 64 * KIB, "randwrite"),
        ("strict-rand-write", MIB, "randwrite"),
        ("strict-rand-read", 64 * KIB, "randread"),
    ] {
        let timed = Job { seconds: 2, ..job(pattern, 4 * KIB) };
        let strict = case(name, block_size, timed, Figure::RequestsPerSecond, Want::Nothing);
        cases.push(Case { strict: true, ..strict });
    }
    for (name, pattern, request) in [
        ("steady-seq-write", "write", MIB),
        ("steady-rand-write", "randwrite", 4 * KIB),
        ("steady-seq-read", "read", 128 * KIB),
        ("steady-rand-read", "randread", 4 * KIB),
    ] {
        let long = Job { seconds: 10, file_bytes: LARGE, ..job(pattern, request) };
        let steady = case(name, 64 * KIB, long, Figure::MegabytesPerSecond, Want::Nothing);
        cases.push(Case { steady: true, ..steady });
    }
    cases
}

fn job(pattern: &'static str, request_bytes: u64) -> Job {
    Job { pattern, request_bytes, file_bytes: SMALL, seconds: 0, jobs: 1, end_fsync: false, direct: true, cpu: None }
}

fn case(name: &str, block_size: u64, job: Job, figure: Figure, want: Want) -> Case {
    let block = if block_size < MIB { format!("{}k", block_size / KIB) } else { format!("{}m", block_size / MIB) };
    Case { name: format!("{name}-{block}-blocks"), block_size, steady: false, strict: false, job, figure, want }
}

impl Case {
    /// Mounts both, fills both, and measures them in turn, `rounds` times.
    pub fn run(&self, programs: &Programs, rounds: usize) -> Result<Outcome> {
        let store = tempfile::tempdir_in("/dev/shm")?;
        let (size, cache) = if self.steady { (LARGE, LARGE_CACHE) } else { (SMALL, 2 * SMALL) };
        let ours = self.mount(programs, store.path(), size, cache)?;
        let theirs = programs.mount_null_file(size, self.strict.then_some(CPU))?;
        let fill = Job { file_bytes: size, ..job("write", MIB) };
        fill.run(&ours.file())?;
        fill.run(&theirs.file())?;
        drain(&ours)?;

        // The first round warms both up and does not count.
        let mut pairs = Vec::new();
        for round in 0..=rounds {
            // Who goes first alternates, so that a drift of the machine favours neither.
            let pair = if round % 2 == 0 {
                let first = self.measure(&ours)?;
                drain(&ours)?;
                (first, self.measure_null_file(&theirs)?)
            } else {
                let second = self.measure_null_file(&theirs)?;
                let first = self.measure(&ours)?;
                drain(&ours)?;
                (first, second)
            };
            pairs.push(pair);
        }
        ours.unmount()?;
        let (unit, _) = self.figure.unit();
        Ok(Outcome::pairs(&self.name, unit, "null file", &pairs[1..], self.want))
    }

    fn mount(&self, programs: &Programs, store: &Path, size: u64, cache: u64) -> Result<Mount> {
        let flags = [
            format!("--size={size}"),
            format!("--block-size={}", self.block_size),
            format!("--block-cache-size={}m", cache / MIB),
        ];
        Mount::start(&mut programs.s3b.mount_directory(store, &flags.each_ref().map(String::as_str)))
    }

    fn measure(&self, mount: &Mount) -> Result<f64> {
        self.figure_of(&self.job, mount)
    }

    fn measure_null_file(&self, mount: &Mount) -> Result<f64> {
        let cpu = self.strict.then_some(CPU);
        self.figure_of(&Job { cpu, ..self.job.clone() }, mount)
    }

    fn figure_of(&self, job: &Job, mount: &Mount) -> Result<f64> {
        let (_, figure) = self.figure.unit();
        job.run(&mount.file()).map(|measured| figure(&measured))
    }
}

impl Figure {
    fn unit(self) -> (&'static str, fn(&Measured) -> f64) {
        match self {
            Self::MegabytesPerSecond => ("MB/s", |measured| measured.bytes / 1e6),
            Self::RequestsPerSecond => ("IOPS", |measured| measured.requests),
            Self::MedianMicroseconds => ("us", |measured| measured.p50_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_in_the_list_once() {
        let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "{names:?}");
        for name in ["seq-write-4k-blocks", "rand-write-1m-blocks", "seq-write-fsync-64k-blocks", "seq-read-64k-blocks"]
        {
            assert!(names.iter().any(|n| n == name), "{name} of {names:?}");
        }
    }
}
