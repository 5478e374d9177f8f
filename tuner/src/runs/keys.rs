//! The log of keys on disk: one line each, on the disk before the PUT is sent, so that a killed run can be cleaned.
//!
//! Group commit: one thread writes and syncs whatever has come in since it last did, so any number of PUTs wait for one
//! sync together. After the first failure nothing is taken any more: what is not noted is not sent. Never deletes
//! anything in a store.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::{Context, Result};
use s3b_engine::error::Error;
use tokio::sync::oneshot;

use super::durable;

/// In the directory of a run.
pub const FILE: &str = "keys.log";

/// Keys to note, and who waits for it.
struct Group {
    keys: Vec<String>,
    noted: oneshot::Sender<Result<(), Error>>,
}

/// An open log.
pub struct KeyLog {
    path: PathBuf,
    /// Dropping it ends the thread.
    groups: mpsc::Sender<Group>,
}

impl KeyLog {
    /// Opens the log in `directory`, behind what it holds; a line cut off by a crash is dropped, as its PUT was not sent.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let opened = open_whole(&path).and_then(|file| durable::sync_directory(directory).map(|()| file));
        let file = opened.with_context(|| format!("cannot open {}", path.display()))?;
        let (groups, received) = mpsc::channel();
        let name = path.display().to_string();
        let thread = std::thread::Builder::new().name("key log".into());
        thread.spawn(move || write_all(file, &name, &received)).context("cannot start a thread")?;
        Ok(Self { path, groups })
    }

    /// Returns when the keys are on disk.
    ///
    /// # Errors
    /// They may not be: full disk and the like. From then on, always.
    pub async fn note(&self, keys: Vec<String>) -> Result<(), Error> {
        let ended = || Error::failed(format!("{}: its thread has ended", self.path.display()));
        let (noted, told) = oneshot::channel();
        self.groups.send(Group { keys, noted }).map_err(|_| ended())?;
        told.await.map_err(|_| ended())?
    }
}

/// All keys of a log, each once, in order. A missing file has none; a line cut off by a crash is no key.
///
/// # Errors
/// The file system's.
pub fn read(directory: &Path) -> Result<BTreeSet<String>> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Leaves only these keys, at once. For a log that nobody writes any more: a thread that still has the old file open would
/// write where nobody looks. A run calls this behind the seal of its journal, which lets no PUT begin, and so notes
/// nothing; `clean` calls it while it holds the lock of a run that has ended.
///
/// # Errors
/// The file system's; the old log is then still whole.
pub fn replace(directory: &Path, left: &BTreeSet<String>) -> Result<()> {
    let path = directory.join(FILE);
    let text: String = left.iter().map(|key| format!("{key}\n")).collect();
    durable::write(&path, &text).with_context(|| format!("cannot replace {}", path.display()))
}

fn open_whole(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

/// Writes groups until nobody can send any more.
fn write_all(mut file: impl Write + Durable, name: &str, received: &mpsc::Receiver<Group>) {
    let mut failure: Option<Error> = None;
    while let Ok(first) = received.recv() {
        let groups: Vec<Group> = std::iter::once(first).chain(received.try_iter()).collect();
        if failure.is_none() {
            let text: String = groups.iter().flat_map(|group| &group.keys).map(|key| format!("{key}\n")).collect();
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync());
            failure = written.err().map(|error| {
                Error::from(error).context(format!("{name}: a key cannot be noted, so nothing more is stored"))
            });
        }
        for group in groups {
            // Nobody may be waiting any more.
            let _ = group.noted.send(failure.clone().map_or(Ok(()), Err));
        }
    }
}

/// What makes bytes survive a power loss.
trait Durable {
    fn sync(&mut self) -> std::io::Result<()>;
}

impl Durable for File {
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures::future::join_all;
    use s3b_engine::error::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn keys_are_there_when_told_and_a_torn_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        let log = KeyLog::open(dir.path()).unwrap();
        let all = (0..500).map(|n| log.note(vec![format!("k{n}")]));
        assert!(join_all(all).await.iter().all(Result::is_ok));
        assert_eq!(read(dir.path()).unwrap().len(), 500);
        drop(log);
        let torn = fs::read_to_string(dir.path().join(FILE)).unwrap() + "half of a k";
        fs::write(dir.path().join(FILE), torn).unwrap();
        assert_eq!(read(dir.path()).unwrap().len(), 500);
        let log = KeyLog::open(dir.path()).unwrap();
        log.note(vec!["last".into()]).await.unwrap();
        let keys = read(dir.path()).unwrap();
        assert!(keys.len() == 501 && keys.contains("last"), "the torn line is gone");
        replace(dir.path(), &["last".to_owned()].into()).unwrap();
        assert_eq!(read(dir.path()).unwrap().into_iter().collect::<Vec<_>>(), ["last"]);
    }

    /// A disk that takes `room` bytes; counts syncs.
    struct Small {
        room: usize,
        syncs: Arc<AtomicUsize>,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.room = self.room.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Durable for Small {
        fn sync(&mut self) -> std::io::Result<()> {
            self.syncs.fetch_add(1, SeqCst);
            Ok(())
        }
    }

    #[test]
    fn waiting_keys_share_a_sync_and_a_full_disk_ends_it_for_good() {
        let (send, received) = mpsc::channel();
        let syncs = Arc::<AtomicUsize>::default();
        let ask = |key: &str| {
            let (noted, told) = oneshot::channel();
            send.send(Group { keys: vec![key.into()], noted }).unwrap();
            told
        };
        // All of these wait before the thread looks.
        let first: Vec<_> = (0..10).map(|n| ask(&n.to_string())).collect();
        let small = Small { room: 25, syncs: syncs.clone() };
        let thread = std::thread::spawn(move || write_all(small, "keys.log", &received));
        assert!(first.into_iter().all(|told| told.blocking_recv().unwrap().is_ok()));
        assert_eq!(syncs.load(SeqCst), 1);
        let error = ask("too long a key").blocking_recv().unwrap().unwrap_err();
        assert!(error.kind() == ErrorKind::NoSpace && error.message().starts_with("keys.log: "), "{error}");
        assert!(ask("x").blocking_recv().unwrap().is_err(), "also where there is room again");
        drop(send);
        thread.join().unwrap();
    }
}
