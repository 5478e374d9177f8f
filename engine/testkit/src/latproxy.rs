//! The latency proxy that lies beside this repository, for benches: latency per request, bandwidth per connection.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::net::free_port;
use crate::run::{run, workspace_root};
use crate::wait::until;

/// What the proxy adds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Milliseconds from the end of a request to the first byte of its answer.
    pub fixed_ms: f64,
    /// Median of the lognormal part, in milliseconds; 0: none.
    pub jitter_ms: f64,
    /// Megabytes per second of one connection; 0: unlimited.
    pub megabytes_per_second: f64,
}

/// A running proxy.
pub struct Latproxy {
    port: u16,
    stats: tempfile::TempDir,
    _daemon: Daemon,
}

impl Latproxy {
    /// Where its source is looked for: beside this repository, not in it.
    pub fn source() -> PathBuf {
        workspace_root().join("../shared/tools/latproxy")
    }

    /// Builds it if need be, inside our own target directory, and starts it in front of a local port.
    /// `None` when [`Latproxy::source`] is not there.
    pub fn start(upstream: u16, latency: Latency) -> Result<Option<Self>> {
        let source = Self::source();
        if !source.join("Cargo.toml").exists() {
            return Ok(None);
        }
        let program = build(&source)?;
        let port = free_port()?;
        let stats = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command
            .args(["--listen", &format!("127.0.0.1:{port}"), "--upstream", &format!("127.0.0.1:{upstream}")])
            .args(["--latency-ms", &latency.fixed_ms.to_string(), "--jitter-ms", &latency.jitter_ms.to_string()])
            .args(["--mbps", &latency.megabytes_per_second.to_string()])
            .arg("--stats")
            .arg(stats.path().join("stats"));
        let mut daemon = Daemon::start(&mut command)?;
        until(Duration::from_secs(20), "latproxy listening", || {
            let up = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            (up || daemon.ended().is_some()).then_some(())
        })
        .with_context(|| daemon.log())?;
        Ok(Some(Self { port, stats, _daemon: daemon }))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A count so far (`get`, `put`, `reqs`, `up_bytes` ...), at most 0.1 s old.
    pub fn count(&self, name: &str) -> Result<u64> {
        let text = std::fs::read_to_string(self.stats.path().join("stats")).context("latproxy's statistics")?;
        text.split_whitespace()
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            .with_context(|| format!("latproxy counts no {name}: {text}"))
    }
}

/// Builds a copy, since cargo would write its lock file beside the source.
fn build(source: &Path) -> Result<PathBuf> {
    let home = workspace_root().join("target/latproxy");
    let copy = home.join("source");
    std::fs::create_dir_all(copy.join("src"))?;
    // A workspace of its own, since it lies below ours.
    let manifest = std::fs::read_to_string(source.join("Cargo.toml"))? + "\n[workspace]\n";
    let program = std::fs::read_to_string(source.join("src/main.rs"))?;
    for (file, text) in [("Cargo.toml", manifest), ("src/main.rs", program)] {
        // An unchanged file keeps its time stamp, so that cargo has nothing to do.
        if std::fs::read_to_string(copy.join(file)).ok().as_ref() != Some(&text) {
            std::fs::write(copy.join(file), text)?;
        }
    }
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--manifest-path"]).arg(copy.join("Cargo.toml"));
    command.arg("--target-dir").arg(&home);
    run(&mut command, Duration::from_secs(600))?;
    Ok(home.join("release/latproxy"))
}
