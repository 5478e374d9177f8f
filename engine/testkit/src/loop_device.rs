//! Loop devices and filesystems on them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::run::{run, run_when_idle, tool};

/// Commands on a loop device may wait for write-back to a slow store.
const LIMIT: Duration = Duration::from_secs(300);

/// A loop device over a file. Detached when dropped.
pub struct LoopDevice {
    device: PathBuf,
    attached: bool,
}

impl LoopDevice {
    /// Attaches the next free device; `direct_io` as in `losetup --direct-io`.
    pub fn attach(file: &Path, direct_io: bool) -> Result<Self> {
        let mut command = system("losetup");
        command.args(["--find", "--show", if direct_io { "--direct-io=on" } else { "--direct-io=off" }]).arg(file);
        let device = run(&mut command, LIMIT)?.trim().into();
        Ok(Self { device, attached: true })
    }

    pub fn path(&self) -> &Path {
        &self.device
    }

    pub fn detach(mut self) -> Result<()> {
        self.attached = false;
        run(system("losetup").arg("--detach").arg(&self.device), LIMIT)?;
        // Detaching is lazy while anything (udev, a reader) holds it open, and the volume below stays busy as long.
        let attached = || std::fs::read_to_string(self.backing_file_node()).is_ok();
        crate::wait::until(LIMIT, "loop device free", || (!attached()).then_some(()))
    }

    fn backing_file_node(&self) -> PathBuf {
        let name = self.device.file_name().unwrap_or_default();
        Path::new("/sys/block").join(name).join("loop/backing_file")
    }

    /// Makes a filesystem: `ext4` or `xfs`.
    pub fn make_filesystem(&self, kind: &str) -> Result<()> {
        let mut command = system(&format!("mkfs.{kind}"));
        command.arg(if kind == "ext4" { "-F" } else { "-f" }).arg("-q").arg(&self.device);
        run(&mut command, LIMIT).map(|_| ())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if self.attached {
            let _ = run(system("losetup").arg("--detach").arg(&self.device), LIMIT);
        }
    }
}

/// A filesystem mounted from a device. Unmounted when dropped.
pub struct FilesystemMount {
    point: tempfile::TempDir,
    mounted: bool,
}

impl FilesystemMount {
    /// `options` as for `mount -o`.
    pub fn start(device: &Path, options: &str) -> Result<Self> {
        let point = tempfile::Builder::new().prefix("filesystem-").tempdir()?;
        run(system("mount").args(["-o", options]).arg(device).arg(point.path()), LIMIT)?;
        Ok(Self { point, mounted: true })
    }

    pub fn path(&self) -> &Path {
        self.point.path()
    }

    /// Gives free space back to the device.
    pub fn trim(&self) -> Result<()> {
        run(system("fstrim").arg("-v").arg(self.point.path()), LIMIT).map(|_| ())
    }

    pub fn sync(&self) -> Result<()> {
        run(system("sync").arg("--file-system").arg(self.point.path()), LIMIT).map(|_| ())
    }

    pub fn unmount(mut self) -> Result<()> {
        run_when_idle(system("umount").arg(self.point.path()), LIMIT).context("unmounting the filesystem")?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for FilesystemMount {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run(system("umount").arg("--lazy").arg(self.point.path()), LIMIT);
        }
    }
}

/// A program of the system, which may live where an ordinary path does not look.
fn system(name: &str) -> Command {
    Command::new(tool(name).unwrap_or_else(|| name.into()))
}
