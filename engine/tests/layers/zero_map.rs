//! The zero map.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::data::BlockData;
use s3b_engine::error::ErrorKind;
use s3b_engine::etag::ETag;
use s3b_engine::settings::{SurveyMode, ZeroMapSettings};
use s3b_engine::stats::Stats;
use s3b_engine::store::{BlockStore, Expect, Fetched};
use s3b_engine::zero_map::{Known, SavedMap, ZeroMap};

use crate::objects::*;

pub fn zero_settings(survey: SurveyMode, delete_delay: u64) -> ZeroMapSettings {
    ZeroMapSettings { survey, delete_delay: ms(delete_delay), ..ZeroMapSettings::default() }
}

fn zero_map(store: &Objects, known: Known) -> (ZeroMap, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::On, 20), known, stats.clone());
    (map, stats)
}

#[tokio::test(start_paused = true)]
async fn a_new_volume_costs_no_request_until_something_is_written() {
    let store = Objects::new(100);
    let (map, stats) = zero_map(&store, Known::AllZero);
    assert_eq!(stats.zero_map.known_zero.get(), 100);
    // Not even a survey that was asked for by name.
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert_eq!(read_byte(&map, 5).await.unwrap(), 0);
    assert_eq!(map.read(block(5), Expect::Unless(ETag::ZERO_BLOCK)).await.unwrap(), Fetched::Unchanged);
    assert_eq!(map.write(block(6), BlockData::Zero, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
    let zeros = BlockData::Bytes(Bytes::from(vec![0; BLOCK_SIZE as usize]));
    assert_eq!(map.write(block(6), zeros, true).await.unwrap(), Some(ETag::ZERO_BLOCK));
    assert!(map.delete_many(vec![block(1), block(1), block(2)]).await.iter().all(|(_, r)| r.is_ok()));
    assert_eq!(store.calls(), []);
    assert_eq!((stats.zero_map.read_hits.get(), stats.zero_map.write_hits.get()), (2, 4));

    let etag = map.write(block(6), content(7), true).await.unwrap().expect("wanted");
    assert_eq!(stats.zero_map.known_zero.get(), 99);
    let fetched = map.read(block(6), Expect::Exactly(etag)).await.unwrap();
    assert_eq!(fetched, Fetched::Data(content(7), Some(etag)));
}

#[tokio::test(start_paused = true)]
async fn a_read_of_an_absent_block_is_asked_once() {
    let store = Objects::holding(10, [1]);
    let (map, _) = zero_map(&store, Known::Nothing);
    for _ in 0..3 {
        assert_eq!(read_byte(&map, 0).await.unwrap(), 0);
        assert_eq!(read_byte(&map, 1).await.unwrap(), 0xee);
    }
    assert!(map.known_zero(block(0)) && !map.known_zero(block(1)) && !map.known_zero(block(10)));
    assert_eq!(store.calls().len(), 1 + 3);
    // "It is zero" may also be the answer to a verification.
    assert_eq!(map.read(block(2), Expect::Unless(ETag::ZERO_BLOCK)).await.unwrap(), Fetched::Unchanged);
    assert!(map.known_zero(block(2)));
    // A reader that knows better is not contradicted from memory.
    let stale = map.read(block(2), Expect::Exactly(ETag([9; 16]))).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_single_deletes_share_a_request_and_each_gets_its_own_answer() {
    let store = Objects::holding(1500, 0..1500);
    store.state.lock().broken.extend([3, 1200]);
    let (map, stats) = zero_map(&store, Known::Nothing);
    let results = join_all((0..1500).map(|n| map.write(block(n), BlockData::Zero, false))).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), n == 3 || n == 1200, "block {n}");
    }
    let sizes: Vec<_> = store
        .calls()
        .iter()
        .map(|call| match call {
            Call::Delete(at, blocks) => (*at, blocks.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [(0, 1000), (20, 500)]);
    assert_eq!((stats.zero_map.batched_deletes.get(), stats.zero_map.known_zero.get()), (1500, 1498));
    assert!(!map.known_zero(block(3)) && store.exists(3));
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_many_blocks_does_not_wait_and_deletes_only_what_may_exist() {
    let store = Objects::holding(20, 0..10);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(read_byte(&map, 15).await.unwrap(), 0);
    let results = map.delete_many([15, 3, 2, 3].map(block).to_vec()).await;
    assert_eq!(
        results.into_iter().map(|(b, r)| (b.0, r.is_ok())).collect::<Vec<_>>(),
        [(2, true), (3, true), (15, true)]
    );
    assert_eq!(store.calls()[1..], [Call::Delete(20, vec![2, 3])]);
}

#[tokio::test(start_paused = true)]
async fn a_write_never_overtakes_a_delete_nor_waits_out_its_delay() {
    let store = Objects::holding(10, [1]);
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::Off, 60_000), Known::Nothing, stats);
    let delete = tokio::spawn(map.write(block(1), BlockData::Zero, false));
    tokio::task::yield_now().await;
    let write = tokio::spawn(map.write(block(1), content(5), false));
    let again = {
        tokio::task::yield_now().await;
        tokio::spawn(map.write(block(1), BlockData::Zero, false))
    };
    for task in [delete, write, again] {
        task.await.unwrap().unwrap();
    }
    // The last delete waited for company alone: nobody hurried it.
    assert_eq!(store.calls(), [Call::Write(0, 1, 0), Call::Write(20, 1, 5), Call::Write(60_040, 1, 0)]);
    assert!(map.known_zero(block(1)) && !store.exists(1));
}

#[tokio::test(start_paused = true)]
async fn failed_and_dropped_stores_are_never_taken_for_zero() {
    let store = Objects::holding(10, [1]);
    store.state.lock().broken.extend([1, 2]);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(read_byte(&map, 2).await.unwrap(), 0);
    assert!(map.known_zero(block(2)));
    map.write(block(2), content(1), false).await.unwrap_err();
    map.write(block(1), BlockData::Zero, false).await.unwrap_err();
    // Reading zero proves nothing while the failed write may still arrive.
    assert_eq!(read_byte(&map, 2).await.unwrap(), 0);
    assert!(!map.known_zero(block(1)) && !map.known_zero(block(2)));

    assert_eq!(read_byte(&map, 3).await.unwrap(), 0);
    let mut dropped = map.write(block(3), content(1), false);
    assert!(map.known_zero(block(3)), "a future does nothing before it is polled");
    assert!((&mut dropped).now_or_never().is_none());
    assert!(!map.known_zero(block(3)));
    let waiting = tokio::spawn(map.write(block(3), content(2), false));
    tokio::task::yield_now().await;
    drop(dropped);
    // The dropped write's turn passes on.
    waiting.await.unwrap().unwrap();
    assert_eq!(read_byte(&map, 3).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_does_not_block_the_line() {
    let store = Objects::new(4);
    let (map, _) = zero_map(&store, Known::Nothing);
    let mut first = map.write(block(1), content(1), false);
    let mut second = map.write(block(1), content(2), false);
    let third = map.write(block(1), content(3), false);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    let third = tokio::spawn(third);
    tokio::task::yield_now().await;
    drop(second);
    first.await.unwrap();
    third.await.unwrap().unwrap();
    // One that gives up after the turn was given to it, before it looked.
    let mut first = map.write(block(1), content(1), false);
    let mut second = map.write(block(1), content(2), false);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    first.await.unwrap();
    drop(second);
    map.write(block(1), content(4), false).await.unwrap();
    assert_eq!(read_byte(&map, 1).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_outlives_the_caller_that_started_it() {
    let store = Objects::holding(10, [1, 2]);
    let (map, _) = zero_map(&store, Known::Nothing);
    let mut gone = map.write(block(1), BlockData::Zero, false);
    let stays = map.write(block(2), BlockData::Zero, false);
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    stays.await.unwrap();
    assert_eq!(store.calls(), [Call::Delete(20, vec![1, 2])]);
    assert!(map.known_zero(block(1)) && map.known_zero(block(2)));
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_waits_and_gives_up_the_survey() {
    let store = Objects::holding(40_000, [1]);
    let stats = Arc::new(Stats::default());
    let map = ZeroMap::new(Arc::new(store.clone()), &zero_settings(SurveyMode::On, 60_000), Known::Nothing, stats);
    assert_eq!(map.start_survey(), None);
    let delete = tokio::spawn(map.write(block(1), BlockData::Zero, false));
    tokio::task::yield_now().await;
    map.close().await;
    delete.await.unwrap().unwrap();
    // 20 ms of delete; the survey would have taken 100 s.
    assert_eq!(store.now(), 20);
    assert!(store.state.lock().closed);
    assert!(map.known_zero(block(1)) && !map.known_zero(block(2)));
}

#[tokio::test(start_paused = true)]
async fn a_survey_finds_what_is_zero_but_for_what_was_touched() {
    let store = Objects::holding(40, [1, 17, 39]);
    let (map, stats) = zero_map(&store, Known::Nothing);
    // Under way when the survey starts.
    let mut early = map.write(block(8), content(8), false);
    assert!((&mut early).now_or_never().is_none());
    assert_eq!(map.start_survey(), None);
    early.await.unwrap();
    // Written behind the listing's back: page 0 is listed at 10 ms.
    clock::sleep(ms(15)).await;
    map.write(block(2), content(2), false).await.unwrap();
    assert!(!map.known_zero(block(3)), "nothing is believed before the survey succeeds");
    clock::sleep(ms(1000)).await;
    let unknown: Vec<u32> = (0..40).filter(|n| !map.known_zero(block(*n))).collect();
    assert_eq!(unknown, [1, 2, 8, 17, 39]);
    assert_eq!(stats.zero_map.known_zero.get(), 35);

    // Complete now: the next one needs no listing.
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = found.clone();
    map.survey(Arc::new(move |blocks| sink.lock().extend(blocks.iter().map(|b| b.0)))).await.unwrap();
    assert_eq!(*found.lock(), unknown);
    assert_eq!(store.calls().iter().filter(|call| matches!(call, Call::Survey(_))).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_survey_teaches_nothing_and_may_be_started_again() {
    let store = Objects::holding(40, [1]);
    let (map, _) = zero_map(&store, Known::Nothing);
    store.state.lock().broken.insert(u32::MAX);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!((0..40).all(|n| !map.known_zero(block(n))));
    store.state.lock().broken.clear();
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!((0..40).all(|n| map.known_zero(block(n)) == (n != 1)));
}

#[tokio::test(start_paused = true)]
async fn a_dear_survey_is_skipped_with_a_notice() {
    let store = Objects::new(50_000);
    let settings = ZeroMapSettings { max_cost: 0.0, ..zero_settings(SurveyMode::Auto, 20) };
    let map = ZeroMap::new(Arc::new(store.clone()), &settings, Known::Nothing, Arc::default());
    assert!(map.start_survey().unwrap().contains("--list-blocks"));
    let map = ZeroMap::new(Arc::new(store.clone()), &settings, Known::AllZero, Arc::default());
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert_eq!(store.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_saved_map_serves_the_next_mount_and_a_survey_checks_it() {
    let store = Objects::holding(100, [1, 17]);
    let (map, _) = zero_map(&store, Known::Nothing);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    map.close().await;
    let bytes = map.to_bytes(b"session 1");
    let saved = SavedMap::from_bytes(&bytes, map.geometry(), b"session 1").unwrap();

    // Somebody writes block 5 and leaves no trace.
    store.state.lock().put(5, 5);
    let (map, stats) = zero_map(&store, Known::Saved(saved));
    assert_eq!(stats.zero_map.known_zero.get(), 98);
    assert_eq!(map.start_survey(), None);
    clock::sleep(ms(1000)).await;
    assert!(!map.known_zero(block(5)) && map.known_zero(block(6)));
    assert_eq!(read_byte(&map, 5).await.unwrap(), 5);
}
