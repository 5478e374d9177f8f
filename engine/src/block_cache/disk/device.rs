//! What a cache file stands on: numbered bytes that a sync makes durable. Never knows what they mean.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FlockOperation, fadvise, flock};

use crate::clock::Instant;
use crate::error::{Error, ErrorKind, Result};

/// All calls may block; reads come from several threads at once.
pub trait CacheDisk: Send + Sync + 'static {
    /// For messages: the path of a file.
    fn name(&self) -> String;
    /// Fills `out`; reading past the end is an error.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data`, in any order with regard to other writes since the last sync.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Makes everything before it durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts, or extends by zeros that take no room.
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// These synced bytes are not needed soon. Only a hint.
    fn advise_unneeded(&self, _offset: u64, _len: u64) {}
    /// Whether blocks of a weightless volume may lie here (see [`crate::payload`]).
    fn takes_cells(&self) -> bool {
        false
    }
    /// Writes the cells that stand for the bytes from `offset` on, a sector each; so does [`CacheDisk::read_cells`] read.
    fn write_cells(&self, _offset: u64, _cells: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn read_cells(&self, _offset: u64, _cells: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// When all calls since the last question will have done their work, on the engine's clock; `None`: they have. Of a
    /// modelled disk, whose calls return at once: who called asks, and waits.
    fn done_at(&self) -> Option<Instant> {
        None
    }
}

/// A regular file, readable by its owner only, locked against a second user while open.
pub struct FileDisk {
    file: File,
    path: PathBuf,
    advise: bool,
}

impl FileDisk {
    /// Opens or creates. `advise`: tell the kernel not to keep pages (`--block-cache-file-advise`).
    ///
    /// Errors: `Busy` if somebody else has it open, `Config` if the path cannot be such a file.
    pub fn open(path: &Path, advise: bool) -> Result<FileDisk> {
        let shown = path.display();
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        // Created apart from opened, so that only a new name costs a sync of its directory.
        let file = match options.clone().create_new(true).open(path) {
            Ok(file) => sync_parent(path).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
            Err(error) => Err(error),
        }
        .map_err(|error| {
            let hint = "name a file in an existing directory that you may write to";
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                    Error::config(format!("--block-cache-file={shown}: {error}; {hint}"))
                }
                _ => Error::from(error).context(format!("--block-cache-file={shown}")),
            }
        })?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => Error::new(
                ErrorKind::Busy,
                format!(
                    "--block-cache-file={shown} is in use by another mount; unmount that one, or name another file"
                ),
            ),
            _ => Error::from(io::Error::from(error)).context(format!("cannot lock --block-cache-file={shown}")),
        })?;
        let metadata = file.metadata().map_err(|error| Error::from(error).context(format!("cache file {shown}")))?;
        if !metadata.is_file() {
            return Err(Error::config(format!("--block-cache-file={shown} is not a regular file; name one")));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| {
                Error::from(error)
                    .context(format!("cache file {shown} holds block contents, and others may read it; chmod 600 it"))
            })?;
        }
        Ok(FileDisk { file, path: path.to_owned(), advise })
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

impl CacheDisk for FileDisk {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn advise_unneeded(&self, offset: u64, len: u64) {
        if self.advise {
            // A hint: a file system that cannot take it loses nothing.
            let _ = fadvise(&self.file, offset, std::num::NonZeroU64::new(len), Advice::DontNeed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_locked_against_a_second_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let disk = FileDisk::open(&path, true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = FileDisk::open(&path, false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.message().contains(&path.display().to_string()), "{error}");
        disk.write_at(10, b"abc").unwrap();
        disk.sync().unwrap();
        disk.advise_unneeded(0, 13);
        let mut out = [0; 3];
        disk.read_at(10, &mut out).unwrap();
        assert_eq!((&out, disk.len().unwrap(), disk.is_empty().unwrap()), (b"abc", 13, false));
        assert!(disk.read_at(11, &mut out).is_err());

        drop(disk);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        FileDisk::open(&path, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// Pages of the file that are in memory.
    fn resident(disk: &FileDisk, len: usize) -> usize {
        use std::os::fd::AsRawFd;
        let mut pages = vec![0_u8; len.div_ceil(4096)];
        // SAFETY: a fresh read-only mapping of `len` bytes, unmapped again here; mincore fills a byte for each page.
        unsafe {
            let fd = disk.file.as_raw_fd();
            let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(libc::mincore(at, len, pages.as_mut_ptr()), 0);
            assert_eq!(libc::munmap(at, len), 0);
        }
        pages.iter().filter(|page| **page & 1 == 1).count()
    }

    #[test]
    fn advised_pages_leave_memory() {
        const TMPFS: i64 = 0x0102_1994;
        const LEN: usize = 64 << 10;
        // Beside this program: /tmp is often nothing but memory, which has no pages to drop.
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        if rustix::fs::statfs(dir.path()).unwrap().f_type == TMPFS {
            return s3b_testkit::skip("the build directory is on tmpfs, which keeps all pages in memory");
        }
        for (advise, left) in [(false, LEN / 4096), (true, 0)] {
            let disk = FileDisk::open(&dir.path().join(format!("cache-{advise}")), advise).unwrap();
            disk.write_at(0, &[7; LEN]).unwrap();
            disk.sync().unwrap();
            disk.advise_unneeded(0, LEN as u64);
            assert_eq!(resident(&disk, LEN), left, "--block-cache-file-advise={advise}");
        }
    }

    #[test]
    fn an_impossible_path_names_the_option() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("no/such/file"), dir.path().to_owned()] {
            let error = FileDisk::open(&path, false).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.message().contains("--block-cache-file="), "{error}");
        }
    }
}
