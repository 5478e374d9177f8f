//! A child process that runs until told otherwise, with its output kept for the failure message.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::run::show;
use crate::wait::until;

/// A running child. Killed and reaped when dropped, and by the kernel when the thread that started it ends without
/// dropping it (the test program was killed).
pub struct Daemon {
    child: Child,
    name: String,
    log: tempfile::NamedTempFile,
}

impl Daemon {
    /// Starts it with both outputs going to one log.
    pub fn start(command: &mut Command) -> Result<Self> {
        let log = tempfile::NamedTempFile::new()?;
        let both: File = log.reopen()?;
        // SAFETY: between fork and exec this makes one system call and touches no memory.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(both.try_clone()?)
            .stderr(both)
            .spawn()
            .with_context(|| format!("starting `{}`", show(command)))?;
        Ok(Self { child, name: show(command), log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it was started as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log.path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until its log holds `words`.
    pub fn wait_for(&self, words: &str, limit: Duration) -> Result<()> {
        until(limit, words, || self.log().contains(words).then_some(())).with_context(|| self.log())
    }

    /// `Some` once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // An error means it was reaped already, which only this struct does.
        self.child.try_wait().expect("the child is ours")
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("end of `{}`", self.name);
        let log = self.log.path().to_owned();
        until(limit, &what, || self.ended()).with_context(|| read_tail(&log))
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("signalling `{}`", self.name))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn read_tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
