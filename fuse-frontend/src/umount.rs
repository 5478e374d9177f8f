//! Unmounting, by root or through fusermount, and waiting until everything is stored.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use s3b_engine::error::{Error, Result};

use crate::presence;

/// Whether the mount goes away under its users' feet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Fails while somebody uses it.
    WhenIdle,
    /// Detaches now; ends when the last user is gone.
    Lazily,
}

/// Unmounts.
///
/// # Errors
/// As umount(2); busy is `EBUSY`.
pub fn unmount(mountpoint: &Path, how: How) -> io::Result<()> {
    let flags = match how {
        How::WhenIdle => UnmountFlags::NOFOLLOW,
        How::Lazily => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(mountpoint, flags) {
        Err(Errno::PERM) => fusermount(mountpoint, how),
        result => Ok(result?),
    }
}

/// The setuid program that unmounts for users.
fn fusermount(mountpoint: &Path, how: How) -> io::Result<()> {
    let flags = if how == How::Lazily { "-uqz" } else { "-uq" };
    for program in ["fusermount3", "fusermount"] {
        match Command::new(program).arg(flags).arg("--").arg(mountpoint).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => return Err(Errno::BUSY.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "neither fusermount3 nor fusermount is installed"))
}

/// `s3b umount`.
pub fn run(mountpoint: &Path, wait: bool, lazy: bool) -> Result<()> {
    let mountpoint = &absolute(mountpoint);
    let shown = mountpoint.display();
    let serving = presence::serving(mountpoint)
        .map_err(|e| Error::failed(format!("looking for the process that serves {shown}: {e}")))?;
    match unmount(mountpoint, if lazy { How::Lazily } else { How::WhenIdle }) {
        Ok(()) => {}
        // Already unmounted, but perhaps still storing: waiting is what is left to do.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) && wait && !serving.is_empty() => {}
        Err(e) => return Err(explained(mountpoint, &e)),
    }
    if !wait {
        return Ok(());
    }
    if serving.is_empty() {
        return Err(Error::failed(format!(
            "{shown} is unmounted, but the process that served it is not known here, so there is nothing to wait for; its log says when all is stored"
        )));
    }
    for process in serving {
        let pid = process.pid().to_owned();
        let outcome = process.wait().map_err(|e| Error::failed(format!("waiting for process {pid}: {e}")))?;
        outcome.map_err(|words| Error::failed(format!("not everything written to {shown} is stored: {words}")))?;
    }
    Ok(())
}

/// As the mount wrote it down: absolute and without symbolic links, also when the mount point itself is dead.
fn absolute(mountpoint: &Path) -> PathBuf {
    let whole = std::path::absolute(mountpoint).unwrap_or_else(|_| mountpoint.to_owned());
    match (whole.parent().map(Path::canonicalize), whole.file_name()) {
        (Some(Ok(parent)), Some(name)) if !whole.is_symlink() => parent.join(name),
        _ => whole.canonicalize().unwrap_or(whole),
    }
}

fn explained(mountpoint: &Path, error: &io::Error) -> Error {
    let shown = mountpoint.display();
    Error::failed(match error.raw_os_error() {
        Some(libc::EBUSY) => {
            format!("{shown} is in use: unmount the file system inside, `losetup -d` its loop device, or use --lazy")
        }
        Some(libc::EINVAL) => format!("{shown} is not a mount point; `grep s3b /proc/mounts` lists them"),
        Some(libc::ENOENT) => format!("{shown} does not exist; `grep s3b /proc/mounts` lists the mounts"),
        _ => format!("unmounting {shown}: {error}"),
    })
}
