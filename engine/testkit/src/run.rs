//! Runs a command to its end, within a limit.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait::until;

/// No fork keeps files open for longer than this, on a busy machine either.
const BUSY: Duration = Duration::from_secs(20);

/// What a command left behind.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command that must succeed; answers its standard output. The error shows the command and what it said.
pub fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let finished = run_to_end(command, limit)?;
    if !finished.status.success() {
        bail!("`{}` failed: {finished}", show(command));
    }
    Ok(finished.stdout)
}

/// As [`run`], again while it says that something is busy, within `limit`. A process forked by another test, before it
/// runs its program, holds copies of every open file of this one for a moment; "busy" for longer is a failure.
pub fn run_when_idle(command: &mut Command, limit: Duration) -> Result<String> {
    let idle = || {
        let finished = match run_to_end(command, limit) {
            Ok(finished) => finished,
            Err(error) => return Some(Err(error)),
        };
        (finished.status.success() || !finished.stderr.contains("busy")).then_some(Ok(finished))
    };
    let finished = until(limit.min(BUSY), "no longer busy", idle)??;
    if !finished.status.success() {
        bail!("`{}` failed: {finished}", show(command));
    }
    Ok(finished.stdout)
}

/// Runs a command that may fail. An error only if it cannot be started or is killed for taking longer than `limit`.
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<Finished> {
    // Files, not pipes: a daemon that keeps its parent's pipes open must not keep us waiting.
    let mut stdout = tempfile::tempfile()?;
    let mut stderr = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("starting `{}`", show(command)))?;
    let ended = until(limit, "its end", || child.try_wait().transpose());
    let Ok(status) = ended else {
        // Not waited for: a process inside a FUSE request dies only when that mount does.
        child.kill().with_context(|| format!("killing `{}`", show(command)))?;
        bail!("`{}` did not end within {limit:?}: {}", show(command), text(&mut stderr)?);
    };
    Ok(Finished { status: status?, stdout: text(&mut stdout)?, stderr: text(&mut stderr)? })
}

fn text(file: &mut std::fs::File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A command as one would type it; secrets in tests are not secret.
pub(crate) fn show(command: &Command) -> String {
    let words: Vec<_> =
        [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.stdout.trim_end(), self.stderr.trim_end())
    }
}

/// The top of the workspace.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("engine/testkit lies two below").to_owned()
}

/// Where a program is: installed by `run-tests` under `target/tools/bin`, or anywhere on the path or in `/usr/sbin`.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    [workspace_root().join("target/tools/bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_shows_the_command_and_its_words() {
        assert_eq!(run(&mut sh("echo fine"), LONG).unwrap(), "fine\n");
        let error = format!("{:#}", run(&mut sh("echo because >&2; exit 3"), LONG).unwrap_err());
        assert!(error.contains("sh -c") && error.contains("because") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_hang_is_killed_and_a_daemon_does_not_hold_us() {
        let error = format!("{:#}", run(&mut sh("exec sleep 600"), Duration::from_millis(50)).unwrap_err());
        assert!(error.contains("did not end within"), "{error}");
        run(&mut sh("sleep 2 & exit 0"), LONG).unwrap();
    }

    #[test]
    fn tools_are_found_by_name() {
        assert!(tool("sh").is_some());
        assert!(tool("no-such-program").is_none());
        assert!(workspace_root().join("Cargo.lock").exists());
    }
}
