//! A FUSE mount in the foreground: s3b's or s3backer's, both show one `file` and one `stats`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::daemon::Daemon;
use crate::run::{run, run_when_idle};
use crate::wait::until;

/// A mount is up within this, also on a machine busy with other tests.
const UP: Duration = Duration::from_secs(60);
/// `umount` itself, once nothing uses the mount any more.
const UMOUNT: Duration = Duration::from_secs(120);
/// All write-back is done within this after an unmount.
const DRAINED: Duration = Duration::from_secs(300);

/// A mounted volume. When dropped: unmounted lazily, its process killed.
pub struct Mount {
    daemon: Daemon,
    point: tempfile::TempDir,
    mounted: bool,
}

impl Mount {
    /// Appends a fresh mount point to `command`, starts it, and waits for the file to appear. `command` must stay in
    /// the foreground. The error carries what the program said.
    pub fn start(command: &mut Command) -> Result<Self> {
        let point = tempfile::Builder::new().prefix("mount-").tempdir()?;
        let daemon = Daemon::start(command.arg(point.path()))?;
        let mut mount = Self { daemon, point, mounted: true };
        let outside = mount.point.path().parent().expect("a temporary directory has a parent").metadata()?.dev();
        let (daemon, point) = (&mut mount.daemon, mount.point.path());
        let up = until(UP, "mounted", || {
            if daemon.ended().is_some() {
                return Some(false);
            }
            let mounted = point.metadata().is_ok_and(|meta| meta.dev() != outside);
            (mounted && point.join("file").exists()).then_some(true)
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
        self.point.path().join("file")
    }

    /// The statistics by name; values as text.
    pub fn stats(&self) -> Result<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(self.point.path().join("stats")).context("reading the stats file")?;
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
