//! A file per serving process, by which `s3b umount --wait` finds it and learns how it ended.
//!
//! The process holds a lock on its file as long as it lives; the kernel releases it however it ends. So waiting is
//! waiting for the lock, and a file that nobody locks is left over from a crash.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// This process's own file.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    file: File,
}

/// The file of a process that served a mount point, or still does.
#[derive(Debug)]
pub struct Other {
    path: PathBuf,
    file: File,
}

const DONE: &str = "done";
const FAILED: &str = "failed: ";

/// Where the files are: `/run/s3b` for root, the user's run-time directory otherwise.
pub fn directory() -> io::Result<PathBuf> {
    let uid = rustix::process::geteuid();
    let (path, mode) = match std::env::var_os("XDG_RUNTIME_DIR") {
        _ if uid.is_root() => (PathBuf::from("/run/s3b"), 0o755),
        Some(dir) => (PathBuf::from(dir).join("s3b"), 0o700),
        None => (PathBuf::from(format!("/tmp/s3b-{}", uid.as_raw())), 0o700),
    };
    DirBuilder::new().recursive(true).mode(mode).create(&path)?;
    // Another user could have made it first, to make us believe their files.
    let metadata = fs::symlink_metadata(&path)?;
    if !metadata.is_dir() || metadata.uid() != uid.as_raw() {
        return Err(io::Error::other(format!("{} belongs to somebody else", path.display())));
    }
    Ok(path)
}

/// A mount point as a file name.
fn escaped(mountpoint: &Path) -> String {
    let bytes = mountpoint.as_os_str().as_encoded_bytes();
    let mut name = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => name.push(char::from(*byte)),
            b'/' => name.push('-'),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

impl Presence {
    /// Announces that this process serves `mountpoint`.
    pub fn announce(mountpoint: &Path) -> io::Result<Self> {
        let name = format!("{}@{}", escaped(mountpoint), std::process::id());
        let path = directory()?.join(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        writeln!(file, "{}", mountpoint.display())?;
        Ok(Self { path, file })
    }

    /// Says how it ended, to those who wait.
    pub fn finish(mut self, outcome: &Result<(), String>) {
        let line = match outcome {
            Ok(()) => DONE.to_owned(),
            Err(reason) => format!("{FAILED}{reason}"),
        };
        // Who waits reads "ended without a word" if this fails, which errs on the safe side.
        let _ = writeln!(self.file, "{line}");
        let _ = fs::remove_file(&self.path);
    }
}

/// All processes that serve `mountpoint` or still store what was written to it. Removes what crashes left.
pub fn serving(mountpoint: &Path) -> io::Result<Vec<Other>> {
    let prefix = format!("{}@", escaped(mountpoint));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory()?)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            // Best effort: an unlocked file misleads nobody.
            let _ = fs::remove_file(entry.path());
        } else {
            found.push(Other { path: entry.path(), file });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl Other {
    /// The process's number.
    pub fn pid(&self) -> &str {
        self.path.to_str().and_then(|p| p.rsplit_once('@')).map_or("?", |(_, pid)| pid)
    }

    /// Returns when the process has ended: `Err` with its words if not everything was stored.
    pub fn wait(mut self) -> io::Result<Result<(), String>> {
        flock(&self.file, FlockOperation::LockShared)?;
        let mut text = String::new();
        self.file.read_to_string(&mut text)?;
        Ok(match text.lines().last() {
            Some(DONE) => Ok(()),
            Some(line) if line.starts_with(FAILED) => Err(line[FAILED.len()..].to_owned()),
            _ => Err("the process ended without a word; mount again to recover what its cache file holds".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_to_one() {
        assert_eq!(escaped(Path::new("/mnt/a-b c")), "-mnt-a%2db%20c");
    }

    #[test]
    fn who_waits_learns_how_it_ended() {
        let mountpoint = Path::new("/a/mount point/of-this-test");
        for (outcome, words) in [(Ok(()), Ok(())), (Err("403".to_owned()), Err("403".to_owned()))] {
            let presence = Presence::announce(mountpoint).unwrap();
            let mut others = serving(mountpoint).unwrap();
            assert_eq!(others.len(), 1);
            assert_eq!(others[0].pid(), std::process::id().to_string());
            presence.finish(&outcome);
            assert_eq!(others.remove(0).wait().unwrap(), words);
            assert!(serving(mountpoint).unwrap().is_empty());
        }
        let silent = Presence::announce(mountpoint).unwrap();
        let other = serving(mountpoint).unwrap().remove(0);
        drop(silent);
        assert!(other.wait().unwrap().is_err());
        assert!(serving(mountpoint).unwrap().is_empty(), "what a crash left is removed");
    }
}
