//! `--record`: what the kernel asked of the volume, as an s3bt trace (`docs/TRACE-FORMAT.md`). Never content.
//!
//! ```text
//! FUSE threads -> Intake (one short lock) -> queue of full frames -> Writer (a thread of its own) -> file
//! ```
//! Nothing here makes the mount wait or fail once it is up: what cannot be recorded is counted and left out.

mod intake;
mod writer;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime};

use s3b_engine::clock;
use s3b_engine::error::{Error, Result};
use s3b_engine::geometry::Geometry;
use s3b_scenarios::trace::s3bt::Header;

pub use intake::{Counts, Intake};
use writer::Writer;

/// Frames on their way to the writer, 64 KiB each.
const QUEUE: usize = 64;
/// Unmounting waits no longer than this for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Fine enough for any disk behind a network.
const TICK_NS: u32 = 1000;

/// A recording under way.
pub struct Recording {
    path: PathBuf,
    intake: Arc<Intake>,
    counts: Arc<Counts>,
    /// Closed when the writer is done.
    done: Receiver<()>,
}

/// Whether a recording can be made there, before anything else is done.
///
/// # Errors
/// Something is there already, or there is no such directory; says what to do.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match directory {
        Some(directory) if !directory.is_dir() => Err(Error::config(format!(
            "--record={shown}: there is no directory {}; make it first",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    let (shown, other) = (path.display(), path.with_extension("2.s3bt"));
    Error::config(format!(
        "--record={shown}: it exists, and a recording overwrites nothing; move it away, or try --record={}",
        other.display()
    ))
}

impl Recording {
    /// Makes the file, mode 0600, and the thread that writes it. At most `limit` bytes; 0: no limit.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn start(path: &Path, limit: u64, geometry: Geometry) -> Result<Self> {
        let started = clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            volume_bytes: geometry.size(),
            block_bytes: geometry.block_size(),
            started_unix_ms: u64::try_from(started.as_millis()).unwrap_or_default(),
            tick_ns: TICK_NS,
        };
        let bytes = header.encode();
        let file = create(path, &bytes)?;
        let limit = if limit == 0 { u64::MAX } else { limit };
        let counts = Arc::<Counts>::default();
        let writer = Writer::new(file, path.to_owned(), bytes.len() as u64, limit, counts.clone());
        let (sender, queue) = sync_channel(QUEUE);
        let intake = Arc::new(Intake::new(&header, sender, counts.clone()));
        let (finished, done) = sync_channel(0);
        let source = intake.clone();
        let work = move || {
            // Gone when this ends, however it ends.
            let _finished: std::sync::mpsc::SyncSender<()> = finished;
            writer.run(&source, queue);
        };
        let spawned = std::thread::Builder::new().name("s3b-record".into()).spawn(work);
        let recording = Self { path: path.to_owned(), intake, counts, done };
        match spawned {
            Ok(_) => Ok(recording),
            Err(e) => {
                recording.abandon();
                Err(Error::failed(format!("--record={}: starting its thread: {e}", path.display())))
            }
        }
    }

    /// Where operations go.
    pub fn intake(&self) -> Arc<Intake> {
        self.intake.clone()
    }

    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Writes what is left, and the end.
    pub fn finish(self) {
        self.intake.close();
        let shown = self.path.display();
        match self.done.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::error!("--record={shown}: its disk does not answer; the recording is not ended properly");
            }
            _ => tracing::info!(
                "--record={shown}: {} operations in {} bytes, {} missing",
                self.counts.ops.get(),
                self.counts.bytes.get(),
                self.counts.dropped.get()
            ),
        }
    }

    /// The mount failed: there is nothing to record, and the name is free again.
    pub fn abandon(self) {
        self.intake.close();
        // The writer may still be at it; an open file can be removed. A failure leaves an empty trace.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the file with these bytes in it.
fn create(path: &Path, bytes: &[u8]) -> Result<File> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::failed(format!("--record={}: {e}; name a file on a disk with room", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    if let Err(e) = file.write_all(bytes) {
        // An empty file would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        return Err(failed(e));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
