//! What runs of each workload: all of it where that fits the time, else windows that stand for it, each from the state
//! that the cache would have had.
//!
//! Of that state only what the window itself touches is put in place: dirty blocks that it writes again, and blocks that
//! it reads or writes in part. Everything else would cost requests and change nothing that is measured; dirty blocks of
//! before that the window never touches are the business of before.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use s3b_engine::block_cache::resolve_size;
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::Settings;
use s3b_scenarios::{Op, OpKind};

use super::{Candidate, Case};
use crate::analysis::prime::{CacheShape, CachedBlock, ModelCache};
use crate::analysis::walk;
use crate::analysis::windows::{Picker, Selection, Window};
use crate::simulate::{Pace, Start, Tape};

/// The unit in which windows are told apart: the smallest block that anybody sweeps.
const UNIT: u64 = 4096;

/// A workload, or a window of it.
#[derive(Clone)]
pub struct Piece {
    /// Place among the cases.
    pub case: usize,
    pub tape: Arc<Tape>,
    /// `None`: the whole workload.
    pub window: Option<Window>,
    /// How many times its time and its operations go into the whole.
    pub times: f64,
    pub times_ops: f64,
    /// For each candidate, the cache when it begins.
    pub starts: Vec<Start>,
}

/// The pieces of a case, and the seconds of the whole in which nothing is asked.
pub(super) struct Cut {
    pub pieces: Vec<Piece>,
    pub idle_seconds: f64,
}

/// Seconds that one run of the case takes.
pub(super) fn seconds(case: &Case) -> f64 {
    let schedule = case.tape.summary.duration_ns as f64 / 1e9;
    if case.expected_seconds > 0.0 { case.expected_seconds } else { schedule }
}

/// Cuts a case so that one run of its pieces takes at most about `budget_s`.
pub(super) fn cut(
    number: usize,
    case: &Case,
    candidates: &[Candidate],
    budget_s: f64,
    memory: u64,
    seed: u64,
) -> Result<Cut> {
    let whole_s = seconds(case);
    let first = candidates.first().context("nothing to confirm")?;
    let (settings, starts) = case.tape.fit(&first.settings)?;
    let whole = || {
        let (tape, starts) = (case.tape.clone(), vec![Start::default(); candidates.len()]);
        let piece = Piece { case: number, tape, window: None, times: 1.0, times_ops: 1.0, starts };
        Cut { pieces: vec![piece], idle_seconds: 0.0 }
    };
    if whole_s <= budget_s {
        return Ok(whole());
    }
    let duration_ns = case.tape.summary.duration_ns;
    // In a closed loop the workload's own times only say what comes together.
    let budget_ns = (budget_s / whole_s * duration_ns as f64).max(1.0) as u64;
    let mut picker = Picker::new(duration_ns, budget_ns);
    walk(case.tape.ops()?, &starts, |op, at| picker.add(op, at))?;
    let selection = picker.pick(seed);
    if selection.windows.is_empty() {
        return Ok(whole());
    }
    debug_assert!(settings.volume.block_size.is_some_and(|size| size > 0));
    let states = states(case, candidates, &selection, memory)?;
    let mut pieces = Vec::new();
    for (place, window) in selection.windows.iter().enumerate() {
        let tape = Arc::new(case.tape.part(window.start_ns, window.end_ns)?);
        let mut starts = Vec::new();
        for (candidate, cached) in candidates.iter().zip(&states) {
            starts.push(start(&tape, &candidate.settings, &cached[place])?);
        }
        let all_ops = case.tape.summary.ops() as f64;
        let times_ops = window.weight_ops * all_ops / window.ops.max(1) as f64;
        let times = window.stands_for as f64;
        pieces.push(Piece { case: number, tape, window: Some(*window), times, times_ops, starts });
    }
    let idle_seconds = match case.pace {
        Pace::Schedule => selection.idle * duration_ns as f64 / 1e9,
        Pace::Closed { .. } => 0.0,
    };
    Ok(Cut { pieces, idle_seconds })
}

/// For each candidate and window, what its cache holds when the window begins.
fn states(
    case: &Case,
    candidates: &[Candidate],
    selection: &Selection,
    memory: u64,
) -> Result<Vec<Vec<Vec<CachedBlock>>>> {
    let mut known: Vec<(CacheShape, Vec<Vec<CachedBlock>>)> = Vec::new();
    let mut states = Vec::new();
    for candidate in candidates {
        let (settings, device_starts) = case.tape.fit(&candidate.settings)?;
        let shape = shape(&settings, memory)?;
        let found = known.iter().find(|(other, _)| *other == shape).map(|(_, cached)| cached.clone());
        let cached = match found {
            Some(cached) => cached,
            None => {
                let cached = at_windows(case, &device_starts, selection, shape)?;
                known.push((shape, cached.clone()));
                cached
            }
        };
        states.push(cached);
    }
    Ok(states)
}

fn shape(settings: &Settings, memory: u64) -> Result<CacheShape> {
    let block_size = settings.volume.block_size.unwrap_or(UNIT);
    let geometry = Geometry::new(block_size, settings.volume.size.unwrap_or(block_size))?;
    let blocks = resolve_size(&settings.block_cache, geometry, memory).memory.max(1) as usize;
    let write_delay_ns = settings.block_cache.write_delay.as_nanos() as u64;
    Ok(CacheShape { block_size, blocks, write_delay_ns })
}

/// One pass over the workload.
fn at_windows(
    case: &Case,
    device_starts: &[u64],
    selection: &Selection,
    shape: CacheShape,
) -> Result<Vec<Vec<CachedBlock>>> {
    let mut cache = ModelCache::new(shape);
    let mut found = Vec::new();
    let begins = |n: usize| selection.windows.get(n).map(|window| window.start_ns);
    walk(case.tape.ops()?, device_starts, |op, at| {
        while let Some(begin) = begins(found.len()).filter(|begin| op.time_ns >= *begin) {
            found.push(cache.at(begin));
        }
        if found.len() < selection.windows.len() {
            cache.add(op, at);
        }
    })?;
    Ok(found)
}

/// The part of a state that the window meets.
fn start(tape: &Tape, settings: &Settings, cached: &[CachedBlock]) -> Result<Start> {
    let (settings, device_starts) = tape.fit(settings)?;
    let block_size = settings.volume.block_size.unwrap_or(UNIT);
    let geometry = Geometry::new(block_size, settings.volume.size.unwrap_or(block_size))?;
    let (mut written, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut touch = |op: &Op, at: u64| {
        if !matches!(op.kind, OpKind::Read | OpKind::Write) {
            return;
        }
        for piece in geometry.pieces(at, op.len) {
            if op.kind == OpKind::Write {
                written.insert(u64::from(piece.block.0));
            }
            if op.kind == OpKind::Read || piece.len < geometry.block_size() {
                needed.insert(u64::from(piece.block.0));
            }
        }
    };
    walk(tape.ops()?, &device_starts, &mut touch)?;
    let mut start = Start::default();
    for one in cached {
        let range = (one.block * block_size, block_size);
        if one.is_dirty && written.contains(&one.block) {
            start.dirty.push(range);
        } else if needed.contains(&one.block) {
            start.resident.push(range);
        }
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Found;

    /// 600 s: a write and a read of two alternating blocks each second, a burst in the second half.
    fn case(expected_seconds: f64) -> Case {
        let mut ops = Vec::new();
        for second in 0..600u64 {
            let repeats = if second < 300 { 1 } else { 20 };
            for n in 0..repeats {
                let time = second * 1_000_000_000 + n * 1_000_000;
                ops.push(Op::new(time, OpKind::Write, (second % 2) << 16, 4096));
                ops.push(Op::new(time + 1000, OpKind::Read, (2 + second % 2) << 16, 4096));
            }
        }
        let tape = Arc::new(Tape::of_ops("t", ops, Found::WhatIsRead));
        Case { workload: 0, tape, pace: Pace::Schedule, weight: 1.0, expected_seconds, budget_seconds: None }
    }

    fn candidates() -> Vec<Candidate> {
        let mut settings = Settings::default();
        settings.volume.block_size = Some(65536);
        vec![Candidate { configuration: 0, settings }]
    }

    #[test]
    fn what_fits_is_run_whole() {
        let cut = cut(0, &case(0.0), &candidates(), 600.0, 1 << 30, 1).unwrap();
        assert!(cut.pieces.len() == 1 && cut.pieces[0].window.is_none());
    }

    #[test]
    fn windows_stand_for_the_whole_and_begin_warm() {
        let case = case(0.0);
        let cut = cut(0, &case, &candidates(), 60.0, 1 << 30, 1).unwrap();
        assert!(cut.pieces.len() >= 2, "quiet and busy differ");
        let ops: f64 = cut.pieces.iter().map(|piece| piece.tape.summary.ops() as f64 * piece.times_ops).sum();
        assert!((ops / case.tape.summary.ops() as f64 - 1.0).abs() < 0.01, "{ops}");
        let took: f64 = cut.pieces.iter().map(|piece| piece.tape.summary.duration_ns as f64 / 1e9).sum();
        assert!(took <= 60.0, "{took}");
        let later = cut.pieces.iter().find(|piece| piece.window.unwrap().start_ns > 0).unwrap();
        assert_eq!(later.tape.summary.device_ends, case.tape.summary.device_ends, "the same volume");
        let start = &later.starts[0];
        let blocks = |ranges: &[(u64, u64)]| ranges.iter().map(|(at, _)| at >> 16).collect::<BTreeSet<_>>();
        assert!(blocks(&start.resident).is_superset(&[2, 3].into()), "{start:?}");
        assert!(blocks(&start.resident).union(&blocks(&start.dirty)).count() == 4, "{start:?}");
    }
}
