//! What flush, close and a crash mean.

use s3b_engine::clock;
use s3b_engine::error::ErrorKind;
use s3b_engine::settings::Durability;

use crate::rig::{Rig, life, secs};

#[test]
fn a_flushed_write_is_in_the_bucket() {
    let rig = Rig::new();
    life(async {
        let open = rig.open().await;
        open.write(2, 7).await;
        open.volume.flush().await.unwrap();
        // No close: the process dies here.
    });
    assert_eq!(rig.stored()[2], 7);
}

#[test]
fn a_writer_without_pause_cannot_hold_up_a_flush() {
    let rig = Rig::new();
    life(async {
        let open = rig.open().await;
        open.write(0, 1).await;
        let puts = open.counts.puts.get();
        let writer = async {
            for byte in 0.. {
                open.write(0, byte as u8 | 1).await;
                clock::sleep(secs(1) / 1000).await;
            }
        };
        tokio::select! {
            biased;
            flushed = open.volume.flush() => flushed.unwrap(),
            () = writer => {}
        }
        assert!(open.counts.puts.get() - puts <= 2, "{} stores", open.counts.puts.get() - puts);
    });
}

#[test]
fn flushes_at_once_share_their_stores() {
    life(async {
        let open = Rig::new().open().await;
        for block in 0..4 {
            open.write(block, 1).await;
        }
        let puts = open.counts.puts.get();
        let flushes = futures::join!(open.volume.flush(), open.volume.flush(), open.volume.flush());
        assert!(flushes.0.is_ok() && flushes.1.is_ok() && flushes.2.is_ok());
        assert_eq!(open.counts.puts.get(), puts + 4);
    });
}

#[test]
fn a_flush_reports_a_store_that_refuses_and_so_does_the_next() {
    let rig = Rig::new();
    life(async {
        let open = rig.open().await;
        open.faults.refuse_writes(Some(ErrorKind::Denied));
        open.write(1, 5).await;
        for _ in 0..2 {
            assert_eq!(open.volume.flush().await.unwrap_err().kind(), ErrorKind::Denied);
        }
        assert_eq!(open.read(1).await, 5, "nothing is dropped");
        open.faults.refuse_writes(None);
        open.volume.flush().await.unwrap();
    });
    assert_eq!(rig.stored()[1], 5);
}

#[test]
fn sync_mode_stores_before_a_write_returns() {
    let mut rig = Rig::new();
    rig.settings.block_cache.sync = true;
    life(async {
        let open = rig.open().await;
        assert_eq!(open.volume.try_write(0, &[1; 512]).unwrap(), 0);
        open.write(1, 6).await;
    });
    assert_eq!(rig.stored()[1], 6);
}

#[test]
fn close_stores_everything_however_long_it_takes() {
    let rig = Rig::new();
    life(async {
        let open = rig.open().await;
        for block in 0..10 {
            open.write(block, 3).await;
        }
        open.faults.set_outage(true);
        let heal = async {
            clock::sleep(secs(3600)).await;
            open.faults.set_outage(false);
        };
        let start = clock::now();
        futures::join!(open.stack.close(), heal).0.unwrap();
        assert!(clock::now() - start >= secs(3600));
    });
    assert_eq!(rig.stored()[..11], [vec![3; 10], vec![0]].concat());
}

#[test]
fn with_durability_none_a_flush_promises_nothing() {
    let mut rig = Rig::new();
    rig.settings.durability = Durability::None;
    life(async {
        let open = rig.open().await;
        open.write(0, 4).await;
        let start = clock::now();
        open.volume.flush().await.unwrap();
        assert_eq!(clock::now(), start);
    });
    assert_eq!(rig.stored()[0], 0);
    rig.crash(false);
    life(async {
        let open = rig.open().await;
        open.write(0, 4).await;
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored()[0], 4, "a close stores all the same");
}

#[test]
fn with_durability_journal_a_flush_needs_no_store() {
    for power_failed in [false, true] {
        let mut rig = Rig::with_file();
        rig.settings.durability = Durability::Journal;
        life(async {
            let open = rig.open().await;
            open.faults.set_outage(true);
            for block in 0..5 {
                open.write(block, 10 + block as u8).await;
            }
            // Time for the changes to be on their way to the file before they are asked for.
            clock::sleep(secs(11)).await;
            open.volume.write(2 * crate::rig::BLOCK, vec![99; 512].into()).await.unwrap();
            let start = clock::now();
            open.volume.flush().await.unwrap();
            assert_eq!(clock::now(), start);
        });
        rig.crash(power_failed);
        assert_eq!(rig.stored()[0], 0);
        life(async {
            let open = rig.open().await;
            assert_eq!(open.volume.read(2 * crate::rig::BLOCK, 513).await.unwrap(), [vec![99; 512], vec![12]].concat());
            open.stack.close().await.unwrap();
        });
        assert_eq!(rig.stored()[..6], [10, 11, 99, 13, 14, 0]);
    }
}
