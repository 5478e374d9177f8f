//! A cache disk for simulations: it keeps what is written, blocks as bytes or as the cells of a weightless volume, and takes
//! the time of a modelled disk on the engine's clock. Never loses power: [`MemoryDisk`](super::MemoryDisk) does.
//!
//! Writes go to the page cache and cost nothing until a sync, which takes their transfer and a fixed time; a read takes a
//! fixed time and its transfer, beside the writes. So a disk is known by four numbers that anybody can measure.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use parking_lot::Mutex;

use super::CacheDisk;
use super::memory_disk::Pages;
use crate::clock::{self, Instant};
use crate::geometry::SECTOR;

/// Cells kept together: those of 128 KiB.
const CELLS: usize = 256;

/// What a disk takes, on the engine's clock. Infinite speeds take nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskTimes {
    /// Of a sync, without the transfer of what was written since the last one.
    pub sync: Duration,
    pub write_bytes_per_s: f64,
    /// Of a read, without its transfer.
    pub read: Duration,
    pub read_bytes_per_s: f64,
}

impl DiskTimes {
    pub const NOTHING: Self = Self {
        sync: Duration::ZERO,
        write_bytes_per_s: f64::INFINITY,
        read: Duration::ZERO,
        read_bytes_per_s: f64::INFINITY,
    };
}

/// See the module.
pub struct ModelledDisk {
    times: DiskTimes,
    // One short lock; every call copies at most its own bytes under it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bytes: Pages,
    /// By the first sector of each group of [`CELLS`], divided by it.
    cells: BTreeMap<u64, Box<[u8; CELLS]>>,
    timed: bool,
    /// Bytes written since the last sync.
    unsynced: u64,
    syncs: u64,
    /// When it has done all syncs so far, and all transfers of reads.
    synced_at: Option<Instant>,
    read_at: Option<Instant>,
    /// Of the calls since somebody asked.
    done_at: Option<Instant>,
}

impl ModelledDisk {
    /// It takes no time before [`ModelledDisk::switch`].
    pub fn new(times: DiskTimes) -> Self {
        Self { times, state: Mutex::default() }
    }

    /// Whether calls take the model's time from now on.
    pub fn switch(&self, on: bool) {
        let mut state = self.state.lock();
        (state.timed, state.unsynced) = (on, 0);
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    fn has_read(&self, state: &mut State, bytes: u64) {
        if state.timed {
            let moved = later(&mut state.read_at, clock::transfer(bytes as f64, self.times.read_bytes_per_s));
            state.done(moved + self.times.read);
        }
    }
}

impl State {
    fn done(&mut self, at: Instant) {
        self.done_at = self.done_at.max(Some(at));
    }
}

/// One thing after the other.
fn later(free_at: &mut Option<Instant>, time: Duration) -> Instant {
    let now = clock::now();
    let done = free_at.map_or(now, |free| free.max(now)) + time;
    *free_at = Some(done);
    done
}

/// Each group of cells that a range touches: its number, the range in it, and the range in the caller's cells.
fn groups(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    debug_assert!(offset.is_multiple_of(u64::from(SECTOR)));
    let first = offset / u64::from(SECTOR);
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = first + done as u64;
        let start = (at % CELLS as u64) as usize;
        let part = (CELLS - start).min(len - done);
        let from = done;
        done += part;
        (part > 0).then(|| (at / CELLS as u64, start..start + part, from..from + part))
    })
}

fn bytes_of(cells: usize) -> u64 {
    cells as u64 * u64::from(SECTOR)
}

impl CacheDisk for ModelledDisk {
    fn name(&self) -> String {
        "(modelled)".into()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        self.has_read(&mut state, out.len() as u64);
        state.bytes.read(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.unsynced += data.len() as u64;
        state.bytes.write(offset, data);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.syncs += 1;
        let bytes = std::mem::take(&mut state.unsynced);
        if state.timed {
            let time = self.times.sync + clock::transfer(bytes as f64, self.times.write_bytes_per_s);
            let done = later(&mut state.synced_at, time);
            state.done(done);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.lock().bytes.set_len(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().bytes.len)
    }

    fn takes_cells(&self) -> bool {
        true
    }

    fn write_cells(&self, offset: u64, cells: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.unsynced += bytes_of(cells.len());
        for (group, to, from) in groups(offset, cells.len()) {
            let kept = state.cells.entry(group).or_insert_with(|| Box::new([0; CELLS]));
            kept[to].copy_from_slice(&cells[from]);
        }
        Ok(())
    }

    fn read_cells(&self, offset: u64, cells: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        self.has_read(&mut state, bytes_of(cells.len()));
        for (group, from, to) in groups(offset, cells.len()) {
            match state.cells.get(&group) {
                Some(kept) => cells[to].copy_from_slice(&kept[from]),
                None => cells[to].fill(0),
            }
        }
        Ok(())
    }

    fn done_at(&self) -> Option<Instant> {
        self.state.lock().done_at.take().filter(|at| *at > clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_across_groups_and_beside_bytes() {
        let disk = ModelledDisk::new(DiskTimes::NOTHING);
        let cells: Vec<u8> = (0..600).map(|n| (n % 251) as u8 + 1).collect();
        disk.write_cells(512 * 200, &cells).unwrap();
        disk.write_at(100, b"abc").unwrap();
        let mut found = vec![9; 602];
        disk.read_cells(512 * 199, &mut found).unwrap();
        assert_eq!((found[0], &found[1..601], found[601]), (0, &cells[..], 0));
        let mut bytes = [0; 3];
        disk.read_at(100, &mut bytes).unwrap();
        assert_eq!((&bytes, disk.len().unwrap()), (b"abc", 103), "cells do not lengthen what has bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_pays_for_what_was_written_and_reads_go_beside_it() {
        let times = DiskTimes {
            sync: Duration::from_millis(2),
            write_bytes_per_s: 512_000.0,
            read: Duration::from_millis(1),
            read_bytes_per_s: 1_024_000.0,
        };
        let disk = ModelledDisk::new(times);
        let start = clock::now();
        let done = || disk.done_at().map(|at| (at - start).as_millis());
        disk.write_cells(0, &[1; 7]).unwrap();
        disk.sync().unwrap();
        assert_eq!(done(), None, "not switched on");
        disk.switch(true);
        disk.write_cells(0, &[1; 10]).unwrap();
        assert_eq!(done(), None, "the page cache has it");
        disk.sync().unwrap();
        disk.write_cells(0, &[1]).unwrap();
        assert_eq!((done(), done()), (Some(12), None), "what is written after a sync is the next one's");
        disk.sync().unwrap();
        assert_eq!((done(), disk.syncs()), (Some(15), 3), "after the first");
        disk.read_cells(0, &mut [0; 4]).unwrap();
        assert_eq!(done(), Some(3));
        disk.read_cells(0, &mut [0; 4]).unwrap();
        assert_eq!(done(), Some(5), "transfers take turns, waiting does not");
        disk.sync().unwrap();
        disk.read_cells(0, &mut [0; 4]).unwrap();
        assert_eq!(done(), Some(17), "who called both waits for the later");
        disk.read_cells(0, &mut [0; 40]).unwrap();
        disk.sync().unwrap();
        assert_eq!(done(), Some(27), "whichever came first");
    }
}
