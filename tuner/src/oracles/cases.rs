//! Everything the two oracles ask, as one list.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_scenarios::Op;

use super::hit_ratios::{HIT_RATIOS, HitRatio, simulate_lru};
use super::put_counts::{DELAYS_MS, PUT_COUNTS, simulate_puts};
use super::samples::{Sample, Samples};
use crate::simulate::in_parallel;

/// PUT counts agree within this share of the expected.
pub const PUTS_TOLERANCE: f64 = 0.005;

/// Hit ratios agree within this.
pub const RATIO_TOLERANCE: f64 = 0.005;

/// One question.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    Puts { sample: Sample, block_size: u64, delay_ms: u64, expected: u64 },
    HitRatio(HitRatio),
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub case: Case,
    pub found: Result<f64>,
}

impl Case {
    /// All there are.
    pub fn all() -> Vec<Case> {
        let puts = PUT_COUNTS.iter().flat_map(|row| {
            let of = |(delay_ms, expected)| Case::Puts {
                sample: row.sample,
                block_size: row.block_size,
                delay_ms,
                expected,
            };
            DELAYS_MS.into_iter().zip(row.puts).map(of)
        });
        puts.chain(HIT_RATIOS.into_iter().map(Case::HitRatio)).collect()
    }

    pub fn sample(&self) -> Sample {
        match self {
            Self::Puts { sample, .. } => *sample,
            Self::HitRatio(row) => row.sample,
        }
    }

    pub fn expected(&self) -> f64 {
        match self {
            Self::Puts { expected, .. } => *expected as f64,
            Self::HitRatio(row) => row.ratio,
        }
    }

    fn ask(&self, ops: &[Op]) -> Result<f64> {
        match self {
            Self::Puts { block_size, delay_ms, .. } => {
                let simulated = simulate_puts(ops, *block_size, Duration::from_millis(*delay_ms))?;
                Ok(simulated.ledger.store.puts as f64)
            }
            Self::HitRatio(row) => simulate_lru(ops, row.blocks),
        }
    }
}

impl Answer {
    pub fn is_right(&self) -> bool {
        let (Ok(found), expected) = (&self.found, self.case.expected()) else { return false };
        let error = (found - expected).abs();
        match self.case {
            Case::Puts { .. } => error <= PUTS_TOLERANCE * expected,
            Case::HitRatio(_) => error <= RATIO_TOLERANCE,
        }
    }
}

/// Asks the engine each case, in the order given.
///
/// # Errors
/// A sample that cannot be read.
pub fn ask(
    samples: &Samples,
    cases: &[Case],
    threads: NonZeroUsize,
    told: &mut dyn FnMut(&Answer),
) -> Result<Vec<Answer>> {
    let mut ops: BTreeMap<Sample, Vec<Op>> = BTreeMap::new();
    for case in cases {
        if let Entry::Vacant(place) = ops.entry(case.sample()) {
            place.insert(samples.ops(case.sample())?);
        }
    }
    let work = |case: &Case| Answer { case: *case, found: case.ask(&ops[&case.sample()]) };
    let answers = in_parallel(cases, threads, work, &mut |_, answer| told(answer), &AtomicBool::new(false));
    answers.into_iter().map(|answer| answer.context("a case was left out")).collect()
}
