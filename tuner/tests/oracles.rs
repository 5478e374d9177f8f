//! What the simulation must reproduce: PUT counts of recorded traces, and LRU hit ratios. A part of the questions, chosen
//! for time; `s3b-tuner validate --oracles DIR` asks all of them.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use s3b_scenarios::random::Random;
use s3b_scenarios::{Op, OpKind};
use s3b_tuner::oracles::{Case, HIT_RATIOS, Sample, Samples, ask, exact_lru, simulate_lru, simulate_puts};

/// The traces with known answers, or a visible skip.
fn samples() -> Option<Samples> {
    let samples = Samples(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"));
    if samples.0.is_dir() {
        return Some(samples);
    }
    // Even in CI: the traces are not part of the tree.
    eprintln!("SKIPPED: {} is absent", samples.0.display());
    None
}

/// Answers all cases that `chosen` takes, and says which are wrong.
fn check(chosen: impl Fn(&Case) -> bool, at_least: usize) {
    let Some(samples) = samples() else { return };
    let cases: Vec<Case> = Case::all().into_iter().filter(chosen).collect();
    assert!(cases.len() >= at_least, "{} cases chosen", cases.len());
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let answers = ask(&samples, &cases, threads, &mut |_| {}).unwrap();
    let wrong: Vec<_> = answers.iter().filter(|answer| !answer.is_right()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn puts_are_those_that_the_traces_give() {
    let chosen = |case: &Case| match case {
        Case::Puts { sample, block_size, delay_ms, .. } => match sample {
            Sample::VmIo => matches!(block_size >> 10, 64 | 1024) && *delay_ms != 1000,
            Sample::Sqlite => *block_size >= 64 << 10,
            Sample::Postmark => *block_size == 1 << 20,
            Sample::Oltp => false,
        },
        Case::HitRatio(_) => false,
    };
    check(chosen, 23);
}

#[test]
fn hits_are_those_of_lru() {
    let chosen = |case: &Case| match case {
        Case::HitRatio(row) => match row.sample {
            Sample::Oltp => row.blocks == 5000,
            Sample::VmIo => row.blocks == 65_536,
            Sample::Sqlite => row.blocks == 1024,
            Sample::Postmark => false,
        },
        Case::Puts { .. } => false,
    };
    check(chosen, 3);
}

/// The reference that small traces are compared with agrees with the published numbers itself.
#[test]
fn the_exact_count_of_lru_hits_is_the_published_one() {
    let Some(samples) = samples() else { return };
    let ops = samples.ops(Sample::Oltp).unwrap();
    assert_eq!(ops.len(), 914_145);
    for row in HIT_RATIOS.iter().filter(|row| row.sample == Sample::Oltp && row.blocks <= 2000) {
        let found = exact_lru(&ops, row.blocks);
        assert!((found - row.ratio).abs() < 0.0001, "{row:?}: {found}");
    }
}

/// Reads and writes of one to four blocks, some of them over and over; not aligned.
fn made_up(seed: u64, ops: u64) -> Vec<Op> {
    let mut random = Random::new(seed);
    let op = |n: u64| {
        let kind = if random.below(3) == 0 { OpKind::Read } else { OpKind::Write };
        let span = if random.below(2) == 0 { 64 << 10 } else { 2 << 20 };
        let (offset, len) = (random.below(span / 512) * 512, (1 + random.below(24)) * 512);
        Op::new(n * 40_000_000 + random.below(30_000_000), kind, offset, len)
    };
    (0..ops).map(op).collect()
}

/// Without any trace at hand: the engine's cache is LRU to the last hit.
#[test]
fn every_hit_of_a_made_up_workload_is_one_of_lru() {
    let ops = made_up(1, 3000);
    for blocks in [8, 40, 200] {
        let (exact, found) = (exact_lru(&ops, blocks), simulate_lru(&ops, blocks).unwrap());
        assert!((exact - found).abs() < 0.002, "{blocks} blocks: {found}, exactly {exact}");
    }
    assert!(exact_lru(&ops, 8) + 0.1 < exact_lru(&ops, 200));
}

/// A longer delay or a larger block never costs a PUT more.
#[test]
fn puts_never_grow_with_the_delay_or_the_block() {
    for seed in 2..5 {
        let ops = made_up(seed, 600);
        let mut before: Option<Vec<u64>> = None;
        for block_size in [4 << 10, 16 << 10, 64 << 10, 1 << 20] {
            let puts = |ms| simulate_puts(&ops, block_size, Duration::from_millis(ms)).unwrap().ledger.store.puts;
            let row: Vec<u64> = [0, 1, 100, 1000, 10_000, 100_000].into_iter().map(puts).collect();
            assert!(row.is_sorted_by(|a, b| a >= b), "seed {seed}, {block_size}: {row:?}");
            if let Some(smaller) = before.replace(row.clone()) {
                assert!(
                    row.iter().zip(&smaller).all(|(a, b)| a <= b),
                    "seed {seed}, {block_size}: {row:?} {smaller:?}"
                );
            }
        }
    }
}
