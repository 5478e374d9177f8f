//! Who is compared, and how each is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use s3b_testkit::{Mount, S3b, until};

/// All dirty blocks of a local volume are stored within this.
const DRAINED: Duration = Duration::from_secs(120);

/// The programs under test.
pub struct Programs {
    pub s3b: S3b,
    null_file: PathBuf,
}

impl Programs {
    /// As built beside this one, unless `s3b` is named.
    pub fn beside_us(s3b: Option<&Path>) -> Result<Self> {
        let us = std::env::current_exe()?;
        let beside = |name: &str| us.with_file_name(name);
        let s3b = s3b.map_or_else(|| beside("s3b"), Path::to_owned);
        let null_file = beside("null-file");
        for program in [&s3b, &null_file] {
            ensure!(program.exists(), "{} is missing: cargo build --release -p s3b -p s3b-benches", program.display());
        }
        Ok(Self { s3b: S3b::new(s3b), null_file })
    }

    /// Mounts the null file, on one CPU alone if told which.
    pub fn mount_null_file(&self, size: u64, cpu: Option<usize>) -> Result<Mount> {
        let mut command = match cpu {
            None => Command::new(&self.null_file),
            Some(cpu) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &cpu.to_string()]).arg(&self.null_file);
                command
            }
        };
        Mount::start(command.arg(format!("--size={size}")))
    }
}

/// Waits until a volume has no dirty blocks, so that write-back does not disturb the next contestant.
pub fn drain(mount: &Mount) -> Result<()> {
    let drained = until(DRAINED, "no dirty blocks", || match mount.stats().and_then(|stats| dirty_share(&stats)) {
        Ok(share) => (share == 0.0).then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    drained?
}

fn dirty_share(stats: &BTreeMap<String, String>) -> Result<f64> {
    let name = "block_cache_dirty_ratio";
    stats.get(name).with_context(|| format!("the stats file has no {name}"))?.parse().context(name)
}
