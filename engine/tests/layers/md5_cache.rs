//! The MD5 cache.

use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::data::BlockData;
use s3b_engine::error::ErrorKind;
use s3b_engine::etag::ETag;
use s3b_engine::md5_cache::Md5Cache;
use s3b_engine::settings::{Md5CacheSettings, SurveyMode};
use s3b_engine::stats::Stats;
use s3b_engine::store::{BlockStore, Expect, Fetched};
use s3b_engine::zero_map::{Known, ZeroMap};

use crate::objects::*;
use crate::zero_map::zero_settings;

pub fn md5_settings(size: u32, time: u64, min_write_delay: u64) -> Md5CacheSettings {
    Md5CacheSettings { size, time: ms(time), min_write_delay: ms(min_write_delay) }
}

fn md5_cache(store: &Objects, settings: Md5CacheSettings) -> (Md5Cache, Arc<Stats>) {
    store.state.lock().fixed_delay = Some(0);
    let stats = Arc::new(Stats::default());
    (Md5Cache::new(Arc::new(store.clone()), &settings, stats.clone()).unwrap(), stats)
}

#[tokio::test(start_paused = true)]
async fn rewrites_of_one_block_keep_the_least_time_apart() {
    // As verified with s3backer: 0.00, 0.80 and 0.80 s, and the read after them is strict.
    let store = Objects::new(100);
    let (cache, stats) = md5_cache(&store, md5_settings(10, 10_000, 800));
    let mut took = Vec::new();
    let mut etag = None;
    for byte in 1..4 {
        let start = store.now();
        etag = cache.write(block(1), content(byte), true).await.unwrap();
        took.push(store.now() - start);
    }
    assert_eq!(took, [0, 800, 800]);
    assert_eq!(stats.md5_cache.write_delays.get(), ms(1600));
    let etag = etag.expect("wanted");
    assert_eq!(cache.read(block(1), Expect::Any).await.unwrap(), Fetched::Data(content(3), Some(etag)));
    assert_eq!(store.calls().last(), Some(&Call::Read(1600, 1, Expect::Exactly(etag))));
    // Whoever holds that content need not ask; whoever holds other content gets the new one.
    assert_eq!(cache.read(block(1), Expect::Unless(etag)).await.unwrap(), Fetched::Unchanged);
    let fetched = cache.read(block(1), Expect::Unless(ETag([7; 16]))).await.unwrap();
    assert_eq!(fetched, Fetched::Data(content(3), Some(etag)));
    // Other blocks are not delayed, and the ETag is given only where it is wanted.
    assert_eq!(cache.write(block(2), content(1), false).await.unwrap(), None);
    assert_eq!(store.now(), 1600);

    store.state.lock().put(1, 0xbb);
    assert_eq!(cache.read(block(1), Expect::Any).await.unwrap_err().kind(), ErrorKind::Stale);
    // The entry's time is over: the object is believed as it is.
    clock::sleep(ms(10_000)).await;
    assert_eq!(read_byte(&cache, 1).await.unwrap(), 0xbb);
    assert_eq!(store.calls().last(), Some(&Call::Read(11_600, 1, Expect::Any)));
    assert_eq!(stats.md5_cache.current_size.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_during_a_store_gets_the_data_in_flight() {
    let store = Objects::new(10);
    let (cache, stats) = md5_cache(&store, md5_settings(10, 0, 0));
    store.state.lock().fixed_delay = Some(50);
    let write = tokio::spawn(cache.write(block(1), content(1), false));
    tokio::task::yield_now().await;
    assert_eq!(cache.read(block(1), Expect::Any).await.unwrap(), Fetched::Data(content(1), None));
    assert!(!cache.known_zero(block(1)));
    assert_eq!((store.now(), stats.md5_cache.data_hits.get()), (0, 1));
    // A second write waits for the first, then goes at once: there is no least time here.
    cache.write(block(1), BlockData::Zero, false).await.unwrap();
    assert_eq!(store.now(), 200);
    write.await.unwrap().unwrap();
    // Zero is answered without a request.
    let requests = store.calls().len();
    assert_eq!(
        cache.read(block(1), Expect::Any).await.unwrap(),
        Fetched::Data(BlockData::Zero, Some(ETag::ZERO_BLOCK))
    );
    assert_eq!(cache.read(block(1), Expect::Unless(ETag::ZERO_BLOCK)).await.unwrap(), Fetched::Unchanged);
    assert!(cache.known_zero(block(1)));
    assert_eq!(store.calls().len(), requests);
}

#[tokio::test(start_paused = true)]
async fn a_full_table_delays_writes_until_the_oldest_entry_goes() {
    let store = Objects::new(10);
    let (cache, stats) = md5_cache(&store, md5_settings(2, 1000, 0));
    cache.write(block(1), content(1), false).await.unwrap();
    clock::sleep(ms(300)).await;
    cache.write(block(2), content(1), false).await.unwrap();
    // Two wait: one entry goes at 1000, the next at 1300.
    let waiting = [3, 4].map(|n| tokio::spawn(cache.write(block(n), content(1), false)));
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.calls()[2..], [Call::Write(1000, 3, 1), Call::Write(1300, 4, 1)]);
    assert_eq!((stats.md5_cache.full_delays.get(), stats.md5_cache.current_size.get()), (ms(700 + 1000), 2));
}

#[tokio::test(start_paused = true)]
async fn room_that_a_read_makes_is_used_at_once() {
    let store = Objects::new(10);
    let (cache, _) = md5_cache(&store, md5_settings(1, 10_000, 100));
    store.state.lock().broken.insert(1);
    cache.write(block(1), content(1), false).await.unwrap_err();
    let waiting = tokio::spawn(cache.write(block(2), content(1), false));
    tokio::task::yield_now().await;
    // The read forgets the failed store.
    assert_eq!(read_byte(&cache, 1).await.unwrap(), 0);
    waiting.await.unwrap().unwrap();
    assert_eq!(store.calls().last(), Some(&Call::Write(100, 2, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_discard_of_zero_blocks_takes_no_entries() {
    let store = Objects::new(100);
    let below = Arc::new(ZeroMap::new(
        Arc::new(store.clone()),
        &zero_settings(SurveyMode::Off, 20),
        Known::AllZero,
        Arc::default(),
    ));
    let stats = Arc::new(Stats::default());
    let cache = Md5Cache::new(below, &md5_settings(5, 10_000, 0), stats.clone()).unwrap();
    cache.write(block(7), content(1), false).await.unwrap();
    let results = cache.delete_many((0..100).map(block).collect()).await;
    assert!(results.len() == 100 && results.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(cache.write(block(9), BlockData::Zero, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
    assert_eq!((store.calls().len(), stats.md5_cache.current_size.get()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_table_full_of_stores_under_way_waits_for_their_end() {
    let store = Objects::new(10);
    let (cache, _) = md5_cache(&store, md5_settings(1, 100, 0));
    store.state.lock().fixed_delay = Some(200);
    let mut dropped = cache.write(block(1), content(1), false);
    assert!((&mut dropped).now_or_never().is_none());
    let second = tokio::spawn(cache.write(block(2), content(1), false));
    clock::sleep(ms(50)).await;
    // Dropped in the middle: no longer WRITING, but unknown until it expires.
    drop(dropped);
    second.await.unwrap().unwrap();
    assert_eq!(store.calls(), [Call::Write(0, 1, 1), Call::Write(150, 2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_store_a_read_waits_and_then_asks_plainly() {
    let store = Objects::holding(10, [1]);
    let (cache, _) = md5_cache(&store, md5_settings(10, 10_000, 700));
    store.state.lock().broken.insert(1);
    cache.write(block(1), content(1), true).await.unwrap_err();
    assert_eq!(read_byte(&cache, 1).await.unwrap(), 0xee);
    assert_eq!(store.calls()[1..], [Call::Read(700, 1, Expect::Any)]);
    // Forgotten: no further wait.
    assert_eq!(read_byte(&cache, 1).await.unwrap(), 0xee);
    // A dropped store is as unknown as a failed one.
    let mut dropped = cache.write(block(2), content(1), true);
    store.state.lock().fixed_delay = Some(10);
    assert!((&mut dropped).now_or_never().is_none());
    drop(dropped);
    read_byte(&cache, 2).await.unwrap();
    assert_eq!(store.calls().last(), Some(&Call::Read(1400, 2, Expect::Any)));
}

#[tokio::test(start_paused = true)]
async fn a_strict_read_overtaken_by_a_write_is_not_stale() {
    let store = Objects::new(10);
    let (cache, _) = md5_cache(&store, md5_settings(10, 10_000, 0));
    cache.write(block(1), content(1), false).await.unwrap();
    store.state.lock().fixed_delay = Some(300);
    let read = tokio::spawn(cache.read(block(1), Expect::Any));
    clock::sleep(ms(1)).await;
    store.state.lock().fixed_delay = Some(50);
    let write = tokio::spawn(cache.write(block(1), content(2), false));
    clock::sleep(ms(1)).await;
    // Another block's store wakes the read, which finds its own block rewritten.
    cache.write(block(2), content(1), false).await.unwrap();
    write.await.unwrap().unwrap();
    let Fetched::Data(data, _) = read.await.unwrap().unwrap() else { panic!("unchanged, unasked") };
    assert_eq!(byte_of(&data), 2);
}

#[tokio::test(start_paused = true)]
async fn deletes_go_together_but_for_those_that_must_wait() {
    let store = Objects::holding(20, 0..20);
    let (cache, _) = md5_cache(&store, md5_settings(20, 0, 500));
    cache.write(block(3), content(1), false).await.unwrap();
    store.state.lock().broken.insert(7);
    let results = cache.delete_many([7, 3, 5, 3].map(block).to_vec()).await;
    assert_eq!(results.iter().map(|(b, r)| (b.0, r.is_ok())).collect::<Vec<_>>(), [(3, true), (5, true), (7, false)]);
    assert_eq!(store.calls()[1..], [Call::Delete(0, vec![5, 7]), Call::Write(500, 3, 0)]);
    assert!(cache.known_zero(block(3)) && cache.known_zero(block(5)) && !cache.known_zero(block(7)));
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_sleepers() {
    let store = Objects::new(10);
    let (cache, _) = md5_cache(&store, md5_settings(10, 0, 500));
    cache.write(block(1), content(1), false).await.unwrap();
    let sleeper = tokio::spawn(cache.write(block(1), content(2), false));
    tokio::task::yield_now().await;
    cache.close().await;
    assert_eq!(store.now(), 500);
    assert!(store.state.lock().closed);
    sleeper.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_survey_reports_what_the_listing_may_not_show_yet() {
    let store = Objects::holding(8, [6]);
    let (cache, _) = md5_cache(&store, md5_settings(8, 0, 0));
    cache.write(block(3), content(1), false).await.unwrap();
    cache.write(block(4), BlockData::Zero, false).await.unwrap();
    store.state.lock().objects.remove(&3);
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = found.clone();
    cache.survey(Arc::new(move |blocks| sink.lock().extend(blocks.iter().map(|b| b.0)))).await.unwrap();
    assert_eq!(*found.lock(), [3, 6]);
}

#[tokio::test(start_paused = true)]
async fn settings_that_could_hang_a_write_are_refused() {
    let refusal = |settings| {
        let below = Arc::new(Objects::new(100));
        let error = Md5Cache::new(below, &settings, Arc::default()).err().expect("must be refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    assert!(refusal(md5_settings(0, 0, 0)).contains("--md5-cache-size=100"));
    assert!(refusal(md5_settings(99, 0, 0)).contains("--md5-cache-size=100"));
    assert!(refusal(md5_settings(10, 700, 800)).contains("--md5-cache-time=800"));
}
