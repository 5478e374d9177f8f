use std::num::NonZeroUsize;

use s3b_engine::settings::CacheSize;
use s3b_scenarios::{Op, OpKind};

use super::*;

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
    let Simulated { measured, requests, ledger, utilisation, ended, notices } = simulated;
    format!("{measured:?} {requests:?} {ledger:?} {utilisation:?} {ended:?} {notices:?}")
}

#[test]
fn the_same_job_gives_the_same_result() {
    let (one, two) = (run(&job(65536)).unwrap(), run(&job(65536)).unwrap());
    assert_eq!(story(&one), story(&two));
    assert!(one.requests.puts > 100 && one.requests.gets > 100 && one.requests.deletes > 10, "{:?}", one.requests);
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
