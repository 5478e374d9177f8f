//! Reads, writes, discards, and which blocks stay in the cache.

use s3b_engine::clock;
use s3b_engine::wrap::FaultRates;

use crate::rig::{BLOCK, BLOCKS, Open, Rig, life, secs};

#[test]
fn a_read_sees_every_write_that_returned_before_it() {
    life(async {
        let open = Rig::new().open().await;
        open.write(3, 1).await;
        open.volume.write(3 * BLOCK + 100, vec![2; 50].into()).await.unwrap();
        let bytes = open.volume.read(3 * BLOCK, 200).await.unwrap();
        assert_eq!(bytes, [vec![1; 100], vec![2; 50], vec![1; 50]].concat());
        open.volume.zero(3 * BLOCK + 120, 10).await.unwrap();
        assert_eq!(open.volume.read(3 * BLOCK + 119, 12).await.unwrap(), [vec![2], vec![0; 10], vec![2]].concat());
        assert!(open.volume.read(BLOCK * BLOCKS - 1, 2).await.is_err(), "past the end");
        assert!(open.volume.write(BLOCK * BLOCKS, vec![0].into()).await.is_err());
    });
}

#[test]
fn a_write_returns_before_it_is_stored() {
    life(async {
        let open = Rig::new().open().await;
        let puts = open.counts.puts.get();
        let start = clock::now();
        open.write(0, 1).await;
        assert_eq!((open.counts.puts.get(), clock::now() - start), (puts, secs(0)));
        clock::sleep(secs(11)).await;
        assert_eq!(open.counts.puts.get(), puts + 1, "stored after the write delay");
    });
}

#[test]
fn a_partial_write_reads_nothing() {
    let rig = Rig::new().filled();
    life(async {
        let open = rig.open().await;
        let gets = open.counts.gets.get();
        open.volume.write(5 * BLOCK + 512, vec![9; 1024].into()).await.unwrap();
        assert_eq!(open.volume.read(5 * BLOCK + 512, 1024).await.unwrap(), vec![9; 1024]);
        assert_eq!(open.counts.gets.get(), gets);
        // The rest is fetched when it is needed: by a reader, or to store the block.
        open.volume.flush().await.unwrap();
        assert_eq!(open.counts.gets.get(), gets + 1);
        assert_eq!(open.volume.read(5 * BLOCK + 511, 2).await.unwrap(), vec![6, 9]);
        assert_eq!(open.counts.gets.get(), gets + 1);
        open.stack.close().await.unwrap();
    });
}

#[test]
fn blocks_known_to_be_zero_are_never_fetched() {
    life(async {
        let open = Rig::new().open().await;
        let requests = open.counts.requests();
        assert_eq!(open.volume.read(0, (BLOCK * BLOCKS) as usize).await.unwrap(), vec![0; (BLOCK * BLOCKS) as usize]);
        open.volume.zero(0, BLOCK * BLOCKS).await.unwrap();
        open.volume.flush().await.unwrap();
        assert_eq!(open.counts.requests(), requests, "nothing to read, nothing to delete");
    });
}

#[test]
fn a_discard_deletes_objects_in_batches() {
    let rig = Rig::new().filled();
    let objects = rig.objects.keys().len() as u64;
    life(async {
        let open = rig.open().await;
        let bulk = open.counts.bulk_deletes.get();
        open.volume.zero(0, BLOCK * 10).await.unwrap();
        assert_eq!(open.read(9).await, 0);
        open.volume.flush().await.unwrap();
        assert_eq!(open.counts.bulk_deletes.get(), bulk + 1);
        assert_eq!(open.counts.deletes.get(), 0);
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.objects.keys().len() as u64, objects - 10);
    assert_eq!(rig.stored(), [vec![0; 10], (11..=16).collect()].concat());
}

#[test]
fn the_least_recently_used_block_leaves_first_and_protected_ones_last() {
    let mut rig = Rig::new().filled();
    rig.settings.block_cache.size = s3b_engine::settings::CacheSize::Blocks(3);
    rig.settings.block_cache.protected = 1;
    life(async {
        let open = rig.open().await;
        for block in [0, 4, 5, 4, 6] {
            assert_eq!(open.read(block).await, block as u8 + 1);
        }
        assert_eq!([0, 4, 5, 6].map(|block| open.is_cached(block)), [true, true, false, true]);
    });
}

#[test]
fn unused_blocks_leave_after_the_timeout() {
    let mut rig = Rig::new().filled();
    rig.settings.block_cache.timeout = secs(60);
    life(async {
        let open = rig.open().await;
        open.read(1).await;
        open.read(2).await;
        clock::sleep(secs(50)).await;
        open.read(2).await;
        clock::sleep(secs(20)).await;
        assert_eq!([1, 2].map(|block| open.is_cached(block)), [false, true]);
    });
}

#[test]
fn preload_fills_the_cache() {
    let mut rig = Rig::new().filled();
    rig.settings.block_cache.size = s3b_engine::settings::CacheSize::Blocks(5);
    life(async {
        let open = rig.open().await;
        assert_eq!(open.volume.preload().await.unwrap(), 5);
        let gets = open.counts.gets.get();
        for block in 0..5 {
            assert!(open.is_cached(block));
        }
        assert_eq!(open.counts.gets.get(), gets);
    });
}

#[test]
fn a_stale_answer_is_asked_for_again() {
    let mut rig = Rig::new();
    rig.settings.md5_cache.size = BLOCKS as u32;
    rig.settings.block_cache.size = s3b_engine::settings::CacheSize::Blocks(1);
    rig.settings.retry.max_pause = None;
    life(async {
        let open: Open = rig.open().await;
        open.faults.set_rates(FaultRates { stale: 0.5, ..FaultRates::default() });
        for round in 1..20 {
            open.write(0, round).await;
            open.write(1, round + 100).await;
            open.volume.flush().await.unwrap();
            assert_eq!((open.read(0).await, open.read(1).await), (round, round + 100));
        }
        assert!(open.stack.stats().http.stale.get() > 0, "nothing was stale");
    });
}

#[test]
fn a_damaged_block_fails_alone_and_an_overwrite_heals_it() {
    let rig = Rig::new().filled();
    rig.objects.insert("00000003", Default::default(), vec![1; 10]);
    life(async {
        let open = rig.open().await;
        assert!(open.try_read(3).await.is_err());
        assert_eq!(open.read(4).await, 5);
        // Its rest cannot be fetched, so it cannot be stored; what was written is kept and readable.
        open.volume.write(3 * BLOCK, vec![7; 512].into()).await.unwrap();
        for _ in 0..2 {
            let error = open.volume.flush().await.unwrap_err();
            assert!(error.message().contains("00000003"), "{error}");
        }
        assert_eq!(open.volume.read(3 * BLOCK, 512).await.unwrap(), vec![7; 512]);
        assert!(open.try_read(3).await.is_err());
        open.write(3, 8).await;
        open.volume.flush().await.unwrap();
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored()[2..5], [3, 8, 5]);
}
