//! s3b and Debian's s3backer on a real S3 server behind a proxy that adds latency: what the design makes of a network.

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use s3b_engine::clock;
use s3b_testkit::seaweed::Seaweed;
use s3b_testkit::{Latency, Latproxy, Mount, Proxy, S3backer, port_of, xorshift};

use crate::contestants::Programs;
use crate::fio::Job;
use crate::report::{Outcome, Want};

const MIB: u64 = 1 << 20;
/// What is read or written.
const BYTES: u64 = 64 * MIB;
const LATENCY_MS: f64 = 20.0;

// The targets are multiples of what s3backer 2.1.6 reached on such a machine. Debian ships 1.5.4, which is measured beside
// us here and differs from 2.1.6 in both directions.
const READ_TARGET: Want = Want::AtLeast(6.0 * 11.0);
const DRAIN_TARGET: Want = Want::AtLeast(1.5 * 28.0);
const RANDOM_READ_TARGET: Want = Want::AtLeast(2.2 * 494.0);
const BUCKET: &str = "bench";
const KEYS: (&str, &str) = (Seaweed::ACCESS_ID, Seaweed::SECRET);
/// Read by both contestants: they share the format.
const COLD: &str = "cold-";

/// A server with the volume to read, and the ways to it.
pub struct Remote<'a> {
    programs: &'a Programs,
    s3backer: S3backer,
    /// Ports: the server behind the proxy with no latency, and with it.
    near: Latproxy,
    far: Latproxy,
    server_port: u16,
    _server: Arc<Seaweed>,
}

pub const CASES: [&str; 5] =
    ["cold-seq-read-20ms", "write-drain-20ms-vs-0ms", "write-drain-20ms", "cold-rand-read-20ms", "gets-in-flight-20ms"];

impl<'a> Remote<'a> {
    /// Starts everything and writes the volume that is read later.
    pub fn start(programs: &'a Programs) -> Result<Self> {
        let server = Seaweed::shared()?.context("SeaweedFS is not installed: ./run-tests does it")?;
        server.create_bucket(BUCKET)?;
        let server_port = port_of(&server.endpoint())?;
        let proxy = |fixed_ms| {
            let latency = Latency { fixed_ms, jitter_ms: 0.0, megabytes_per_second: 0.0 };
            Latproxy::start(server_port, latency)?.context("latproxy's source is not there: ../shared/tools/latproxy")
        };
        let (near, far) = (proxy(0.0)?, proxy(LATENCY_MS)?);
        let s3backer = S3backer::installed().context("s3backer is not installed: apt-get install s3backer")?;
        let remote = Self { programs, s3backer, near, far, server_port, _server: server };
        let mount = remote.s3b(remote.near.port(), COLD, &[])?;
        write_all(&mount)?;
        mount.unmount()?;
        Ok(remote)
    }

    /// Runs one of [`CASES`].
    pub fn run(&self, case: &str, rounds: usize) -> Result<Outcome> {
        match case {
            "cold-seq-read-20ms" => self.cold_sequential_read(case, rounds),
            "write-drain-20ms-vs-0ms" => {
                let far = || self.write_and_drain(self.s3b(self.far.port(), "drain-a-", &[])?);
                let near = || self.write_and_drain(self.s3b(self.near.port(), "drain-b-", &[])?);
                Ok(Outcome::pairs(case, "MB/s", "s3b at 0 ms", &alternate(rounds, far, near)?, Want::Ratio(0.85)))
            }
            "write-drain-20ms" => {
                let ours = || self.write_and_drain(self.s3b(self.far.port(), "drain-c-", &[])?);
                let theirs = || self.write_and_drain(self.s3backer("drain-d-", &[])?);
                Ok(Outcome::pairs(case, "MB/s", "s3backer 1.5.4", &alternate(rounds, ours, theirs)?, DRAIN_TARGET))
            }
            "cold-rand-read-20ms" => self.cold_random_read(case, rounds),
            _ => self.gets_in_flight(case),
        }
    }

    /// Every round mounts anew; default settings.
    fn cold_sequential_read(&self, case: &str, rounds: usize) -> Result<Outcome> {
        let job = Job {
            pattern: "read",
            request_bytes: MIB,
            file_bytes: BYTES,
            seconds: 0,
            jobs: 1,
            end_fsync: false,
            direct: false,
            cpu: None,
        };
        let read = |mount: Mount| -> Result<f64> {
            let measured = job.run(&mount.file())?;
            mount.unmount()?;
            Ok(measured.bytes / 1e6)
        };
        let ours = || read(self.s3b(self.far.port(), COLD, &[])?);
        let theirs = || read(self.s3backer(COLD, &[])?);
        Ok(Outcome::pairs(case, "MB/s", "s3backer 1.5.4", &alternate(rounds, ours, theirs)?, READ_TARGET))
    }

    fn cold_random_read(&self, case: &str, rounds: usize) -> Result<Outcome> {
        let ours = || random_reads(self.s3b(self.far.port(), COLD, &["--block-cache-size=64"])?);
        let theirs = || random_reads(self.s3backer(COLD, &["--blockCacheSize=64"])?);
        Ok(Outcome::pairs(case, "IOPS", "s3backer 1.5.4", &alternate(rounds, ours, theirs)?, RANDOM_READ_TARGET))
    }

    fn gets_in_flight(&self, case: &str) -> Result<Outcome> {
        let counting = Proxy::start(self.server_port, Duration::from_secs_f64(LATENCY_MS / 1e3))?;
        random_reads(self.s3b(counting.port(), COLD, &["--block-cache-size=64"])?)?;
        Ok(Outcome::alone(case, "GETs", vec![counting.most_gets_at_once() as f64], Want::AtLeast(30.0)))
    }

    /// Megabytes per second from the first write to the end of the process.
    fn write_and_drain(&self, mount: Mount) -> Result<f64> {
        let start = clock::now();
        write_all(&mount)?;
        mount.unmount()?;
        Ok(BYTES as f64 / 1e6 / start.elapsed().as_secs_f64())
    }

    fn s3b(&self, port: u16, prefix: &str, flags: &[&str]) -> Result<Mount> {
        let prefix = format!("--prefix={prefix}");
        let flags = [&[prefix.as_str(), "--size=64m", "--block-size=64k"], flags].concat();
        Mount::start(&mut self.programs.s3b.mount_bucket(port, KEYS, BUCKET, &flags))
    }

    fn s3backer(&self, prefix: &str, flags: &[&str]) -> Result<Mount> {
        let prefix = format!("--prefix={prefix}");
        let flags = [&[prefix.as_str(), "--size=64m", "--blockSize=64k"], flags].concat();
        Mount::start(&mut self.s3backer.mount_bucket(self.far.port(), KEYS, BUCKET, &flags))
    }
}

/// Two measurements in turn; who goes first alternates.
fn alternate(
    rounds: usize,
    ours: impl Fn() -> Result<f64>,
    theirs: impl Fn() -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    (0..rounds)
        .map(|round| {
            if round % 2 == 0 {
                return Ok((ours()?, theirs()?));
            }
            let second = theirs()?;
            Ok((ours()?, second))
        })
        .collect()
}

/// 32 readers of 4 KiB each, anywhere in the volume.
fn random_reads(mount: Mount) -> Result<f64> {
    let job = Job {
        pattern: "randread",
        request_bytes: 4096,
        file_bytes: BYTES,
        seconds: 4,
        jobs: 32,
        end_fsync: false,
        direct: true,
        cpu: None,
    };
    let measured = job.run(&mount.file())?;
    mount.unmount()?;
    Ok(measured.requests)
}

/// Fills the volume with bytes that do not compress.
fn write_all(mount: &Mount) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(mount.file())?;
    let mut state = 0x5EED;
    let mut chunk = vec![0; MIB as usize];
    for at in (0..BYTES).step_by(chunk.len()) {
        for word in chunk.chunks_exact_mut(8) {
            word.copy_from_slice(&xorshift(&mut state).to_le_bytes());
        }
        file.write_all_at(&chunk, at)?;
    }
    Ok(())
}

/// Whether the programs of another origin are there.
pub fn check_tools() -> Result<()> {
    for (tool, package) in [("fio", "fio"), ("fusermount3", "fuse3")] {
        let found = Command::new("which").arg(tool).output()?.status.success();
        ensure!(found, "{tool} is not installed: apt-get install {package} (./run-tests does)");
    }
    Ok(())
}
