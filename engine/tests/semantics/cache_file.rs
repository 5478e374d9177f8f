//! The cache file: restarts, crashes, and what goes wrong with it.

use s3b_engine::block_cache::disk::CacheDisk;
use s3b_engine::clock;
use s3b_engine::error::ErrorKind;
use s3b_engine::settings::{CacheSize, Durability};

use crate::rig::{BLOCK, Rig, life, secs};

#[test]
fn the_cache_survives_a_restart_and_is_verified() {
    let rig = Rig::with_file().filled();
    rig.objects.insert("00000005", Default::default(), vec![99; BLOCK as usize]);
    life(async {
        let open = rig.open().await;
        let bytes = open.counts.get_bytes.get();
        assert_eq!(open.read(4).await, 5);
        assert_eq!(open.counts.get_bytes.get(), bytes, "a verified block is not transferred");
        assert_eq!(open.read(5).await, 99, "what changed meanwhile is");
        assert_eq!(open.counts.get_bytes.get(), bytes + BLOCK);
        let stats = open.stack.stats();
        assert_eq!((stats.block_cache.verified.get(), stats.block_cache.mismatch.get()), (1, 1));
        let gets = open.counts.gets.get();
        open.read(4).await;
        assert_eq!(open.counts.gets.get(), gets, "once is enough");
        open.stack.close().await.unwrap();
    });
}

#[test]
fn without_verification_nobody_is_asked() {
    let mut rig = Rig::with_file().filled();
    rig.settings.block_cache.no_verify = true;
    life(async {
        let open = rig.open().await;
        let gets = open.counts.gets.get();
        for block in 0..16 {
            assert_eq!(open.read(block).await, block as u8 + 1);
        }
        assert_eq!(open.counts.gets.get(), gets);
        open.stack.close().await.unwrap();
    });
}

#[test]
fn a_write_to_a_restored_block_does_not_wait_for_its_verification() {
    let rig = Rig::with_file().filled();
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        let (read, written) = futures::join!(open.try_read(4), open.volume.write(4 * BLOCK, vec![44; 512].into()));
        assert!(read.is_err());
        written.unwrap();
        open.faults.set_outage(false);
        assert_eq!(open.volume.read(4 * BLOCK + 511, 2).await.unwrap(), vec![44, 5]);
        open.stack.close().await.unwrap();
    });
}

/// A rig whose crash left block 3 dirty in the cache file.
fn crashed() -> Rig {
    let mut rig = Rig::with_file().filled();
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        open.write(3, 33).await;
        clock::sleep(secs(60)).await;
    });
    rig.crash(false);
    rig
}

#[test]
fn unstored_blocks_of_a_crash_are_refused_until_somebody_decides() {
    let mut rig = crashed();
    let error = life(async { rig.try_open().await.err().unwrap() });
    assert!(error.message().contains("--block-cache-recover-dirty-blocks"), "{error}");
    rig.settings.block_cache.recover_dirty = true;
    life(async {
        let open = rig.open().await;
        assert_eq!(open.read(3).await, 33);
        open.volume.flush().await.unwrap();
    });
    assert_eq!(rig.stored()[3], 33);
}

#[test]
fn given_up_blocks_do_not_come_back() {
    let mut rig = crashed();
    rig.settings.volume.force = true;
    life(async {
        let open = rig.open().await;
        assert_eq!(open.read(3).await, 4);
        open.write(3, 55).await;
        open.volume.flush().await.unwrap();
        // It leaves the cache, so the file no longer has a newer version of it.
        for block in 0..16 {
            open.read(block).await;
        }
    });
    rig.settings.volume.force = false;
    rig.settings.block_cache.recover_dirty = true;
    rig.crash(true);
    life(async {
        let open = rig.open().await;
        assert_eq!(open.read(3).await, 55);
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored()[3], 55);
}

#[test]
fn a_read_only_mount_shows_unstored_blocks_and_stores_none() {
    let mut rig = crashed();
    let before = rig.objects.objects();
    rig.settings.volume.read_only = true;
    rig.settings.block_cache.size = CacheSize::Blocks(1);
    life(async {
        let open = rig.open().await;
        for block in 0..16 {
            assert_eq!(open.read(block).await, if block == 3 { 33 } else { block as u8 + 1 });
        }
        clock::sleep(secs(60)).await;
        open.volume.flush().await.unwrap();
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.objects.objects(), before);
    rig.settings.volume.read_only = false;
    rig.settings.block_cache.recover_dirty = true;
    life(async { rig.open().await.stack.close().await.unwrap() });
    assert_eq!(rig.stored()[3], 33, "still there for a mount that may store it");

    // Nor does it give away the lock that a dead mount holds for them.
    let mut rig = Rig::with_file().filled();
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        open.write(3, 33).await;
        clock::sleep(secs(60)).await;
    });
    rig.settings.volume.read_only = true;
    life(async { rig.open().await.stack.close().await.unwrap() });
    rig.settings.volume.read_only = false;
    rig.settings.block_cache.recover_dirty = true;
    life(async { rig.open().await.stack.close().await.unwrap() });
    assert_eq!(rig.stored()[3], 33);
}

#[test]
fn after_a_close_nothing_is_left_to_recover() {
    let rig = Rig::with_file();
    life(async {
        let open = rig.open().await;
        for round in 0..5 {
            for block in 0..16 {
                open.write(block, round).await;
                clock::sleep(secs(1)).await;
            }
        }
        open.stack.close().await.unwrap();
    });
    life(async { rig.open().await.stack.close().await.unwrap() });
}

#[test]
fn a_cache_file_belongs_to_one_volume() {
    let mut rig = Rig::with_file().filled();
    let mut other = Rig::new();
    other.settings.block_cache.file = rig.settings.block_cache.file.clone();
    other.disk = rig.disk.clone();
    other.settings.volume.prefix = "other/".into();
    let error = life(async { other.try_open().await.err().unwrap() });
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    rig.settings.block_cache.size = CacheSize::Blocks(4);
    life(async { rig.open().await.stack.close().await.unwrap() });
}

#[test]
fn a_full_disk_is_bypassed() {
    for durability in [Durability::Store, Durability::Journal] {
        let mut rig = Rig::with_file();
        rig.settings.durability = durability;
        rig.settings.block_cache.memory = CacheSize::Blocks(4);
        life(async {
            let open = rig.open().await;
            rig.disk.as_ref().unwrap().set_full(true);
            for round in 1..4 {
                for block in 0..16 {
                    open.write(block, round * 16 + block as u8).await;
                    assert_eq!(open.read(block).await, round * 16 + block as u8);
                }
                open.volume.flush().await.unwrap();
            }
            for block in 0..16 {
                assert_eq!(open.read(block).await, 48 + block as u8);
            }
        });
        assert_eq!(rig.stored(), (48..64).collect::<Vec<u8>>(), "what a flush answered for is in the store then");
    }
}

/// After the file went out of use its records are those of an older time.
#[test]
fn a_file_that_filled_up_brings_nothing_old_back() {
    let mut rig = Rig::with_file();
    rig.settings.block_cache.recover_dirty = true;
    life(async {
        let open = rig.open().await;
        open.write(0, 1).await;
        // Block 0 is dirty in the file, and is stored when the disk is full.
        open.faults.set_outage(true);
        clock::sleep(secs(30)).await;
        rig.disk.as_ref().unwrap().set_full(true);
        for block in 0..16 {
            open.write(block, 2).await;
        }
        open.faults.set_outage(false);
        open.volume.flush().await.unwrap();
    });
    rig.disk.as_ref().unwrap().set_full(false);
    rig.crash(false);
    life(async {
        let open = rig.open().await;
        assert_eq!(open.read(0).await, 2);
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored(), vec![2; 16]);
}

#[test]
fn a_damaged_copy_of_a_stored_block_is_fetched_again() {
    let mut rig = Rig::with_file().filled();
    rig.settings.block_cache.no_verify = true;
    let disk = rig.disk.clone().unwrap();
    for block in [7, 8] {
        let copy = (0..disk.len().unwrap() - BLOCK).step_by(512).find(|at| {
            let mut bytes = vec![0; BLOCK as usize];
            disk.read_at(*at, &mut bytes).unwrap();
            bytes == vec![block; BLOCK as usize]
        });
        disk.write_at(copy.unwrap() + 100, &[0]).unwrap();
    }
    life(async {
        let open = rig.open().await;
        assert_eq!(open.read(6).await, 7);
        // Under sectors written since, too: for a reader, and for the store.
        open.volume.write(7 * BLOCK, vec![70; 512].into()).await.unwrap();
        open.volume.flush().await.unwrap();
        assert_eq!(open.volume.read(7 * BLOCK + 511, 2).await.unwrap(), vec![70, 8]);
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored(), (1..=16).map(|byte| if byte == 8 { 70 } else { byte }).collect::<Vec<u8>>());
}
