//! The cache file as its users see it: what comes back, what is refused, and with which words.

use super::*;
use crate::error::ErrorKind;
use crate::geometry::Geometry;
use std::path::Path;
use std::sync::Arc;

const SIZE: u32 = 4096;

fn identity(location: &str) -> Identity {
    let geometry = Geometry::new(u64::from(SIZE), 1 << 30).unwrap();
    Identity { location: location.into(), geometry, hashed_names: false, key_check: None }
}

fn try_open(disk: &Arc<MemoryDisk>, capacity: u32, accept_loss: bool) -> crate::error::Result<(CacheFile, Loaded)> {
    CacheFile::open(
        disk.clone(),
        &identity("bucket/disk1"),
        capacity,
        OpenOptions { accept_loss, ..OpenOptions::default() },
    )
}

fn open(disk: &Arc<MemoryDisk>, capacity: u32) -> (CacheFile, Loaded) {
    try_open(disk, capacity, false).unwrap()
}

fn put(block: u32, fill: u8, record: BlockRecord, replaces: Option<Slot>) -> Change {
    let data = Some(Bytes::from(vec![fill; SIZE as usize]));
    Change::Put { block: BlockNumber(block), record, mask: None, data, replaces }
}

const CLEAN: BlockRecord = BlockRecord::Clean { etag: Some(ETag([5; 16])) };
const DIRTY: BlockRecord = BlockRecord::Dirty;

fn put_one(file: &CacheFile, block: u32, fill: u8, record: BlockRecord, replaces: Option<Slot>) -> Slot {
    file.apply(&[put(block, fill, record, replaces)], true).unwrap()[0].unwrap()
}

fn read(file: &CacheFile, block: u32, slot: Slot) -> crate::error::Result<Vec<u8>> {
    let mut out = vec![0xee; SIZE as usize];
    file.read(BlockNumber(block), slot, &mut out).map(|()| out)
}

fn flip(disk: &MemoryDisk, at: u64) {
    let mut byte = [0];
    disk.read_at(at, &mut byte).unwrap();
    disk.write_at(at, &[byte[0] ^ 4]).unwrap();
}

#[test]
fn everything_applied_comes_back() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, loaded) = open(&disk, 8);
    assert_eq!((loaded.blocks.len(), loaded.token, loaded.notices.len()), (0, 0, 0));
    let mut mask = SectorMask::empty(SIZE);
    mask.insert(2..3);
    let batch = [
        put(7, 1, CLEAN, None),
        put(3, 2, DIRTY, None),
        Change::Put {
            block: BlockNumber(9),
            record: DIRTY,
            mask: Some(mask.clone()),
            data: Some(vec![3; 4096].into()),
            replaces: None,
        },
        Change::Put { block: BlockNumber(4), record: DIRTY, mask: None, data: None, replaces: None },
        put(8, 5, BlockRecord::Clean { etag: None }, None),
    ];
    file.apply(&batch, false).unwrap();
    file.set_token(77).unwrap();
    file.sync().unwrap();
    assert_eq!((file.token(), file.free_slots(), file.capacity()), (77, 3, 8));
    drop(file);

    let (file, loaded) = open(&Arc::new(disk.crash(1)), 8);
    assert_eq!((loaded.token, loaded.notices), (77, vec![]));
    let seen: Vec<_> = loaded.blocks.iter().map(|b| (b.block.0, b.record, b.mask.clone(), b.zero)).collect();
    let none = BlockRecord::Clean { etag: None };
    assert_eq!(
        seen,
        [
            (7, CLEAN, None, false),
            (3, DIRTY, None, false),
            (9, DIRTY, Some(mask), false),
            (4, DIRTY, None, true),
            (8, none, None, false)
        ]
    );
    let contents: Vec<_> = loaded.blocks.iter().map(|b| read(&file, b.block.0, b.slot).unwrap()).collect();
    let mut partly = vec![0; 4096];
    partly[1024..1536].fill(3);
    assert_eq!(contents, [vec![1; 4096], vec![2; 4096], partly, vec![0; 4096], vec![5; 4096]]);
}

#[test]
fn a_durable_batch_costs_two_syncs_and_without_data_one() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 20);
    let mut slots: Vec<_> = (0..10).map(|block| put_one(&file, block, 1, DIRTY, None)).collect();
    let syncs = |batch: &[Change]| {
        let before = disk.syncs();
        let slots = file.apply(batch, true).unwrap();
        (disk.syncs() - before, slots)
    };
    let all: Vec<_> = (0..10).map(|block| put(block, 2, DIRTY, Some(slots[block as usize]))).collect();
    let (count, new) = syncs(&all);
    assert_eq!(count, 2);
    slots = new.into_iter().flatten().collect();
    let clean = |block: u32| Change::Clean { block: BlockNumber(block), slot: slots[block as usize], etag: None };
    assert_eq!(syncs(&[clean(0), clean(1)]).0, 1);
    let zero = |block: u32, replaces| Change::Put {
        block: BlockNumber(block),
        record: DIRTY,
        mask: None,
        data: None,
        replaces,
    };
    assert_eq!(syncs(&[zero(12, None), zero(2, Some(slots[2]))]).0, 1);
    assert_eq!(syncs(&[]).0, 0);
    let steps = disk.steps();
    file.apply(&[zero(13, None)], false).unwrap();
    assert_eq!(disk.steps(), steps, "not durable, no data: only queued");
}

#[test]
fn capacity_is_kept_but_a_block_in_the_file_can_always_change() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 2);
    let first = put_one(&file, 1, 1, DIRTY, None);
    put_one(&file, 2, 1, CLEAN, None);
    assert_eq!(file.apply(&[put(3, 1, DIRTY, None)], true).unwrap(), [None]);
    assert_eq!(file.free_slots(), 0);
    let first = put_one(&file, 1, 2, DIRTY, Some(first));
    let slots =
        file.apply(&[Change::Drop { block: BlockNumber(1), slot: first }, put(3, 3, CLEAN, None)], true).unwrap();
    assert_eq!(read(&file, 3, slots[1].unwrap()).unwrap()[0], 3);
    let (_, loaded) = open(&disk, 2);
    assert_eq!(loaded.blocks.iter().map(|b| b.block.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn slots_never_run_out_without_any_durable_call() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 4);
    let mut slots = [None; 4];
    for round in 0..3000u32 {
        let block = round % 4;
        let at = &mut slots[block as usize];
        if round % 7 == 0
            && let Some(slot) = at.take()
        {
            file.apply(&[Change::Drop { block: BlockNumber(block), slot }], false).unwrap();
        } else {
            *at = file.apply(&[put(block, round as u8, DIRTY, *at)], false).unwrap()[0];
            assert_eq!(read(&file, block, at.unwrap()).unwrap()[0], round as u8);
        }
    }
    assert!(disk.syncs() < 100, "{} syncs: slots of queued changes are reused at once", disk.syncs());
}

#[test]
fn a_smaller_capacity_drops_clean_blocks_and_keeps_dirty_ones() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 2000);
    for block in 0..1500u32 {
        let record = if block % 100 == 99 { DIRTY } else { CLEAN };
        file.apply(&[put(block, block as u8, record, None)], false).unwrap();
    }
    file.sync().unwrap();
    file.set_token(9).unwrap();
    drop(file);
    let long = disk.len().unwrap();

    let (file, loaded) = open(&disk, 10);
    assert_eq!(loaded.token, 9, "also after a changed capacity");
    assert_eq!(
        loaded.blocks.iter().map(|b| b.block.0).collect::<Vec<_>>(),
        (0..15).map(|i| i * 100 + 99).collect::<Vec<_>>()
    );
    assert!(loaded.notices[0].contains("1485 clean blocks dropped"), "{:?}", loaded.notices);
    assert!(loaded.notices[1].contains("holds 15 dirty blocks"), "{:?}", loaded.notices);
    for b in &loaded.blocks {
        assert_eq!(read(&file, b.block.0, b.slot).unwrap()[0], b.block.0 as u8);
    }
    let change = put(loaded.blocks[14].block.0, 3, DIRTY, Some(loaded.blocks[14].slot));
    assert!(file.apply(&[change], true).unwrap()[0].is_some(), "changes even above the capacity");
    assert_eq!(file.apply(&[put(1, 1, CLEAN, None)], true).unwrap(), [None]);
    for b in &loaded.blocks[..14] {
        file.apply(&[Change::Clean { block: b.block, slot: b.slot, etag: None }], false).unwrap();
    }
    file.sync().unwrap();
    drop(file);
    let (file, loaded) = open(&disk, 10);
    assert_eq!(loaded.blocks.len(), 1, "stored blocks in slots above the capacity go");
    assert!(disk.len().unwrap() < long / 4, "the room is given back");
    drop(file);
    let (file, loaded) = open(&disk, 3000);
    assert_eq!((loaded.blocks.len(), loaded.notices.len()), (1, 0));
    for block in 2000..4000 {
        file.apply(&[put(block, 1, CLEAN, None)], false).unwrap();
    }
    assert_eq!(file.free_slots(), 999);
}

#[test]
fn a_full_disk_is_an_error_that_changes_nothing() {
    let disk = Arc::new(MemoryDisk::new());
    disk.set_full(true);
    assert_eq!(try_open(&disk, 8, false).err().unwrap().kind(), ErrorKind::NoSpace);
    disk.set_full(false);
    let (file, _) = open(&disk, 8);
    disk.set_full(true);
    assert_eq!(file.apply(&[put(1, 1, DIRTY, None)], true).unwrap_err().kind(), ErrorKind::NoSpace);
    disk.set_full(false);
    let first = put_one(&file, 1, 1, DIRTY, None);
    disk.set_full(true);
    let error = file.apply(&[put(1, 2, DIRTY, Some(first)), put(2, 2, DIRTY, None)], true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(error.message().contains("(memory)") && error.message().contains("make room"), "{error}");
    assert!(!file.is_failed());
    assert_eq!((read(&file, 1, first).unwrap()[0], file.free_slots()), (1, 7));
    // What needs no room goes on.
    file.apply(&[Change::Clean { block: BlockNumber(1), slot: first, etag: None }], true).unwrap();
    file.set_token(3).unwrap();
    let (_, loaded) = open(&Arc::new(disk.crash(5)), 8);
    assert_eq!((loaded.blocks.len(), loaded.blocks[0].record), (1, BlockRecord::Clean { etag: None }));
    disk.set_full(false);
    assert_ne!(put_one(&file, 1, 2, DIRTY, Some(first)), first);
}

#[test]
fn after_a_failed_sync_the_file_is_only_read() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 8);
    let slot = put_one(&file, 1, 1, DIRTY, None);
    disk.power_off_at(disk.steps() + 1);
    assert!(file.apply(&[put(1, 2, DIRTY, Some(slot))], true).is_err());
    disk.power_off_at(u64::MAX);
    assert!(file.is_failed());
    let error = file.apply(&[put(2, 2, DIRTY, None)], false).unwrap_err();
    assert!(error.message().contains("no longer written"), "{error}");
    assert!(file.sync().is_err() && file.set_token(1).is_err());
    assert_eq!(read(&file, 1, slot).unwrap()[0], 1);
}

#[test]
fn a_batch_that_makes_no_sense_is_refused_whole() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 8);
    let slot = put_one(&file, 1, 1, DIRTY, None);
    let mut mask = SectorMask::empty(SIZE);
    mask.insert(0..1);
    let data = Some(Bytes::from(vec![0; 4096]));
    let partial = Change::Put { block: BlockNumber(2), record: DIRTY, mask: Some(mask), data, replaces: None };
    let incomplete = file.apply(&[partial], true).unwrap()[0].unwrap();
    let short = Some(Bytes::from_static(b"short"));
    for bad in [
        Change::Drop { block: BlockNumber(5), slot },
        Change::Clean { block: BlockNumber(1), slot: Slot(4000), etag: None },
        Change::Clean { block: BlockNumber(2), slot: incomplete, etag: None },
        put(1, 2, DIRTY, Some(incomplete)),
        Change::Put { block: BlockNumber(7), record: DIRTY, mask: None, data: short, replaces: None },
        put(6, 1, DIRTY, None),
    ] {
        let steps = disk.steps();
        assert_eq!(file.apply(&[put(6, 1, DIRTY, None), bad], true).unwrap_err().kind(), ErrorKind::Failed);
        assert_eq!((disk.steps(), file.free_slots(), file.is_failed()), (steps, 6, false));
    }
    let many: Vec<_> = (0..=file.max_batch() as u32).map(|block| put(block + 10, 1, CLEAN, None)).collect();
    assert!(file.apply(&many, true).is_err());
}

#[test]
fn a_slot_that_lost_its_block_is_never_read_for_it() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 2);
    let slot = put_one(&file, 1, 1, CLEAN, None);
    file.apply(&[Change::Drop { block: BlockNumber(1), slot }], true).unwrap();
    assert_eq!(read(&file, 1, slot).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(read(&file, 1, Slot(99_999)).unwrap_err().kind(), ErrorKind::Stale);
    let reused = put_one(&file, 2, 2, CLEAN, None);
    assert_eq!(reused, slot);
    assert_eq!(read(&file, 1, slot).unwrap_err().kind(), ErrorKind::Stale);
}

#[test]
fn damaged_data_of_a_clean_block_show_when_read() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 8);
    let slot = put_one(&file, 0x2a, 1, CLEAN, None);
    flip(&disk, format::Layout::new(SIZE).data_at(slot.0) + 100);
    drop(file);
    let (file, loaded) = open(&disk, 8);
    assert_eq!(loaded.blocks.len(), 1);
    let error = read(&file, 0x2a, slot).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("block 0000002a") && error.message().contains("(memory)"), "{error}");
}

/// A file with dirty block 1 and clean block 2; `damage` gets their slots. It must be refused with `message`, and with
/// `--force` opened without what is lost.
fn refused(message: &str, left: &[u32], damage: impl Fn(&MemoryDisk, &format::Layout, Slot, Slot)) {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 8);
    let (dirty, clean) = (put_one(&file, 1, 1, DIRTY, None), put_one(&file, 2, 2, CLEAN, None));
    drop(file);
    damage(&disk, &format::Layout::new(SIZE), dirty, clean);
    for _ in 0..2 {
        let error = try_open(&disk, 8, false).err().expect(message);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains(message) && error.message().contains("--force"), "{error}");
    }
    let (file, loaded) = try_open(&disk, 8, true).unwrap();
    assert!(loaded.notices.iter().any(|notice| notice.contains(message)), "{:?}", loaded.notices);
    assert_eq!(loaded.blocks.iter().map(|b| b.block.0).collect::<Vec<_>>(), left);
    let still = put_one(&file, 3, 9, DIRTY, None);
    assert_eq!(read(&file, 3, still).unwrap()[0], 9);
    drop(file);
    assert_eq!(open(&disk, 8).1.notices, Vec::<String>::new(), "mended");
}

#[test]
fn lost_dirty_data_are_refused_unless_forced() {
    refused("the data of 1 dirty blocks are damaged: 00000001", &[2], |disk, layout, dirty, _| {
        flip(disk, layout.data_at(dirty.0) + 4000);
    });
    refused("1 damaged records", &[2], |disk, layout, dirty, _| flip(disk, layout.record_at(dirty.0) + 20));
    refused("1 damaged records", &[1], |disk, layout, _, clean| flip(disk, layout.record_at(clean.0)));
    refused("truncated to", &[2], |disk, layout, dirty, _| disk.set_len(layout.data_at(dirty.0) + 10).unwrap());
    refused("truncated to", &[], |disk, layout, _, _| disk.set_len(layout.segment_at(0)).unwrap());
    refused("mount token and length are destroyed", &[1, 2], |disk, _, _, _| {
        flip(disk, format::STATE_AT[0] + 20);
        flip(disk, format::STATE_AT[1] + 20);
    });
}

#[test]
fn damaged_records_of_clean_blocks_are_dropped_with_a_notice() {
    let disk = Arc::new(MemoryDisk::new());
    let (file, _) = open(&disk, 8);
    let slot = put_one(&file, 1, 1, CLEAN, None);
    drop(file);
    flip(&disk, format::Layout::new(SIZE).record_at(slot.0) + 30);
    let (_, loaded) = open(&disk, 8);
    assert!(loaded.notices[0].contains("1 damaged records of clean blocks dropped"), "{:?}", loaded.notices);
    assert!(loaded.blocks.is_empty());
}

#[test]
fn one_rotten_state_does_not_matter() {
    for place in format::STATE_AT {
        let disk = Arc::new(MemoryDisk::new());
        let (file, _) = open(&disk, 8);
        file.set_token(5).unwrap();
        put_one(&file, 1, 1, DIRTY, None);
        flip(&disk, place + 24);
        let (_, loaded) = open(&disk, 8);
        assert_eq!((loaded.token, loaded.blocks.len()), (5, 1));
    }
}

#[test]
fn a_creation_cut_short_is_simply_repeated_but_zeros_are_no_new_file() {
    let disk = Arc::new(MemoryDisk::new());
    drop(open(&disk, 8));
    let steps = disk.steps();
    for cut in 0..steps {
        for seed in 0..20 {
            let disk = Arc::new(MemoryDisk::new());
            disk.power_off_at(cut);
            assert!(try_open(&disk, 8, false).is_err());
            let (_, loaded) = open(&Arc::new(disk.crash(seed)), 8);
            assert!(loaded.blocks.is_empty() && loaded.notices.is_empty());
        }
    }
    let (file, _) = open(&disk, 8);
    put_one(&file, 1, 1, DIRTY, None);
    disk.write_at(0, &[0; 512]).unwrap();
    let error = try_open(&disk, 8, true).err().unwrap();
    assert!(error.message().contains("first bytes are destroyed"), "{error}");
}

#[test]
fn files_of_others_are_left_untouched() {
    let disk = Arc::new(MemoryDisk::new());
    drop(open(&disk, 8));
    let steps = disk.steps();
    let error = CacheFile::open(
        disk.clone(),
        &identity("bucket/disk2"),
        8,
        OpenOptions { accept_loss: true, ..OpenOptions::default() },
    )
    .err()
    .unwrap();
    assert!(error.message().contains("bucket/disk1") && error.message().contains("bucket/disk2"), "{error}");
    assert_eq!(disk.steps(), steps);
    for foreign in
        [&[0x7b, 0xf1, 0x96, 0xe4, 0x40, 0, 0, 0][..], &[0xe4, 0x96, 0xf1, 0x7b], b"my only copy of something"]
    {
        let disk = Arc::new(MemoryDisk::new());
        disk.write_at(0, foreign).unwrap();
        assert_eq!(try_open(&disk, 8, true).err().unwrap().kind(), ErrorKind::Config);
        assert_eq!(disk.steps(), 1);
    }
}

#[test]
fn it_works_in_a_real_file() {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("cache");
    let disk = || Arc::new(FileDisk::open(path, true).unwrap());
    let (file, _) = CacheFile::open(disk(), &identity("a"), 100, OpenOptions::default()).unwrap();
    let slot = put_one(&file, 1, 8, DIRTY, None);
    drop(file);
    let (file, loaded) = CacheFile::open(disk(), &identity("a"), 100, OpenOptions::default()).unwrap();
    assert_eq!((loaded.blocks[0].slot, read(&file, 1, slot).unwrap()), (slot, vec![8; 4096]));
}
