//! A cache disk in memory that can lose power: for crash tests and simulations.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::CacheDisk;

const PAGE: usize = 4096;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Live and durable bytes apart: a sync makes the live ones durable, a crash keeps any part of what was not synced.
#[derive(Default)]
pub struct MemoryDisk {
    // One short lock; every call copies at most its own bytes under it.
    images: Mutex<Images>,
}

#[derive(Default)]
struct Images {
    live: Pages,
    durable: Pages,
    unsynced: Vec<Step>,
    /// Writes, resizes and syncs so far.
    steps: u64,
    syncs: u64,
    /// The step at which power fails.
    power_off_at: Option<u64>,
    full: bool,
}

enum Step {
    Write(u64, Box<[u8]>),
    SetLen(u64),
}

/// Sparse: a page that was never written takes no room.
#[derive(Clone, Default)]
pub(super) struct Pages {
    pub(super) len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

impl MemoryDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes, resizes and syncs so far.
    pub fn steps(&self) -> u64 {
        self.images.lock().steps
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.images.lock().syncs
    }

    /// From step `at` on every call fails.
    pub fn power_off_at(&self, at: u64) {
        self.images.lock().power_off_at = Some(at);
    }

    /// While full, only pages that already hold bytes can be written.
    pub fn set_full(&self, full: bool) {
        self.images.lock().full = full;
    }

    /// The disk after a power failure: what is durable, plus what `seed` chooses of the steps since the last sync, sector by
    /// sector: all up to a torn one, or any subset.
    pub fn crash(&self, seed: u64) -> MemoryDisk {
        let images = self.images.lock();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut after = images.durable.clone();
        if random.random_bool(0.3) {
            let whole = random.random_range(0..=images.unsynced.len());
            for step in &images.unsynced[..whole] {
                after.apply(step);
            }
            if let Some(torn) = images.unsynced.get(whole) {
                let mut left = random.random_range(0..8);
                after.apply_some(torn, || {
                    left -= 1;
                    left >= 0
                });
            }
        } else {
            let kept = [0.1, 0.5, 0.9][random.random_range(0..3)];
            for step in &images.unsynced {
                after.apply_some(step, || random.random_bool(kept));
            }
        }
        MemoryDisk { images: Mutex::new(Images { live: after.clone(), durable: after, ..Images::default() }) }
    }
}

impl Images {
    fn step(&mut self) -> io::Result<()> {
        self.powered()?;
        self.steps += 1;
        Ok(())
    }

    fn powered(&self) -> io::Result<()> {
        match self.power_off_at {
            Some(at) if self.steps >= at => Err(io::Error::other("power is off")),
            _ => Ok(()),
        }
    }
}

impl Pages {
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let (page, start, len) = part(offset + done as u64, out.len() - done);
            match self.pages.get(&page) {
                Some(bytes) => out[done..done + len].copy_from_slice(&bytes[start..start + len]),
                None => out[done..done + len].fill(0),
            }
            done += len;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (page, start, len) = part(offset + done as u64, data.len() - done);
            let bytes = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(bytes)[start..start + len].copy_from_slice(&data[done..done + len]);
            done += len;
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (page, start, _) = part(len, PAGE);
            self.pages.split_off(&(page + 1));
            if let Some(bytes) = self.pages.get_mut(&page) {
                Arc::make_mut(bytes)[start..].fill(0);
            }
        }
        self.len = len;
    }

    fn apply(&mut self, step: &Step) {
        self.apply_some(step, || true);
    }

    fn apply_some(&mut self, step: &Step, mut keep: impl FnMut() -> bool) {
        match step {
            Step::SetLen(len) => {
                if keep() {
                    self.set_len(*len);
                }
            }
            Step::Write(offset, data) => {
                let mut done = 0;
                while done < data.len() {
                    let at = offset + done as u64;
                    let len = (SECTOR - at as usize % SECTOR).min(data.len() - done);
                    if keep() {
                        self.write(at, &data[done..done + len]);
                    }
                    done += len;
                }
            }
        }
    }
}

/// The page of an offset, where in it, and how many of `len` bytes lie there.
fn part(offset: u64, len: usize) -> (u64, usize, usize) {
    let start = (offset % PAGE as u64) as usize;
    (offset / PAGE as u64, start, len.min(PAGE - start))
}

impl CacheDisk for MemoryDisk {
    fn name(&self) -> String {
        "(memory)".into()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let images = self.images.lock();
        images.powered()?;
        images.live.read(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut images = self.images.lock();
        images.step()?;
        if images.full {
            let last = (offset + data.len() as u64 - 1) / PAGE as u64;
            if (offset / PAGE as u64..=last).any(|page| !images.live.pages.contains_key(&page)) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        images.live.write(offset, data);
        images.unsynced.push(Step::Write(offset, data.into()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut images = self.images.lock();
        images.step()?;
        images.syncs += 1;
        for step in std::mem::take(&mut images.unsynced) {
            images.durable.apply(&step);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut images = self.images.lock();
        images.step()?;
        images.live.set_len(len);
        images.unsynced.push(Step::SetLen(len));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let images = self.images.lock();
        images.powered()?;
        Ok(images.live.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(disk: &MemoryDisk) -> Vec<u8> {
        let mut out = vec![0; disk.len().unwrap() as usize];
        disk.read_at(0, &mut out).unwrap();
        out
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_any_sectors_since() {
        let disk = MemoryDisk::new();
        disk.write_at(0, &[1; 6000]).unwrap();
        disk.sync().unwrap();
        disk.write_at(512, &[2; 2048]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let after = bytes(&disk.crash(seed));
            assert_eq!(after.len(), 6000);
            let sectors: Vec<u8> = after[512..2560]
                .chunks(512)
                .map(|sector| {
                    assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
                    sector[0]
                })
                .collect();
            assert!(after[..512].iter().chain(&after[2560..]).all(|byte| *byte == 1));
            seen.insert(sectors);
        }
        assert_eq!(seen.len(), 16, "every subset of four sectors");
    }

    #[test]
    fn power_off_and_a_full_disk_fail_calls() {
        let disk = MemoryDisk::new();
        disk.write_at(0, &[1; 100]).unwrap();
        disk.set_full(true);
        disk.write_at(4000, &[2; 96]).unwrap();
        assert_eq!(disk.write_at(4000, &[2; 97]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.set_full(false);
        disk.set_len(50).unwrap();
        disk.set_len(100).unwrap();
        assert_eq!(bytes(&disk)[49..51], [1, 0]);
        disk.power_off_at(disk.steps());
        assert!(disk.sync().is_err() && disk.len().is_err() && disk.write_at(0, &[1]).is_err());
    }
}
