//! `--offline`: mounted from the cache file, joined to the store when that answers again.

use std::time::Duration;

use s3b_engine::clock;
use s3b_engine::error::ErrorKind;
use s3b_engine::memory::Memory;
use s3b_engine::settings::{CacheSize, CipherName, Durability};
use s3b_engine::wrap::FaultRates;

use crate::rig::{BLOCK, BLOCKS, Open, Rig, life, secs};

const TOKEN: &str = "s3backer-mounted";

/// A volume whose last 8 blocks are in the cache file, about to be mounted offline.
fn offline() -> Rig {
    let mut rig = Rig::with_file();
    rig.settings.block_cache.size = CacheSize::Blocks(8);
    rig = rig.filled();
    rig.settings.block_cache.offline = true;
    rig.settings.retry.max_pause = Some(secs(20));
    rig.away = true;
    rig
}

fn has_token(objects: &Memory) -> bool {
    objects.object(TOKEN).is_some()
}

/// What [`Rig::filled`] wrote, but for some blocks.
fn but(changed: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (1..=BLOCKS as u8).collect();
    changed.iter().for_each(|(block, byte)| bytes[*block] = *byte);
    bytes
}

fn empty(objects: &Memory) {
    objects.keys().iter().for_each(|key| assert!(objects.remove(key)));
}

/// Without any request of a user.
async fn joins(open: &Open) {
    open.faults.set_outage(false);
    clock::sleep(secs(60)).await;
}

#[test]
fn an_offline_mount_needs_its_cache_file_only() {
    let rig = offline();
    let before = rig.objects.objects();
    life(async {
        let open = rig.open().await;
        let start = clock::now();
        assert_eq!(open.read(15).await, 16);
        open.write(14, 50).await;
        open.volume.write(BLOCK, vec![51; 512].into()).await.unwrap();
        open.volume.zero(13 * BLOCK, BLOCK).await.unwrap();
        assert_eq!((open.read(14).await, open.read(13).await), (50, 0));
        assert_eq!(open.volume.read(BLOCK, 512).await.unwrap(), vec![51; 512]);
        assert_eq!(clock::now(), start);
        for block in [0, 1] {
            let start = clock::now();
            assert!(open.try_read(block).await.unwrap_err().is_transient());
            let waited = clock::now() - start;
            // It may share the rest of an attempt that the background began.
            assert!(waited > secs(0) && waited < secs(25), "{waited:?}");
        }
    });
    assert_eq!(rig.objects.objects(), before);
}

#[test]
fn offline_a_flush_waits_for_the_store_or_is_in_the_journal() {
    for durability in [Durability::Store, Durability::Journal] {
        let mut rig = offline();
        rig.settings.durability = durability;
        life(async {
            let open = rig.open().await;
            let start = clock::now();
            open.volume.flush().await.unwrap();
            assert_eq!(clock::now(), start, "nothing to store");
            open.write(3, 33).await;
            let flush = open.volume.flush();
            tokio::pin!(flush);
            if durability == Durability::Journal {
                flush.await.unwrap();
                assert_eq!(clock::now(), start);
                joins(&open).await;
            } else {
                assert!(clock::timeout(secs(3600), &mut flush).await.is_none());
                open.faults.set_outage(false);
                flush.await.unwrap();
            }
        });
        assert_eq!(rig.stored(), but(&[(3, 33)]));
    }
}

#[test]
fn a_crash_offline_loses_nothing_that_was_flushed_to_the_journal() {
    let mut rig = offline();
    rig.settings.durability = Durability::Journal;
    for (life_number, power_failed) in [(1, false), (2, true), (3, true)] {
        life(async {
            let open = rig.open().await;
            for block in 0..life_number - 1 {
                assert_eq!(open.read(block).await, 50 + block as u8, "life {life_number}");
            }
            assert_eq!(open.read(12).await, 13);
            open.write(life_number - 1, 49 + life_number as u8).await;
            open.volume.flush().await.unwrap();
        });
        rig.crash(power_failed);
    }
    // Flushed to nobody, but long in the file.
    rig.settings.durability = Durability::Store;
    life(async {
        let open = rig.open().await;
        open.write(15, 60).await;
        clock::sleep(secs(60)).await;
    });
    assert_eq!(rig.stored(), but(&[]));
    let mut online = rig;
    online.away = false;
    online.settings.block_cache.offline = false;
    online.settings.durability = Durability::Journal;
    life(async { online.open().await.stack.close().await.unwrap() });
    assert_eq!(online.stored(), but(&[(0, 50), (1, 51), (2, 52), (15, 60)]));
}

#[test]
fn joining_verifies_what_was_cached() {
    let crashed = {
        // Clean in the file, newer in the store, and the lock is ours: verified all the same.
        let rig = offline();
        let mut online = Rig { away: false, settings: rig.settings.clone(), ..rig };
        online.settings.block_cache.offline = false;
        life(async { online.open().await.read(15).await });
        assert!(has_token(&online.objects));
        online.settings.block_cache.offline = true;
        online.away = true;
        online
    };
    for rig in [offline(), crashed] {
        life(async {
            let open = rig.open().await;
            for block in [10, 15] {
                assert_eq!(open.read(block).await, block as u8 + 1);
            }
            open.write(14, 50).await;
            for block in [13, 14, 15] {
                rig.objects.insert(&format!("{block:08x}"), Default::default(), vec![99; BLOCK as usize]);
            }
            assert_eq!(open.read(15).await, 16, "nobody can know");
            joins(&open).await;
            let bytes = open.counts.get_bytes.get();
            assert!(!open.is_cached(15));
            assert_eq!((open.read(15).await, open.read(13).await), (99, 99), "read before, and not");
            assert_eq!(open.counts.get_bytes.get(), bytes + 2 * BLOCK);
            assert_eq!(open.read(10).await, 11);
            assert_eq!(open.counts.get_bytes.get(), bytes + 2 * BLOCK, "a verified block is not transferred");
            open.stack.close().await.unwrap();
        });
        assert_eq!(rig.stored(), but(&[(13, 99), (14, 50), (15, 99)]));
    }
    let mut rig = offline();
    rig.settings.block_cache.no_verify = true;
    life(async {
        let open = rig.open().await;
        joins(&open).await;
        let gets = open.counts.gets.get();
        assert_eq!((open.read(15).await, open.counts.gets.get()), (16, gets), "as --block-cache-no-verify asks");
    });
}

#[test]
fn offline_nothing_is_locked_and_joining_locks() {
    let rig = offline();
    let other = Rig { objects: rig.objects.clone(), ..Rig::new() };
    life(async {
        let open = rig.open().await;
        clock::sleep(secs(100)).await;
        other.open().await.stack.close().await.unwrap();
        assert!(!has_token(&rig.objects));
        joins(&open).await;
        assert!(has_token(&rig.objects));
        let error = other.try_open().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(open.stack.left_behind().is_some());
        open.stack.close().await.unwrap();
        assert!(!has_token(&rig.objects));
    });
}

#[test]
fn another_mount_holds_up_joining_and_loses_nothing() {
    let rig = offline();
    let other = Rig { objects: rig.objects.clone(), ..Rig::new() };
    life(async {
        let open = rig.open().await;
        let other = other.open().await;
        open.write(3, 33).await;
        open.faults.set_outage(false);
        for _ in 0..2 {
            let error = open.volume.flush().await.unwrap_err();
            assert!(error.kind() == ErrorKind::Busy && error.message().contains("mounted by"), "{error}");
            clock::sleep(secs(30)).await;
        }
        assert_eq!((open.read(3).await, open.read(15).await), (33, 16));
        other.write(4, 44).await;
        other.stack.close().await.unwrap();
        open.volume.flush().await.unwrap();
        open.stack.close().await.unwrap();
    });
    assert_eq!(rig.stored(), but(&[(3, 33), (4, 44)]));
    assert!(!has_token(&rig.objects));
}

#[test]
fn another_volume_in_its_place_gets_nothing() {
    type Change = fn(&mut Rig);
    let changes: [(&str, Option<Change>); 5] = [
        ("size", Some(|other| other.settings.volume.size = Some(BLOCK * BLOCKS * 2))),
        ("block size", Some(|other| other.settings.volume.block_size = Some(BLOCK * 2))),
        ("naming", Some(|other| other.settings.volume.block_hash_prefix = true)),
        (
            "password",
            Some(|other| {
                other.settings.codec.encrypt = Some(CipherName::Aes128Cbc);
                other.password = Some("another");
            }),
        ),
        ("gone", None),
    ];
    for (name, change) in changes {
        for force in [false, true] {
            let mut rig = offline();
            rig.settings.volume.force = force;
            // As a person gives them, or not.
            (rig.settings.volume.size, rig.settings.volume.block_size) = match force {
                true => (Some(BLOCK * BLOCKS), Some(BLOCK)),
                false => (None, None),
            };
            let originals = rig.objects.objects();
            empty(&rig.objects);
            if let Some(change) = change {
                let mut other = Rig { objects: rig.objects.clone(), ..Rig::new() };
                change(&mut other);
                life(async {
                    let open = other.open().await;
                    open.volume.write(0, vec![1; 2 * BLOCK as usize].into()).await.unwrap();
                    open.stack.close().await.unwrap();
                });
            }
            let before = rig.objects.objects();
            life(async {
                let open = rig.open().await;
                open.write(3, 33).await;
                open.faults.set_outage(false);
                for _ in 0..2 {
                    let error = open.volume.flush().await.unwrap_err();
                    assert!(error.message().contains("--offline"), "{name}: {error}");
                    clock::sleep(secs(60)).await;
                }
                assert_eq!((open.read(3).await, open.read(15).await), (33, 16), "{name}");
            });
            assert_eq!(rig.objects.objects(), before, "{name}");
            // The right one is back.
            empty(&rig.objects);
            for (key, object) in originals {
                rig.objects.insert(&key, object.headers, object.body);
            }
            life(async { rig.open().await.joins_and_closes().await });
            assert_eq!(rig.stored(), but(&[(3, 33)]), "{name}");
        }
    }
}

#[test]
fn a_store_that_comes_and_goes_while_joining_does_no_harm() {
    // Away again after each number of requests of an attempt, of which the last may have been done.
    for cut in 0..24 {
        for crash in [false, true] {
            let mut rig = offline();
            rig.settings.retry.max_pause = Some(secs(0));
            life(async {
                let open = rig.open().await;
                open.write(3, 33).await;
                clock::sleep(secs(60)).await;
                let goes = async {
                    open.faults.set_outage(false);
                    clock::sleep(Duration::from_millis(10) * cut).await;
                    open.faults.set_outage(true);
                };
                let _ = futures::join!(open.try_read(0), goes).0;
                clock::sleep(secs(200)).await;
                if !crash {
                    open.joins_and_closes().await;
                }
            });
            if crash {
                rig.crash(false);
                life(async { rig.open().await.joins_and_closes().await });
            }
            assert_eq!(rig.stored(), but(&[(3, 33)]), "cut {cut}");
            assert!(!has_token(&rig.objects), "cut {cut}");
        }
    }
    for seed in 0..40 {
        let mut rig = offline();
        rig.settings.test.seed = Some(seed);
        rig.settings.retry.max_pause = Some(secs(seed % 2));
        life(async {
            let open = rig.open().await;
            open.faults.set_rates(FaultRates { before: 0.2, after: 0.3, stale: 0.0 });
            open.faults.set_outage(false);
            open.write(3, 33).await;
            clock::sleep(secs(seed)).await;
            open.faults.set_rates(FaultRates::default());
            open.joins_and_closes().await;
        });
        assert_eq!(rig.stored(), but(&[(3, 33)]), "seed {seed}");
        assert!(!has_token(&rig.objects), "seed {seed}");
    }
}

impl Open {
    async fn joins_and_closes(&self) {
        self.faults.set_outage(false);
        self.volume.flush().await.unwrap();
        self.stack.close().await.unwrap();
    }
}

#[test]
fn all_readers_share_one_attempt_to_reach_the_store() {
    for late in [0, 7] {
        let rig = offline();
        life(async {
            let open = rig.open().await;
            for block in 8..12 {
                open.write(block, 50).await;
            }
            clock::sleep(secs(late)).await;
            let start = clock::now();
            let answers = futures::future::join_all((0..4).map(|block| open.try_read(block))).await;
            assert!(answers.iter().all(Result::is_err));
            let waited = clock::now() - start;
            assert!(waited >= secs(20) && waited < secs(25), "{waited:?}");
        });
    }
}

#[test]
fn closing_offline_with_nothing_to_store_needs_no_store() {
    for max_pause in [Some(secs(20)), None] {
        let mut rig = offline();
        rig.settings.retry.max_pause = max_pause;
        // A mount before died, and its token tells the cache file's mount from others.
        rig.settings.block_cache.offline = false;
        rig.away = false;
        life(async { rig.open().await.read(15).await });
        rig.settings.block_cache.offline = true;
        rig.away = true;
        let before = rig.objects.objects();
        life(async {
            let open = rig.open().await;
            assert_eq!(open.read(15).await, 16);
            clock::sleep(secs(7)).await;
            let start = clock::now();
            open.stack.close().await.unwrap();
            assert_eq!(clock::now(), start);
        });
        assert_eq!(rig.objects.objects(), before);
        rig.away = false;
        rig.settings.block_cache.offline = false;
        rig.settings.block_cache.recover_dirty = true;
        life(async { rig.open().await.stack.close().await.unwrap() });
    }
}

#[test]
fn closing_offline_waits_a_minute_at_most_for_a_store_that_went_away_while_joining() {
    let mut waits = 0;
    // Away again after each number of requests of the first attempt.
    for cut in 0..100 {
        let mut rig = offline();
        rig.settings.retry.max_pause = None;
        life(async {
            let open = rig.open().await;
            open.faults.set_outage(false);
            clock::sleep(Duration::from_millis(10) * cut).await;
            open.faults.set_outage(true);
            // Once joined, a cached block must be verified before it is read, and a close waits as any other mount's does.
            if clock::timeout(secs(1), open.read(15)).await.is_none() {
                open.faults.set_outage(false);
            }
            let start = clock::now();
            let closing = clock::timeout(secs(3600), open.stack.close()).await;
            closing.expect("it hangs").unwrap();
            let waited = clock::now() - start;
            assert!(waited <= secs(60), "cut {cut}: {waited:?}");
            waits += u32::from(waited >= secs(30));
        });
    }
    assert!(waits > 0, "no attempt was caught between looking and having the lock");
}

#[test]
fn a_reader_who_waits_for_joining_gives_up_when_his_time_is_over() {
    // Each request is answered within the patience, the whole attempt is not.
    let mut rig = offline();
    rig.settings.retry.max_pause = Some(secs(20));
    rig.settings.retry.longest_backoff = secs(1);
    life(async {
        let open = rig.open().await;
        open.faults.set_rates(FaultRates { before: 0.95, after: 0.0, stale: 0.0 });
        open.faults.set_outage(false);
        let start = clock::now();
        let answer = open.try_read(0).await;
        let waited = clock::now() - start;
        assert!(answer.is_err() && waited <= secs(25), "{waited:?}");
    });
}

#[test]
fn mounting_offline_makes_no_cache_file_and_changes_no_size() {
    let mut rig = offline();
    for (size, block_size) in [(BLOCK * BLOCKS * 2, BLOCK), (BLOCK * BLOCKS, BLOCK * 2)] {
        (rig.settings.volume.size, rig.settings.volume.block_size) = (Some(size), Some(block_size));
        let error = life(async { rig.try_open().await.err().unwrap() });
        assert!(error.message().contains("size="), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cache");
    rig.disk = None;
    rig.settings.block_cache.file = Some(file.clone());
    let error = life(async { rig.try_open().await.err().unwrap() });
    assert!(error.message().contains("there is no such file"), "{error}");
    assert!(!file.exists());
    std::fs::write(&file, "").unwrap();
    let error = life(async { rig.try_open().await.err().unwrap() });
    assert!(error.message().contains("the file is empty"), "{error}");
}
