//! Power failures under the cache file: at every write, resize and sync, with any part of what was not synced on the disk.
//!
//! What was durably applied is there, or something newer; nothing older comes back; no byte is ever wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use s3b_engine::block_cache::disk::{
    BlockRecord, CacheDisk, CacheFile, Change, Identity, LoadedBlock, MemoryDisk, OpenOptions, Slot,
};
use s3b_engine::block_cache::sectors::SectorMask;
use s3b_engine::etag::ETag;
use s3b_engine::geometry::{BlockNumber, Geometry, SECTOR};

const BLOCKS: u32 = 6;

/// What the file may say of a block.
#[derive(Clone, Debug, PartialEq)]
enum Version {
    Absent,
    Present { content: u64, record: BlockRecord, mask: Option<SectorMask>, zero: bool },
}

impl Version {
    fn is_clean(&self) -> bool {
        matches!(self, Version::Present { record: BlockRecord::Clean { .. }, .. })
    }
}

/// One block: every version that was applied since the last certain one, and where it is now.
struct Known {
    versions: Vec<Version>,
    slot: Option<Slot>,
}

struct Model {
    geometry: Geometry,
    blocks: Vec<Known>,
    tokens: Vec<u32>,
    next_content: u64,
    random: SmallRng,
    capacity: u32,
    /// Clean blocks may be missing: a smaller capacity was asked for.
    shrunk: bool,
}

/// The bytes of content number `content`; sectors outside the mask are zero.
fn bytes(geometry: Geometry, content: u64, mask: Option<&SectorMask>) -> Vec<u8> {
    let mut all = vec![0; geometry.block_size() as usize];
    for (sector, out) in all.chunks_mut(SECTOR as usize).enumerate() {
        if mask.is_none_or(|mask| mask.contains(sector as u32)) {
            for (at, word) in out.chunks_mut(8).enumerate() {
                let value = content.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (sector * 64 + at + 1) as u64;
                word.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    all
}

impl Model {
    fn new(seed: u64) -> Self {
        let block_size = [1024, 4096, 1024, 128 << 10][(seed % 4) as usize];
        Self {
            geometry: Geometry::new(block_size, u64::from(BLOCKS) * block_size).unwrap(),
            blocks: (0..BLOCKS).map(|_| Known { versions: vec![Version::Absent], slot: None }).collect(),
            tokens: vec![0],
            next_content: 1,
            random: SmallRng::seed_from_u64(seed),
            capacity: 4,
            shrunk: false,
        }
    }

    fn identity(&self) -> Identity {
        Identity { location: "bucket/disk".into(), geometry: self.geometry, hashed_names: false, key_check: None }
    }

    fn change_for(&mut self, block: u32) -> (Change, Version) {
        let (number, slot) = (BlockNumber(block), self.blocks[block as usize].slot);
        let now = self.blocks[block as usize].versions.last().cloned().unwrap();
        let dice = self.random.random_range(0..10);
        match (slot, now) {
            (Some(slot), _) if dice < 2 => (Change::Drop { block: number, slot }, Version::Absent),
            (Some(slot), Version::Present { content, record: BlockRecord::Dirty, mask: None, zero }) if dice < 5 => {
                let etag = Some(etag(content));
                let version = Version::Present { content, record: BlockRecord::Clean { etag }, mask: None, zero };
                (Change::Clean { block: number, slot, etag }, version)
            }
            _ => self.put(number, slot),
        }
    }

    fn put(&mut self, block: BlockNumber, replaces: Option<Slot>) -> (Change, Version) {
        let content = self.next_content;
        self.next_content += 1;
        let zero = self.random.random_bool(0.15);
        let clean = self.random.random_bool(0.4);
        let record =
            if clean { BlockRecord::Clean { etag: (!zero).then(|| etag(content)) } } else { BlockRecord::Dirty };
        let mut mask = None;
        if !clean && !zero && self.random.random_bool(0.4) {
            let mut some = SectorMask::empty(self.geometry.block_size());
            let first = self.random.random_range(0..self.geometry.sectors_per_block());
            some.insert(first..first + 1);
            mask = Some(some);
        }
        let mut data = bytes(self.geometry, content, mask.as_ref());
        for (sector, out) in data.chunks_mut(SECTOR as usize).enumerate() {
            // Unknown sectors hold anything; it must not come back.
            if mask.as_ref().is_some_and(|mask| !mask.contains(sector as u32)) {
                out.fill(0x55);
            }
        }
        let data = (!zero).then(|| Bytes::from(data));
        let version = Version::Present { content, record, mask: mask.clone(), zero };
        (Change::Put { block, record, mask, data, replaces }, version)
    }

    fn all_durable(&mut self) {
        for known in &mut self.blocks {
            known.versions.drain(..known.versions.len() - 1);
        }
    }

    /// Works until the power fails or the story ends.
    fn live(&mut self, file: &CacheFile, batches: usize) {
        for _ in 0..batches {
            let dice = self.random.random_range(0..20);
            if dice == 0 {
                let token = self.random.random();
                self.tokens.push(token);
                if file.set_token(token).is_err() {
                    return;
                }
                self.tokens = vec![token];
                assert_eq!(file.token(), token);
            }
            if dice == 1 {
                if file.sync().is_err() {
                    return;
                }
                self.all_durable();
            }
            if !self.batch(file) {
                return;
            }
        }
    }

    fn batch(&mut self, file: &CacheFile) -> bool {
        let mut blocks: Vec<u32> = (0..BLOCKS).collect();
        blocks.shuffle(&mut self.random);
        blocks.truncate(self.random.random_range(1..=3));
        let (changes, versions): (Vec<_>, Vec<_>) = blocks.iter().map(|block| self.change_for(*block)).unzip();
        let durable = self.random.random_bool(0.4);
        let answer = file.apply(&changes, durable);
        for (at, (block, version)) in blocks.iter().zip(versions).enumerate() {
            let known = &mut self.blocks[*block as usize];
            match (&answer, &changes[at]) {
                (Ok(slots), Change::Put { replaces, .. }) => match slots[at] {
                    Some(slot) => known.slot = Some(slot),
                    None => {
                        assert_eq!(*replaces, None, "only a new block can find no room");
                        continue;
                    }
                },
                (Ok(_), Change::Drop { .. }) => known.slot = None,
                (Ok(_), Change::Clean { .. }) | (Err(_), _) => {}
            }
            known.versions.push(version);
        }
        if answer.is_err() {
            return false;
        }
        if durable {
            self.all_durable();
        }
        self.check_reads(file)
    }

    /// Every block reads as it was last applied. False if the power failed.
    fn check_reads(&self, file: &CacheFile) -> bool {
        let mut out = vec![0; self.geometry.block_size() as usize];
        for (block, known) in self.blocks.iter().enumerate() {
            let (Some(slot), Some(Version::Present { content, mask, zero, .. })) = (known.slot, known.versions.last())
            else {
                continue;
            };
            if file.read(BlockNumber(block as u32), slot, &mut out).is_err() {
                return false;
            }
            let expected = if *zero { vec![0; out.len()] } else { bytes(self.geometry, *content, mask.as_ref()) };
            assert_eq!(out, expected, "block {block}");
        }
        true
    }

    /// Opens after a crash and compares. False if the power failed again meanwhile.
    fn reopen(&mut self, disk: &Arc<MemoryDisk>, story: &str) -> Option<CacheFile> {
        let capacity = [3, 4, 4, 4, 8][self.random.random_range(0..5)];
        self.shrunk |= capacity < self.capacity;
        self.capacity = capacity;
        let opened = CacheFile::open(disk.clone(), &self.identity(), capacity, OpenOptions::default());
        let (file, loaded) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.message().contains("power is off"), "{story}: {error}");
                return None;
            }
        };
        assert!(self.tokens.contains(&loaded.token), "{story}: token {}", loaded.token);
        self.tokens = vec![loaded.token];
        let mut found: Vec<Option<LoadedBlock>> = vec![None; BLOCKS as usize];
        // A drop and the block that took its place may have come through half.
        let full = loaded.blocks.len() >= capacity as usize;
        for block in loaded.blocks {
            let at = block.block.0 as usize;
            assert!(found[at].replace(block).is_none(), "{story}: one entry per block");
        }
        for (at, found) in found.into_iter().enumerate() {
            let version = self.version_of(&file, at, found.as_ref(), story)?;
            let known = &mut self.blocks[at];
            let may_drop = self.shrunk || full;
            let dropped = version == Version::Absent && may_drop && known.versions.iter().any(Version::is_clean);
            assert!(
                known.versions.contains(&version) || dropped,
                "{story}: block {at}: {version:?} is none of {:?}",
                known.versions
            );
            *known = Known { versions: vec![version], slot: found.map(|found| found.slot) };
        }
        self.shrunk = false;
        Some(file)
    }

    /// Which of the applied versions of a block the file holds, by its bytes.
    fn version_of(&self, file: &CacheFile, at: usize, found: Option<&LoadedBlock>, story: &str) -> Option<Version> {
        let Some(found) = found else { return Some(Version::Absent) };
        let mut out = vec![0; self.geometry.block_size() as usize];
        if let Err(error) = file.read(found.block, found.slot, &mut out) {
            assert!(error.message().contains("power is off"), "{story}: {error}");
            return None;
        }
        let fits = |version: &&Version| match version {
            Version::Absent => false,
            Version::Present { content, record, mask, zero } => {
                let expected = if *zero { vec![0; out.len()] } else { bytes(self.geometry, *content, mask.as_ref()) };
                (*record, mask, *zero, &expected) == (found.record, &found.mask, found.zero, &out)
            }
        };
        let version = self.blocks[at].versions.iter().find(fits);
        assert!(version.is_some(), "{story}: block {at}: {found:?} is none of {:?}", self.blocks[at].versions);
        version.cloned()
    }
}

fn etag(content: u64) -> ETag {
    let mut etag = [1; 16];
    etag[..8].copy_from_slice(&content.to_le_bytes());
    ETag(etag)
}

/// One story, with the power failing at step `cut` of its first life and at random steps of the later ones. Answers the
/// steps of the first life.
fn run(seed: u64, cut: u64) -> u64 {
    let mut model = Model::new(seed);
    let mut disk = Arc::new(MemoryDisk::new());
    disk.power_off_at(cut);
    let story = format!("seed {seed}, cut {cut}");
    if let Ok((file, _)) = CacheFile::open(disk.clone(), &model.identity(), model.capacity, OpenOptions::default()) {
        model.live(&file, 14);
    }
    let steps = disk.steps();
    model.random = SmallRng::seed_from_u64(seed ^ cut.rotate_left(32));
    for life in 1..=3 {
        let story = format!("{story}, life {life}");
        // A killed process leaves all it wrote, though not durably; a power failure any part of it.
        if model.random.random_bool(0.7) {
            disk = Arc::new(disk.crash(model.random.random()));
        }
        disk.power_off_at(disk.steps() + model.random.random_range(0..60));
        if let Some(file) = model.reopen(&disk, &story) {
            model.live(&file, 6);
        }
    }
    disk = Arc::new(disk.crash(model.random.random()));
    let file = model.reopen(&disk, &story).expect("the power is on");
    assert!(model.check_reads(&file));
    steps
}

#[test]
fn no_power_failure_loses_or_revives_anything() {
    for seed in 0..32 {
        let steps = run(seed, u64::MAX);
        for cut in 0..steps {
            run(seed, cut);
        }
    }
}

/// Any bytes of the disk may rot; the file then says so, or the block is as it was, or a clean one is gone.
#[test]
fn rot_is_noticed() {
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let mut model = Model::new(seed % 3);
        let disk = Arc::new(MemoryDisk::new());
        let (file, _) = CacheFile::open(disk.clone(), &model.identity(), 4, OpenOptions::default()).unwrap();
        model.live(&file, 10);
        file.sync().unwrap();
        model.all_durable();
        drop(file);
        let mut random = SmallRng::seed_from_u64(seed);
        let at = random.random_range(0..34 << 10);
        let mut byte = [0];
        disk.read_at(at, &mut byte).unwrap();
        disk.write_at(at, &[byte[0] ^ 1 << random.random_range(0..8)]).unwrap();
        let opened = CacheFile::open(disk, &model.identity(), 4, OpenOptions::default());
        let Ok((file, loaded)) = opened else {
            seen.insert("refused");
            continue;
        };
        let mut out = vec![0; model.geometry.block_size() as usize];
        for (at, known) in model.blocks.iter().enumerate() {
            let Version::Present { content, record, mask, zero } = &known.versions[0] else { continue };
            let Some(found) = loaded.blocks.iter().find(|found| found.block.0 as usize == at) else {
                assert!(record != &BlockRecord::Dirty, "seed {seed}: dirty block {at} is gone without an error");
                assert!(!loaded.notices.is_empty(), "seed {seed}");
                seen.insert("dropped");
                continue;
            };
            if file.read(found.block, found.slot, &mut out).is_err() {
                assert!(record != &BlockRecord::Dirty, "seed {seed}: dirty data are checked when opening");
                seen.insert("unreadable");
                continue;
            }
            let expected = if *zero { vec![0; out.len()] } else { bytes(model.geometry, *content, mask.as_ref()) };
            assert_eq!(out, expected, "seed {seed}, block {at}");
            seen.insert("unharmed");
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["dropped", "refused", "unharmed", "unreadable"]);
}

/// The erasure of a replaced dirty version is not durable yet when its successor is dropped: it must not outlive it.
#[test]
fn an_older_version_never_outlives_a_dropped_one() {
    let block = BlockNumber(2);
    let story = |cut: u64| {
        let model = Model::new(0);
        let disk = Arc::new(MemoryDisk::new());
        let (file, _) = CacheFile::open(disk.clone(), &model.identity(), 4, OpenOptions::default()).unwrap();
        let put = |content, record, replaces| {
            let data = Some(Bytes::from(bytes(model.geometry, content, None)));
            let change = Change::Put { block, record, mask: None, data, replaces };
            file.apply(&[change], true).unwrap()[0]
        };
        let old = put(1, BlockRecord::Dirty, None);
        let new = put(2, BlockRecord::Clean { etag: None }, old).unwrap();
        let before = disk.steps();
        disk.power_off_at(before + cut);
        let dropped = file.apply(&[Change::Drop { block, slot: new }], true);
        (model, disk, dropped.is_ok())
    };
    let mut seen = BTreeSet::new();
    for cut in 0..8 {
        for seed in 0..100 {
            let (model, disk, dropped) = story(cut);
            let disk = Arc::new(disk.crash(seed));
            let (_, loaded) = CacheFile::open(disk, &model.identity(), 4, OpenOptions::default()).unwrap();
            let record = loaded.blocks.first().map(|found| found.record);
            assert_ne!(record, Some(BlockRecord::Dirty), "cut {cut}, seed {seed}");
            assert!(!dropped || record.is_none(), "cut {cut}, seed {seed}");
            seen.insert((dropped, record.is_some()));
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(false, false), (false, true), (true, false)]);
}
