//! Is this a place to mount on? Asked before anything else, so that nothing happens in the bucket when it is not.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use s3b_engine::error::{Error, Result};

/// Answers the mount point, absolute and without symbolic links.
///
/// # Errors
/// Missing, not a directory, busy, dead, or no FUSE on this machine; each with what to do.
pub fn check(mountpoint: &Path) -> Result<PathBuf> {
    let shown = mountpoint.display();
    let metadata = fs::metadata(mountpoint).map_err(|e| {
        Error::config(match (e.kind(), e.raw_os_error()) {
            (ErrorKind::NotFound, _) => format!("mount point {shown} does not exist; `mkdir -p {shown}` makes it"),
            (_, Some(libc::ENOTCONN)) => {
                format!("mount point {shown} holds a dead mount; `umount {shown}` removes it")
            }
            _ => format!("mount point {shown}: {e}"),
        })
    })?;
    if !metadata.is_dir() {
        return Err(Error::config(format!("mount point {shown} is not a directory; name an empty directory")));
    }
    let absolute = mountpoint.canonicalize().map_err(|e| Error::config(format!("mount point {shown}: {e}")))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(by) = mounted_there(&mounts, &absolute) {
        return Err(Error::config(format!(
            "mount point {shown} is busy: {by} is mounted there; `umount {shown}` first, or name another directory"
        )));
    }
    if !Path::new("/dev/fuse").exists() {
        return Err(Error::config(
            "/dev/fuse does not exist; `modprobe fuse` brings it, or (in a container) --device /dev/fuse",
        ));
    }
    Ok(absolute)
}

/// What /proc/self/mountinfo says is mounted exactly there.
fn mounted_there(mountinfo: &str, path: &Path) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let at = unescaped(before.split(' ').nth(4)?);
        let mut after = after.split(' ');
        let (kind, source) = (after.next()?, after.next()?);
        (Path::new(&at) == path).then(|| format!("{} ({kind})", unescaped(source)))
    })
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_places_are_named_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let missing = check(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("does not exist") && missing.contains("mkdir -p"), "{missing}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(check(&file).unwrap_err().to_string().contains("not a directory"));
        assert!(check(Path::new("/proc")).unwrap_err().to_string().contains("busy"));
    }

    #[test]
    fn mountinfo_is_read_with_its_escapes() {
        let info = "36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - fuse.s3b s3b:x\\134y rw\n";
        assert_eq!(mounted_there(info, Path::new("/mnt/a b")).unwrap(), "s3b:x\\y (fuse.s3b)");
        assert!(mounted_there(info, Path::new("/mnt/a")).is_none());
    }
}
