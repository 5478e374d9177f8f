//! Windows of a real trace: a few minutes of two hours, weighted, against the whole.

use s3b_scenarios::{Op, OpKind};
use s3b_tuner::analysis::prime::{CacheShape, ModelCache};
use s3b_tuner::analysis::windows::{Picker, Selection, Window};

use crate::recorded;

const S: u64 = 1_000_000_000;

fn pick(ops: &[Op], budget_s: u64) -> Selection {
    let mut picker = Picker::new(ops[ops.len() - 1].time_ns, budget_s * S);
    ops.iter().for_each(|op| picker.add(op, op.offset));
    picker.pick(1)
}

fn within<'a>(ops: &'a [Op], window: &Window) -> &'a [Op] {
    let first = ops.partition_point(|op| op.time_ns < window.start_ns);
    &ops[first..ops.partition_point(|op| op.time_ns < window.end_ns)]
}

fn read_share(ops: &[Op]) -> f64 {
    ops.iter().filter(|op| op.kind == OpKind::Read).count() as f64 / ops.len() as f64
}

/// Requests per second within 5 % of the whole (most of them come in a few bursts), the share of reads within 0.03.
#[test]
fn weighted_windows_are_near_the_whole() {
    let Some(ops) = recorded::vm_io() else { return };
    for budget in [120, 300, 480] {
        let found = pick(&ops, budget);
        let (time, share): (f64, f64) =
            found.windows.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.weight_time, sum.1 + one.weight_ops));
        assert!((time + found.idle - 1.0).abs() < 1e-9 && (share - 1.0).abs() < 1e-9);
        let whole = ops.len() as f64 / 7200.09;
        let (mut rate, mut reads) = (0.0, 0.0);
        for one in &found.windows {
            let inside = within(&ops, one);
            assert_eq!(inside.len() as u64, one.ops);
            rate += one.weight_time * inside.len() as f64 / ((one.end_ns - one.start_ns) as f64 / 1e9);
            reads += one.weight_ops * read_share(inside);
        }
        let (rate_error, mix_error) = (rate / whole - 1.0, reads - read_share(&ops));
        let (worst, what) = (found.worst_error, found.worst_in);
        eprintln!(
            "{budget} s: {} windows, {} s; rate {:+.1} %, share of reads {mix_error:+.3}; worst {worst:.3} in {what}",
            found.windows.len(),
            found.run_ns() / S,
            rate_error * 100.0
        );
        assert!(rate_error.abs() < 0.05 && mix_error.abs() < 0.03 && worst < 0.1, "{found:?}");
        assert!(found.run_ns() <= budget * S);
    }
}

/// A cache primed by what came before hits in a window what the whole run would hit there.
#[test]
fn a_primed_window_hits_as_the_whole_run_does() {
    let Some(ops) = recorded::vm_io() else { return };
    let shape = CacheShape { block_size: 65536, blocks: 2048, write_delay_ns: S };
    let start = 5607 * S;
    let (before, after) = ops.split_at(ops.partition_point(|op| op.time_ns < start));
    let (mut whole, mut primed, mut cold) = (ModelCache::new(shape), ModelCache::new(shape), ModelCache::new(shape));
    before.iter().for_each(|op| whole.add(op, op.offset));
    let held = whole.at(start);
    assert_eq!(held.len(), 2048);
    for one in &held {
        primed.add(&Op::new(start, OpKind::Read, one.block * 65536, 65536), one.block * 65536);
    }
    for op in &after[..500] {
        [&mut whole, &mut primed, &mut cold].into_iter().for_each(|cache| cache.add(op, op.offset));
    }
    let blocks = |cache: &ModelCache| cache.at(5700 * S).iter().map(|one| one.block).collect::<Vec<_>>();
    assert_eq!(blocks(&primed), blocks(&whole));
    assert_ne!(blocks(&cold), blocks(&whole));
}
