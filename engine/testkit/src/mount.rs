//! A FUSE mount in the foreground: s3b's or s3backer's, both show one `file` and one `stats`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::Daemon;
use crate::run::{run, run_when_idle};
use crate::wait::until;

/// A mount is up within this, also on a machine busy with other tests.
const UP: Duration = Duration::from_secs(60);
/// `umount` itself, once nothing uses the mount any more.
const UMOUNT: Duration = Duration::from_secs(120);
/// All write-back is done within this after an unmount.
const DRAINED: Duration = Duration::from_secs(300);

/// After this the process is killed, whatever the test is doing with it: no signal reaches a test that hangs in a FUSE
/// request, but its mount's end does.
const PATIENCE: Duration = Duration::from_secs(600);

/// A mounted volume. When dropped: unmounted lazily, its process killed.
pub struct Mount {
    daemon: Daemon,
    point: tempfile::TempDir,
    mounted: bool,
    /// Dropped when the mount goes: the watchdog sleeps on its other end.
    _awake: Sender<()>,
}

impl Mount {
    /// Appends a fresh mount point to `command`, starts it, and waits for files to appear. `command` must stay in the
    /// foreground. The error carries what the program said.
    pub fn start(command: &mut Command) -> Result<Self> {
        let point = tempfile::Builder::new().prefix("mount-").tempdir()?;
        let daemon = Daemon::start(command.arg(point.path()))?;
        let awake = watchdog(daemon.pid());
        let mut mount = Self { daemon, point, mounted: true, _awake: awake };
        let outside = mount.point.path().parent().expect("a temporary directory has a parent").metadata()?.dev();
        let (daemon, point) = (&mut mount.daemon, mount.point.path());
        let up = until(UP, "mounted", || {
            if daemon.ended().is_some() {
                return Some(false);
            }
            let mounted = point.metadata().is_ok_and(|meta| meta.dev() != outside);
            (mounted && point.read_dir().is_ok_and(|mut names| names.next().is_some())).then_some(true)
        });
        match up.with_context(|| format!("`{}` said:\n{}", mount.daemon.name(), mount.daemon.log()))? {
            true => Ok(mount),
            false => {
                let status = mount.daemon.wait(UP)?;
                bail!("`{}` ended with {status} instead of mounting:\n{}", mount.daemon.name(), mount.daemon.log())
            }
        }
    }

    pub fn point(&self) -> &Path {
        self.point.path()
    }

    /// The volume as a file.
    pub fn file(&self) -> PathBuf {
        self.path("file")
    }

    /// A file in the mount.
    pub fn path(&self, name: &str) -> PathBuf {
        self.point.path().join(name)
    }

    /// The statistics by name; values as text.
    pub fn stats(&self) -> Result<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(self.path("stats")).context("reading the stats file")?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect())
    }

    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// The process behind the mount.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Unmounts, waits until the process has stored everything and ended well. Answers its log.
    pub fn unmount(mut self) -> Result<String> {
        run_when_idle(Command::new("umount").arg(self.point.path()), UMOUNT).with_context(|| self.daemon.log())?;
        self.mounted = false;
        let status = self.daemon.wait(DRAINED)?;
        let log = self.daemon.log();
        ensure!(status.success(), "`{}` ended with {status} after umount:\n{log}", self.daemon.name());
        Ok(log)
    }

    /// Waits for the end of a process that unmounts by itself. Answers how it ended, and its log.
    pub fn ended(mut self) -> Result<(ExitStatus, String)> {
        let status = self.daemon.wait(DRAINED)?;
        Ok((status, self.daemon.log()))
    }

    /// Kills the process the hard way and clears the dead mount away. Answers its log.
    pub fn crash(mut self) -> Result<String> {
        self.daemon.kill()?;
        self.detach();
        Ok(self.daemon.log())
    }

    fn detach(&mut self) {
        if std::mem::take(&mut self.mounted) {
            // The mount may have gone with its process; nothing else can be done in a drop.
            let _ = run(Command::new("umount").arg("--lazy").arg(self.point.path()), UMOUNT);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.detach();
        // The daemon is killed next, before its mount point is removed: fields drop in order of declaration.
    }
}

/// Kills a process that outlives all patience.
fn watchdog(pid: u32) -> Sender<()> {
    let (awake, asleep) = mpsc::channel();
    thread::spawn(move || {
        if asleep.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
            && let Some(pid) = Pid::from_raw(pid as i32)
        {
            // It may be gone already.
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    awake
}

/// Whether something is mounted exactly there.
pub fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == path))
}

/// A directory that somebody else mounts something on; unmounted lazily when dropped, however the test ends.
pub struct MountPoint(tempfile::TempDir);

impl MountPoint {
    pub fn new() -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("mount-").tempdir()?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if is_mounted(self.path()) {
            // Nothing else can be done in a drop.
            let _ = run(Command::new("umount").arg("--lazy").arg(self.path()), UMOUNT);
        }
    }
}
