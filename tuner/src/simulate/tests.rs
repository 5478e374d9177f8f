use std::num::NonZeroUsize;

use s3b_engine::settings::{CacheSize, Durability};
use s3b_scenarios::{Op, OpKind};

use super::*;
use crate::model::settings::RateLimit;

fn settings(block_size: u64) -> Settings {
    let mut settings = Settings::default();
    settings.volume.block_size = Some(block_size);
    settings.block_cache.size = CacheSize::Bytes(4 << 20);
    settings
}

/// A workload with everything in it, made of nothing.
fn mixed(ops: u64) -> Arc<Tape> {
    let kinds = [OpKind::Write, OpKind::Read, OpKind::Write, OpKind::Read, OpKind::Discard, OpKind::Flush];
    let op = |n: u64| {
        let kind = kinds[(n * 7 % 6) as usize];
        let offset = n * 2_654_435_761 % (16 << 20) / 512 * 512;
        let (offset, len) = match kind {
            OpKind::Flush => (0, 0),
            // One whole block at least.
            OpKind::Discard => (offset / 65536 * 65536, 65536),
            _ => (offset, 512 << (n % 8)),
        };
        Op::new(n * 3_000_000, kind, offset, len)
    };
    Arc::new(Tape::of_ops("mixed", (0..ops).map(op).collect(), Found::WhatIsTouched))
}

fn job(block_size: u64) -> Job {
    Job {
        store: Some(Arc::new(crate::model::shipped::standard())),
        seed: 5,
        ..Job::new(settings(block_size), mixed(2000))
    }
}

/// All of a result that could differ.
fn story(simulated: &Simulated) -> String {
    let Simulated { measured, ledger, at_risk_bytes, stored_bytes, utilisation, ended, notices } = simulated;
    format!("{measured:?} {ledger:?} {at_risk_bytes} {stored_bytes} {utilisation:?} {ended:?} {notices:?}")
}

#[test]
fn the_same_job_gives_the_same_result() {
    let (one, two) = (run(&job(65536)).unwrap(), run(&job(65536)).unwrap());
    assert_eq!(story(&one), story(&two));
    let store = &one.ledger.store;
    assert!(store.puts > 100 && store.gets > 100 && store.deletes > 10, "{store:?}");
    assert_eq!(one.measured.failures(), 0, "{:?}", one.measured.first_failure);
    let other = run(&Job { seed: 6, ..job(65536) }).unwrap();
    assert_ne!(story(&one), story(&other), "the seed reaches nothing");
}

#[test]
fn results_do_not_depend_on_threads() {
    let jobs: Vec<Job> = [4096, 65536, 1 << 20, 16384].map(job).into();
    let stop = AtomicBool::new(false);
    let all = |threads| {
        let mut seen = 0;
        let results = many(&jobs, NonZeroUsize::new(threads).unwrap(), &mut |_| seen += 1, &stop);
        assert_eq!(seen, jobs.len());
        results.into_iter().map(|result| story(&result.unwrap().unwrap())).collect::<Vec<_>>()
    };
    let one = all(1);
    assert_eq!(one, all(3));
    assert_ne!(one[0], one[1]);
}

/// Writes of 4 KiB, one a millisecond, each to another block of 64 KiB.
fn writes(ops: u64) -> Arc<Tape> {
    let op = |n| Op::new(n * 1_000_000, OpKind::Write, n * 65536, 4096);
    Arc::new(Tape::of_ops("writes", (0..ops).map(op).collect(), Found::WhatIsRead))
}

#[test]
fn it_ends_when_told() {
    let mut job =
        Job { store: Some(Arc::new(crate::model::shipped::standard())), ..Job::new(settings(65536), writes(4000)) };
    // No write waits for room.
    job.settings.block_cache.size = CacheSize::Bytes(1 << 30);
    let whole = run(&job).unwrap();
    assert_eq!((whole.ended, whole.ledger.store.puts), (Ended::Whole, 4000));
    // 4000 whole blocks, each once: what a month's bill counts as storage.
    assert!((4000 * 65536..4001 * 65536).contains(&whole.stored_bytes), "{}", whole.stored_bytes);
    let stopped = run_until(&job, &AtomicBool::new(true)).unwrap();
    assert_eq!((stopped.ended, stopped.ledger.store.puts), (Ended::Stopped, 0));
}

#[test]
fn a_warm_cache_answers_at_once_and_what_is_dirty_is_stored() {
    let reads = (0..16).map(|n| Op::new(n * 1000, OpKind::Read, n * 65536, 65536)).collect();
    let tape = Arc::new(Tape::of_ops("reads", reads, Found::WhatIsTouched));
    let mut job = Job { store: Some(Arc::new(crate::model::shipped::standard())), ..Job::new(settings(65536), tape) };
    job.settings.block_cache.read_ahead = Some(0);
    let cold = run(&job).unwrap();
    assert_eq!((cold.ledger.store.gets, cold.ledger.cache.read_misses), (16, 16));
    job.start = Start { resident: vec![(0, 12 * 65536)], dirty: vec![(0, 65536)] };
    let warm = run(&job).unwrap();
    assert_eq!((warm.ledger.store.gets, warm.ledger.cache.read_hits, warm.ledger.store.puts), (4, 12, 1));
    assert_eq!(warm.at_risk_bytes, 65536);
}

#[test]
fn what_filling_the_cache_makes_the_engine_read_ahead_is_over_when_the_run_begins() {
    const RANGE: u64 = 4 << 20;
    let reads = vec![Op::new(0, OpKind::Read, 0, 4096), Op::new(1000, OpKind::Read, 80 * RANGE, 4096)];
    let tape = Arc::new(Tape::of_ops("reads", reads, Found::WhatIsTouched));
    let mut store = crate::model::shipped::standard();
    store.cpu.wake_up_us = 900.0;
    let mut job = Job { store: Some(Arc::new(store)), ..Job::new(settings(65536), tape) };
    job.settings.block_cache.threads = 1;
    // Else the engine knows that there is nothing to read ahead.
    job.settings.zero_map.survey = s3b_engine::settings::SurveyMode::Off;
    job.start.resident = (0..60).map(|n| (n * RANGE, RANGE / 2)).collect();
    let ledger = run(&job).unwrap().ledger;
    assert_eq!((ledger.cache.read_ahead, ledger.store.gets), (0, 2), "what was read first made room for the rest");
}

#[test]
fn a_repeated_put_is_no_hit_of_a_read() {
    let op = |n: u64| {
        let kind = if n.is_multiple_of(2) { OpKind::Read } else { OpKind::Write };
        Op::new(n * 1_000_000, kind, n * 65536, 65536)
    };
    let tape = Arc::new(Tape::of_ops("both", (0..64).map(op).collect(), Found::WhatIsRead));
    let mut store = crate::model::shipped::standard();
    store.limits.put = Some(RateLimit { per_s: 20.0, burst: 1.0 });
    let mut job = Job { store: Some(Arc::new(store)), ..Job::new(settings(65536), tape) };
    (job.settings.block_cache.read_ahead, job.settings.block_cache.write_delay) = (Some(0), Duration::ZERO);
    let Ledger { cache, store, .. } = run(&job).unwrap().ledger;
    assert!(store.retries > 0 && store.throttled > 0, "PUTs were to be sent again: {store:?}");
    assert_eq!((cache.read_misses, cache.read_hits), (32, 0), "each block is read once, from a cold cache");
}

#[test]
fn a_closed_loop_has_as_many_outstanding_as_asked() {
    let reads = (0..400).map(|n| Op::new(0, OpKind::Read, n * 65536, 4096)).collect();
    let tape = Arc::new(Tape::of_ops("reads", reads, Found::WhatIsTouched));
    let mut job = Job { store: Some(Arc::new(crate::model::shipped::standard())), ..Job::new(settings(65536), tape) };
    job.settings.block_cache.read_ahead = Some(0);
    let seconds = |outstanding| {
        let simulated = run(&Job { pace: Pace::Closed { outstanding }, ..job.clone() }).unwrap();
        let most = simulated.utilisation.unwrap().in_flight_most;
        assert_eq!((most as usize, simulated.measured.lag.longest().as_nanos() <= 1), (outstanding, true));
        simulated.measured.elapsed.as_secs_f64()
    };
    let (one, eight) = (seconds(1), seconds(8));
    assert!((5.0..9.0).contains(&(one / eight)), "{one} s and {eight} s");
    // A host that takes a millisecond for each is never faster than that.
    let host = Host { per_operation: Duration::from_millis(1), ns_per_byte: 0.0 };
    let paid = run(&Job { pace: Pace::Closed { outstanding: 400 }, host, ..job.clone() }).unwrap();
    assert!(paid.measured.elapsed >= Duration::from_millis(400), "{:?}", paid.measured.elapsed);
    // Nor one whose only core takes as long for each request.
    let mut store = crate::model::shipped::standard();
    (store.cpu.cores, store.cpu.request_us) = (1, 1000.0);
    let busy = run(&Job { pace: Pace::Closed { outstanding: 400 }, store: Some(Arc::new(store)), ..job }).unwrap();
    assert!(busy.measured.elapsed >= Duration::from_millis(400), "{:?}", busy.measured.elapsed);
}

/// Between two operations lies more than a timer can hold.
#[test]
fn a_pause_of_days_is_simulated() {
    let far = 90 * 3_600_000_000_000;
    let ops = vec![Op::new(0, OpKind::Write, 0, 4096), Op::new(far, OpKind::Write, 0, 4096)];
    let simulated = run(&Job::new(settings(4096), Arc::new(Tape::of_ops("far", ops, Found::Nothing)))).unwrap();
    assert_eq!(simulated.ledger.store.puts, 2);
    assert!(simulated.measured.elapsed >= Duration::from_nanos(far), "{:?}", simulated.measured.elapsed);
}

#[test]
fn times_are_those_of_the_model_and_the_ledger_adds_up() {
    let simulated = run(&job(65536)).unwrap();
    let read = &simulated.measured.kind(OpKind::Read).latency;
    let longest = read.longest();
    assert!(longest > Duration::from_millis(20) && longest < Duration::from_secs(5), "{longest:?}");
    let Ledger { host, cache, store } = simulated.ledger;
    assert_eq!(host.reads + host.writes + host.flushes + host.discards, 2000);
    assert!(cache.read_misses + cache.merge_reads + cache.read_ahead >= store.gets, "{cache:?} {store:?}");
    assert!(cache.read_ahead_used <= cache.read_ahead && cache.zero_writes > 0 && store.header_bytes > 0, "{cache:?}");
    assert!((4096..=4 << 20).contains(&simulated.at_risk_bytes), "{}", simulated.at_risk_bytes);
    assert!(simulated.utilisation.unwrap().seconds > 5.0);
}

/// Rewrites sixteen blocks in turn, one a 10 ms, and flushes after every tenth write. The first write is far behind them: a
/// volume of sixteen blocks would bound the cache, and what is dirty in it.
fn flushed(writes: u64) -> Arc<Tape> {
    let ops = (0..writes).flat_map(|n| {
        let block = if n == 0 { 60 } else { n % 16 };
        let write = Op::new(n * 10_000_000, OpKind::Write, block * 65536, 4096);
        let flush = (n % 10 == 9).then(|| Op::new(n * 10_000_000 + 1, OpKind::Flush, 0, 0));
        [Some(write), flush].into_iter().flatten()
    });
    Arc::new(Tape::of_ops("flushed", ops.collect(), Found::WhatIsRead))
}

fn with_durability(durability: Durability, write_delay_s: u64) -> Job {
    let store = Some(Arc::new(crate::model::shipped::standard()));
    let mut job = Job { store, ..Job::new(settings(65536), flushed(1000)) };
    job.settings.durability = durability;
    job.settings.block_cache.write_delay = Duration::from_secs(write_delay_s);
    job.settings.block_cache.file = (durability == Durability::Journal).then(|| "never looked at".into());
    job
}

#[test]
fn a_journalled_flush_waits_for_the_disk_and_not_for_the_store() {
    let (stored, journalled) = (with_durability(Durability::Store, 2), with_durability(Durability::Journal, 2));
    let (stored, once) = (run(&stored).unwrap(), run(&journalled).unwrap());
    let flush = |simulated: &Simulated| simulated.measured.kind(OpKind::Flush).latency.percentile(50.0).as_secs_f64();
    assert_eq!(once.measured.failures(), 0, "{:?}", once.measured.first_failure);
    // Two syncs of 2 ms, and ten blocks of 64 KiB at 400 MB/s.
    assert!((0.0056..0.0060).contains(&flush(&once)), "{}", flush(&once));
    assert!(flush(&stored) > 0.015, "{}", flush(&stored));
    assert_eq!(once.ledger.cache.flush_stores, 0, "no flush hurries a store");
    let puts = |simulated: &Simulated| simulated.ledger.store.puts;
    assert!(puts(&once) * 4 < puts(&stored), "{} {}", puts(&once), puts(&stored));
    assert!(once.at_risk_bytes > stored.at_risk_bytes, "more is not in the bucket yet");
    assert_eq!(story(&once), story(&run(&journalled).unwrap()));
    let mut slow = crate::model::shipped::standard();
    slow.disk.sync_ms = 100.0;
    let slow = run(&Job { store: Some(Arc::new(slow)), ..journalled.clone() }).unwrap();
    assert!(flush(&slow) > 0.2, "{}", flush(&slow));
    let mut no_file = journalled;
    no_file.settings.block_cache.file = None;
    let error = format!("{:#}", run(&no_file).unwrap_err());
    assert!(error.contains("--block-cache-file"), "{error}");
}

#[test]
fn it_is_told_who_forced_the_stores() {
    let share = |durability, delay| {
        let cache = run(&with_durability(durability, delay)).unwrap().ledger.cache;
        cache.forced_by_flush().unwrap()
    };
    assert_eq!(share(Durability::Store, 0), 0.0, "due anyhow");
    // The rest comes when a slow request lets too many blocks become dirty.
    assert!(share(Durability::Store, 2) > 0.98);
    assert_eq!(share(Durability::None, 2), 0.0);
    let mut pressed = with_durability(Durability::None, 3600);
    pressed.settings.block_cache.max_dirty = 8;
    let cache = run(&pressed).unwrap().ledger.cache;
    assert!(cache.pressure_stores > 0 && cache.flush_stores == 0, "{cache:?}");
}
