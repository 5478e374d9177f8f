//! One fio job on one file, and the numbers of its JSON that the cases use.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// A job on the volume's file. Sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    /// `read`, `write`, `randread`, `randwrite`.
    pub pattern: &'static str,
    pub request_bytes: u64,
    /// The part of the file used, from its start.
    pub file_bytes: u64,
    /// Stop after this many seconds; 0: after `file_bytes` were moved once.
    pub seconds: u32,
    /// Readers or writers at the same time.
    pub jobs: u32,
    /// fsync once at the end, inside the measured time.
    pub end_fsync: bool,
    /// Past the page cache, so that every request reaches the program under test.
    pub direct: bool,
    /// Stay on this CPU.
    pub cpu: Option<usize>,
}

/// What a run of a job gave.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// Bytes per second.
    pub bytes: f64,
    /// Requests per second.
    pub requests: f64,
    /// Median and 99th percentile of the latency, in microseconds.
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Job {
    /// Runs it once.
    pub fn run(&self, file: &Path) -> Result<Measured> {
        // Start-up, fsync and drain included; a run that takes longer hangs.
        let limit = Duration::from_secs(u64::from(self.seconds) + 600);
        let text = s3b_testkit::run(&mut self.command(file), limit)?;
        // fio may print notes before its JSON.
        let json = text.find('{').map(|at| &text[at..]).unwrap_or_default();
        self.parse(&serde_json::from_str(json).with_context(|| format!("fio printed: {text}"))?)
    }

    fn command(&self, file: &Path) -> Command {
        let mut command = Command::new("fio");
        command
            .args(["--name=job", "--output-format=json", "--ioengine=psync", "--group_reporting", "--thread"])
            // A fixed seed: every contestant sees the same offsets and the same, incompressible, bytes.
            .args(["--allrandrepeat=1", "--randseed=7", "--norandommap", "--refill_buffers", "--overwrite=1"])
            .arg(format!("--filename={}", file.display()))
            .arg(format!("--rw={}", self.pattern))
            .arg(format!("--bs={}", self.request_bytes))
            .arg(format!("--size={}", self.file_bytes))
            .arg(format!("--numjobs={}", self.jobs))
            .arg(format!("--direct={}", u8::from(self.direct)))
            .arg(format!("--end_fsync={}", u8::from(self.end_fsync)));
        if let Some(cpu) = self.cpu {
            command.arg(format!("--cpus_allowed={cpu}"));
        }
        if self.seconds > 0 {
            command.arg("--time_based").arg(format!("--runtime={}", self.seconds));
        }
        command
    }

    fn parse(&self, report: &Value) -> Result<Measured> {
        let side = if self.pattern.ends_with("read") { "read" } else { "write" };
        let job = &report["jobs"][0];
        let number = |path: &str| {
            job.pointer(path).and_then(Value::as_f64).with_context(|| format!("fio's report has no {path}: {report}"))
        };
        // A last fsync is part of the runtime (tried with an fsync that sleeps two seconds).
        let seconds = number(&format!("/{side}/runtime"))? / 1e3;
        let per_second = |total: f64| total / seconds.max(1e-3);
        Ok(Measured {
            bytes: per_second(number(&format!("/{side}/io_bytes"))?),
            requests: per_second(number(&format!("/{side}/total_ios"))?),
            p50_us: number(&format!("/{side}/clat_ns/percentile/50.000000"))? / 1e3,
            p99_us: number(&format!("/{side}/clat_ns/percentile/99.000000"))? / 1e3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(pattern: &'static str) -> Job {
        Job {
            pattern,
            request_bytes: 4096,
            file_bytes: 1 << 20,
            seconds: 0,
            jobs: 1,
            end_fsync: true,
            direct: false,
            cpu: None,
        }
    }

    #[test]
    fn reads_fios_report() {
        let report = serde_json::json!({"jobs": [{
            "write": {"runtime": 2000, "io_bytes": 1000, "total_ios": 10,
                      "clat_ns": {"percentile": {"50.000000": 7000, "99.000000": 9000}}},
        }]});
        let measured = job("write").parse(&report).unwrap();
        assert_eq!((measured.bytes, measured.requests, measured.p50_us), (500.0, 5.0, 7.0));
        assert!(job("read").parse(&report).is_err());
    }

    #[test]
    fn fio_itself_understands_the_job() {
        if !s3b_testkit::require_program("fio") {
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        for pattern in ["write", "randwrite", "read", "randread"] {
            let measured = job(pattern).run(file.path()).unwrap();
            assert!(measured.bytes > 0.0 && measured.requests > 0.0, "{pattern}: {measured:?}");
        }
    }
}
