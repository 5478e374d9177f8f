//! A store that is slow, away, or full of errors.

use futures::FutureExt;
use s3b_engine::clock;
use s3b_engine::settings::CacheSize;
use s3b_engine::wrap::FaultRates;

use crate::rig::{Rig, life, secs};

#[test]
fn cached_blocks_and_writes_need_no_store() {
    let rig = Rig::new().filled();
    life(async {
        let open = rig.open().await;
        open.read(1).await;
        open.faults.set_outage(true);
        let start = clock::now();
        assert_eq!(open.read(1).await, 2);
        open.write(2, 9).await;
        open.volume.write(3 * crate::rig::BLOCK, vec![9; 512].into()).await.unwrap();
        assert_eq!(open.read(2).await, 9);
        assert_eq!(clock::now(), start);
    });
}

#[test]
fn failed_stores_are_repeated_for_ever() {
    let mut rig = Rig::new();
    // Patience of reads is not that of writes.
    rig.settings.retry.max_pause = Some(secs(0));
    life(async {
        let open = rig.open().await;
        open.write(0, 8).await;
        open.faults.set_outage(true);
        clock::sleep(secs(86_400)).await;
        assert_eq!(open.stack.stats().block_cache.dirty.get(), 1);
        let flush = open.volume.flush();
        tokio::pin!(flush);
        assert!(clock::timeout(secs(600), &mut flush).await.is_none(), "a flush waits for what may heal");
        open.faults.set_outage(false);
        flush.await.unwrap();
    });
    assert_eq!(rig.stored()[0], 8);
}

#[test]
fn uncached_reads_fail_after_the_longest_pause_or_wait_for_ever() {
    let mut rig = Rig::new().filled();
    rig.settings.retry.max_pause = Some(secs(20));
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        let start = clock::now();
        assert!(open.try_read(0).await.is_err());
        let waited = clock::now() - start;
        assert!(waited >= secs(20) && waited < secs(25), "{waited:?}");
    });
    rig.objects.remove("s3backer-mounted");
    rig.settings.retry.max_pause = None;
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        let read = open.read(0);
        tokio::pin!(read);
        assert!(clock::timeout(secs(86_400), &mut read).await.is_none());
        open.faults.set_outage(false);
        assert_eq!(read.await, 1);
    });
}

#[test]
fn writers_wait_at_the_dirty_limit() {
    let mut rig = Rig::new().filled();
    rig.settings.block_cache.max_dirty = 3;
    life(async {
        let open = rig.open().await;
        open.faults.set_outage(true);
        for block in 0..3 {
            open.write(block, 50).await;
        }
        open.write(1, 51).await;
        let fourth = open.write(3, 50);
        tokio::pin!(fourth);
        assert!(clock::timeout(secs(3600), &mut fourth).await.is_none());
        open.faults.set_outage(false);
        fourth.await;
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored()[..5], [50, 51, 50, 50, 5]);
}

/// The dirty limit is the writers' business: a reader only needs an entry.
#[test]
fn a_store_that_refuses_writes_can_still_be_read() {
    let mut rig = Rig::new().filled();
    rig.settings.block_cache.size = CacheSize::Blocks(3);
    rig.settings.block_cache.max_dirty = 1;
    life(async {
        let open = rig.open().await;
        open.faults.refuse_writes(Some(s3b_engine::error::ErrorKind::Denied));
        open.write(0, 50).await;
        assert!(open.volume.write(crate::rig::BLOCK, vec![1; 512].into()).now_or_never().is_none(), "at the limit");
        // More readers than entries, behind a writer who cannot go on.
        let writer = open.write(15, 1);
        tokio::pin!(writer);
        assert!((&mut writer).now_or_never().is_none());
        let readers = (1..8).map(|block| open.read(block));
        assert_eq!(futures::future::join_all(readers).await, (2..9).collect::<Vec<u8>>());
    });
}

#[test]
fn an_answer_that_got_lost_does_no_harm() {
    let rig = Rig::new();
    life(async {
        let open = rig.open().await;
        open.faults.set_rates(FaultRates { before: 0.2, after: 0.5, stale: 0.0 });
        for round in 1..10 {
            for block in 0..16 {
                open.write(block, round * 20 + block as u8).await;
            }
            open.volume.zero(crate::rig::BLOCK * u64::from(round), crate::rig::BLOCK).await.unwrap();
            open.volume.flush().await.unwrap();
        }
        open.faults.set_rates(FaultRates::default());
        open.stack.close().await.unwrap();
    });
    let expected: Vec<u8> = (0..16).map(|block| if block == 9 { 0 } else { 180 + block }).collect();
    assert_eq!(rig.stored(), expected);
}
