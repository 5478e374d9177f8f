//! How fast the disk is that a cache file lies on, or will: syncs, writes and reads of a file of our own in the same
//! directory, which has no name and is gone with this program.
//!
//! Never opens, reads or changes a cache file. Takes a few seconds at most.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};
use s3b_engine::clock;

use crate::model::DiskRates;

/// What is written and read to learn the transfer rates, in bytes.
const BULK: usize = 32 << 20;
const PIECE: usize = 1 << 20;
/// Of each kind; the median counts.
const SYNCS: usize = 25;
const READS: usize = 25;
/// A slow disk is not tried for longer than this, for each kind.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// A file system in memory.
const TMPFS: i64 = 0x0102_1994;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub rates: DiskRates,
    /// It is memory, not a disk: nothing there survives a restart.
    pub in_memory: bool,
}

/// The directory that a cache file of this name lies in.
pub fn folder_of(cache_file: &Path) -> PathBuf {
    cache_file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Measures the disk of a directory. Blocks the thread.
///
/// # Errors
/// Names the directory: it is missing, full, or may not be written.
pub fn measure(folder: &Path) -> Result<Found> {
    let shown = folder.display();
    let failed = || format!("cannot measure the disk of {shown}: name a cache file in a directory with 64 MiB of room");
    let file = tempfile::tempfile_in(folder).with_context(failed)?;
    let rates = rates(&file).with_context(failed)?;
    let in_memory = rustix::fs::fstatfs(&file).is_ok_and(|found| found.f_type == TMPFS);
    Ok(Found { rates, in_memory })
}

fn rates(mut file: &File) -> io::Result<DiskRates> {
    // Noise: a disk that compresses must not look faster than it is.
    let piece: Vec<u8> = rand::random_iter().take(PIECE).collect();
    let start = clock::now();
    for _ in 0..BULK / PIECE {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let written_s = start.elapsed().as_secs_f64();
    let sync_s = median(SYNCS, |n| {
        file.write_all_at(&piece[..4096], ((n * 64) << 10) as u64)?;
        file.sync_data()
    })?;
    // What stays in memory would be read from there. A hint: where it is not taken, reads look faster.
    let _ = fadvise(file, 0, NonZeroU64::new(BULK as u64), Advice::DontNeed);
    let mut page = [0; 4096];
    // Far apart, the last first: nobody reads ahead of that.
    let read_s = median(READS, |n| file.read_exact_at(&mut page, ((READS - 1 - n) * PIECE) as u64))?;
    let _ = fadvise(file, 0, NonZeroU64::new(BULK as u64), Advice::DontNeed);
    let mut bulk = vec![0; PIECE];
    let start = clock::now();
    for n in 0..BULK / PIECE {
        file.read_exact_at(&mut bulk, (n * PIECE) as u64)?;
    }
    let read_bulk_s = start.elapsed().as_secs_f64();
    let rate = |seconds: f64| (BULK as f64 / seconds.max(1e-6)).round();
    Ok(DiskRates {
        measured: true,
        sync_ms: sync_s * 1e3,
        // The sync at its end is not transfer.
        write_bytes_per_s: rate(written_s - sync_s),
        read_ms: read_s * 1e3,
        read_bytes_per_s: rate(read_bulk_s),
    })
}

fn median(times: usize, mut call: impl FnMut(usize) -> io::Result<()>) -> io::Result<f64> {
    let begin = clock::now();
    let mut seconds = Vec::new();
    for n in 0..times {
        let start = clock::now();
        call(n)?;
        seconds.push(start.elapsed().as_secs_f64());
        if begin.elapsed() > LONG_ENOUGH {
            break;
        }
    }
    Ok(crate::statistics::median(&seconds).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_measured_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let found = measure(folder.path()).unwrap();
        let mut model = crate::model::shipped::standard();
        model.disk = found.rates;
        model.check().unwrap();
        assert!(model.disk.measured && model.disk.sync_ms < 60_000.0, "{:?}", model.disk);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = folder.path().join("no/such");
        let error = format!("{:#}", measure(&missing).unwrap_err());
        assert!(error.contains("no/such") && error.contains("64 MiB"), "{error}");
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(folder_of(Path::new("cache")), Path::new("."));
        assert_eq!(folder_of(Path::new("/var/cache/s3b/disk1")), Path::new("/var/cache/s3b"));
    }
}
