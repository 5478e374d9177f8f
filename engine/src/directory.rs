//! Objects as files of a local directory (`--test DIR`), as s3backer lays them out.
//!
//! A plain object is the bare file. One with headers (compressed or encrypted) is one file all the same: magic,
//! header lines, body; so one rename replaces both, and no sidecar can be lost. A write goes to a temporary
//! file that is renamed over the old one; [`sync`](ObjectBackend::sync) makes what changed since the last one
//! survive a power loss.
//!
//! Never: a mount token (a lock on the directory stands for it), hashes of contents (the ETag is the file's identity), a
//! geometry header on a plain block 0 (s3backer could not read it then; the superblock has the geometry).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, Object, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

mod file_format;
mod listing;

/// Up to this size, I/O on a file system in memory is done on the caller's thread: it is nothing but copying (20 us for
/// 64 KiB, 300 us for 1 MiB), and a hop to another thread and back would only add to it. Everything else may sleep and goes to the blocking pool.
const INLINE_BYTES: usize = 2 << 20;

/// From this many changed files on, one `syncfs` replaces an `fsync` of each.
const SYNC_ALL_FILES: usize = 128;

/// Temporary files, in the directory itself; left over only by a crash and removed by the next [`Directory::lock`].
const TEMPORARY: &str = ".s3b-tmp-";

const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

pub struct Directory {
    place: Arc<Place>,
    /// Whether the file system is in memory.
    inline: bool,
}

/// The directory and what is known about it; shared with the threads that do the I/O.
struct Place {
    /// For messages only: all access goes through `dir`, so that a directory that is moved is not mistaken for an empty one.
    path: PathBuf,
    /// Holds the lock, if taken.
    dir: File,
    changed: Mutex<Changed>,
    /// One sync at a time: a second one must not return before the first has made durable what it took over.
    syncing: Mutex<()>,
    temporaries: AtomicU64,
    /// The latest time stamp given to a file, in nanoseconds.
    stamp: AtomicU64,
}

/// Changed since the last sync, by their names below the directory.
#[derive(Default)]
struct Changed {
    files: BTreeSet<String>,
    /// The directory itself is the empty name.
    dirs: BTreeSet<String>,
}

impl Directory {
    /// # Errors
    /// `NoBucket` when there is no such directory: it must exist, as a bucket must.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path: PathBuf = path.into();
        let dir = File::open(&path).and_then(|dir| dir.metadata().map(|meta| (dir, meta.is_dir())));
        let dir = match dir {
            Ok((dir, true)) => dir,
            Ok((_, false)) => {
                return Err(Error::new(ErrorKind::NoBucket, format!("{} is not a directory", path.display())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("there is no directory {0}; make it first: mkdir {0}", path.display());
                return Err(Error::new(ErrorKind::NoBucket, text));
            }
            Err(error) => return Err(Error::from(error).context(format!("open {}", path.display()))),
        };
        let kind = rustix::fs::fstatfs(&dir).map_err(io::Error::from)?.f_type as u64;
        let place = Place {
            path,
            dir,
            changed: Mutex::default(),
            syncing: Mutex::default(),
            temporaries: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
        };
        Ok(Self { place: Arc::new(place), inline: matches!(kind, TMPFS_MAGIC | RAMFS_MAGIC) })
    }

    /// Takes the directory for one writer, until this is dropped or the process ends, and removes what a crash
    /// left half-written. Every writable mount and every erase calls it; read-only mounts do not.
    ///
    /// # Errors
    /// `Busy`, naming the process that holds it. `--force` is no way around: that process is alive.
    pub fn lock(&self) -> Result<()> {
        match self.place.dir.try_lock() {
            Ok(()) => self.place.remove_leftovers(),
            Err(fs::TryLockError::WouldBlock) => {
                let owner = self.place.lock_owner().unwrap_or_else(|| "another process".into());
                let text = format!("{} is mounted by {owner}; unmount it there first", self.place.path.display());
                Err(Error::new(ErrorKind::Busy, text))
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(Error::from(error).context(format!("lock {}", self.place.path.display())))
            }
        }
    }

    /// Does I/O of about `bytes` bytes where it does no harm.
    fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Place) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let place = self.place.clone();
        if self.inline && bytes <= INLINE_BYTES {
            return Box::pin(async move { work(&place) });
        }
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&place)).await {
                Ok(result) => result,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Err(Error::new(ErrorKind::Closed, "shutting down")),
            }
        })
    }
}

impl ObjectBackend for Directory {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let key = key.to_owned();
        self.run(max_len, move |place| place.get(&key, condition, max_len).map_err(|error| doing("read", &key, error)))
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let key = key.to_owned();
        self.run(0, move |place| place.head(&key).map_err(|error| doing("look at", &key, error)))
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let key = key.to_owned();
        self.run(body.len(), move |place| {
            place.put(&key, &headers, &body, condition).map(Some).map_err(|error| doing("write", &key, error))
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        let key = key.to_owned();
        self.run(0, move |place| place.delete(&key).map_err(|error| doing("delete", &key, error)))
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let count = keys.len();
        let all = self.run(INLINE_BYTES + 1, move |place| {
            Ok(keys.iter().map(|key| place.delete(key).map_err(|error| doing("delete", key, error))).collect())
        });
        Box::pin(async move { all.await.unwrap_or_else(|error| vec![Err(error); count]) })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.run(INLINE_BYTES + 1, move |place| place.list(&prefix, &after))
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        if self.inline {
            // Nothing in memory survives a power loss; reaching every file anew would only cost time.
            return Box::pin(std::future::ready(Ok(())));
        }
        self.run(INLINE_BYTES + 1, Place::sync)
    }

    fn describe(&self) -> String {
        self.place.path.display().to_string()
    }
}

fn doing(what: &str, key: &str, error: Error) -> Error {
    error.context(format!("{what} object {key}"))
}

impl Place {
    /// Keys name files below the directory and nothing else.
    fn check(&self, key: &str) -> Result<()> {
        let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if key.split('/').any(odd) || key.starts_with(TEMPORARY) {
            return Err(Error::config(format!(
                "a directory cannot hold the key {key:?}: give a --prefix without empty, '.' or '..' parts, such as \
                 --prefix=disk1/"
            )));
        }
        Ok(())
    }

    /// A file or directory below this one; the empty name is this one.
    fn open_at(&self, name: &str, flags: OFlags) -> rustix::io::Result<File> {
        let name = if name.is_empty() { "." } else { name };
        // Mode 0600, as s3backer's mkstemp.
        let fd = rustix::fs::openat(&self.dir, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(fd))
    }

    /// Opens a key's file; `None` when there is none. The directory itself is looked for then: without it nothing
    /// may look absent, for absent means zero.
    fn open(&self, key: &str) -> Result<Option<(File, fs::Metadata)>> {
        self.check(key)?;
        match self.open_at(key, OFlags::RDONLY) {
            Ok(file) => {
                let meta = file.metadata()?;
                if !meta.is_file() {
                    return Err(Error::corrupt("not a regular file"));
                }
                Ok(Some((file, meta)))
            }
            Err(Errno::NOENT) => {
                self.still_there()?;
                Ok(None)
            }
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn still_there(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;
        match self.dir.metadata() {
            Ok(meta) if meta.nlink() > 0 => Ok(()),
            _ => Err(Error::new(ErrorKind::NoBucket, format!("the directory {} is gone", self.path.display()))),
        }
    }

    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> Result<Got> {
        let Some((file, meta)) = self.open(key)? else {
            return Ok(Got::Absent);
        };
        let etag = etag_of(&meta);
        match condition {
            GetIf::Matches(expected) if expected != etag => return Ok(Got::Mismatch),
            GetIf::Differs(known) if known == etag => return Ok(Got::NotModified),
            _ => {}
        }
        let most = (max_len + file_format::MAX_HEADER) as u64;
        if meta.len() > most {
            return Err(too_long(meta.len(), max_len));
        }
        let mut content = Vec::with_capacity(meta.len() as usize + 1);
        (&file).take(most + 1).read_to_end(&mut content)?;
        let (headers, body) = file_format::parse(key, Bytes::from(content))?;
        if body.len() > max_len {
            return Err(too_long(body.len() as u64, max_len));
        }
        Ok(Got::Object(Object { body, headers, etag: Some(etag) }))
    }

    fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let Some((file, meta)) = self.open(key)? else {
            return Ok(None);
        };
        let mut start = Vec::new();
        (&file).take(file_format::MAX_HEADER as u64).read_to_end(&mut start)?;
        let found = file_format::parse_start(key, &start, meta.len())?;
        let (headers, start) = found.unwrap_or_default();
        Ok(Some(ObjectInfo { headers, etag: Some(etag_of(&meta)), len: meta.len() - start as u64 }))
    }

    fn put(&self, key: &str, headers: &ObjectHeaders, body: &[u8], condition: PutIf) -> Result<ETag> {
        self.check(key)?;
        let header = file_format::header(key, headers, body)?;
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{TEMPORARY}{}-{number}", std::process::id());
        let written = self.write_temporary(&temporary, &header, body);
        match written.and_then(|etag| self.move_into_place(&temporary, key, condition).map(|()| etag)) {
            Ok(etag) => {
                self.note_change(key, true);
                Ok(etag)
            }
            Err(error) => {
                // The write's own error says more than one of cleaning up.
                let _ = rustix::fs::unlinkat(&self.dir, &temporary, AtFlags::empty());
                Err(error)
            }
        }
    }

    fn write_temporary(&self, name: &str, header: &[u8], body: &[u8]) -> Result<ETag> {
        let mut file = match self.open_at(name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC) {
            Ok(file) => file,
            Err(error) => {
                self.still_there()?;
                return Err(io::Error::from(error).into());
            }
        };
        if !header.is_empty() {
            file.write_all(header)?;
        }
        file.write_all(body)?;
        let stamp = self.next_stamp();
        let written = Timespec { tv_sec: (stamp / 1_000_000_000) as i64, tv_nsec: (stamp % 1_000_000_000) as _ };
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
        let times = Timestamps { last_access: omitted, last_modification: written };
        rustix::fs::futimens(&file, &times).map_err(io::Error::from)?;
        Ok(etag_of(&file.metadata()?))
    }

    /// A time stamp that no other file of this process has. The kernel's own may be the same for two writes 4 ms
    /// apart; with an inode used again they would make two contents look like one.
    fn next_stamp(&self) -> u64 {
        let now = clock::wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let step = |last: u64| Some(now.max(last + 1));
        let last = self.stamp.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_default();
        now.max(last + 1)
    }

    fn move_into_place(&self, from: &str, key: &str, condition: PutIf) -> Result<()> {
        let flags = match condition {
            PutIf::Always => RenameFlags::empty(),
            PutIf::Absent => RenameFlags::NOREPLACE,
        };
        let rename = || rustix::fs::renameat_with(&self.dir, from, &self.dir, key, flags);
        let mut moved = rename();
        if moved == Err(Errno::NOENT) {
            // The first object of a prefix with a slash.
            self.make_dirs(key)?;
            moved = rename();
        }
        match moved {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Error::new(ErrorKind::Conflict, "it exists already")),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Makes the directories a key lies in.
    fn make_dirs(&self, key: &str) -> Result<()> {
        for (slash, _) in key.match_indices('/') {
            let name = &key[..slash];
            self.note_dir(parent(name));
            match rustix::fs::mkdirat(&self.dir, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.check(key)?;
        match rustix::fs::unlinkat(&self.dir, key, AtFlags::empty()) {
            Ok(()) => {
                self.note_change(key, false);
                Ok(())
            }
            Err(Errno::NOENT) => self.still_there(),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn note_change(&self, key: &str, written: bool) {
        self.note_dir(parent(key));
        let mut changed = self.changed.lock();
        if written {
            changed.files.insert(key.to_owned());
        } else {
            changed.files.remove(key);
        }
    }

    fn note_dir(&self, name: &str) {
        let mut changed = self.changed.lock();
        if !changed.dirs.contains(name) {
            changed.dirs.insert(name.to_owned());
        }
    }

    fn sync(&self) -> Result<()> {
        let _one_at_a_time = self.syncing.lock();
        let taken = std::mem::take(&mut *self.changed.lock());
        let synced = self.sync_changes(&taken);
        if synced.is_err() {
            let mut changed = self.changed.lock();
            changed.files.extend(taken.files);
            changed.dirs.extend(taken.dirs);
        }
        synced.map_err(|error| Error::from(error).context(format!("sync {}", self.path.display())))
    }

    fn sync_changes(&self, changed: &Changed) -> io::Result<()> {
        if changed.files.len() >= SYNC_ALL_FILES {
            return Ok(rustix::fs::syncfs(&self.dir)?);
        }
        for name in changed.files.iter().chain(&changed.dirs) {
            match self.open_at(name, OFlags::RDONLY) {
                Ok(file) => file.sync_all()?,
                // Deleted since; its directory is synced.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn remove_leftovers(&self) -> Result<()> {
        let names = self.names("").and_then(|names| {
            for (name, _) in names.into_iter().filter(|(name, _)| name.starts_with(TEMPORARY)) {
                rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?;
            }
            Ok(())
        });
        names.map_err(|error| Error::from(io::Error::from(error)).context(format!("tidy {}", self.path.display())))
    }

    /// Who holds the lock, according to the kernel.
    fn lock_owner(&self) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let inode = format!(":{}", self.dir.metadata().ok()?.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let holder = locks.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let ours = words.get(1) == Some(&"FLOCK") && words.get(5)?.ends_with(&inode);
            ours.then(|| words[4].to_owned())
        })?;
        // The process that took the lock may have left it to a child.
        let name = fs::read_to_string(format!("/proc/{holder}/comm"));
        Some(name.map_or_else(
            |_| format!("a child of process {holder}"),
            |name| format!("process {holder} ({})", name.trim_end()),
        ))
    }
}

/// The directory a name lies in; the empty name is the top.
fn parent(name: &str) -> &str {
    name.rfind('/').map_or("", |slash| &name[..slash])
}

/// A file's identity: it changes with every write, ours or s3backer's, and costs no hash of the content.
fn etag_of(meta: &fs::Metadata) -> ETag {
    use std::os::unix::fs::MetadataExt;
    let modified = (meta.mtime() as u64).wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec() as u64);
    let file = (meta.ino() << 24) ^ meta.len();
    ETag((u128::from(modified) << 64 | u128::from(file)).to_be_bytes())
}

fn too_long(len: u64, most: usize) -> Error {
    Error::corrupt(format!("it has {len} bytes, at most {most} were expected"))
}

#[cfg(test)]
mod tests;
