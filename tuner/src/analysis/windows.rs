//! A few windows that stand for a long workload, so that it can be confirmed for real in minutes.
//!
//! The workload is cut into windows of equal length, at most a minute each; like ones are clustered by their features, and each
//! cluster is represented by one window, weighted by the time its cluster takes and by the operations in it. Idle windows need no run.
//! No more windows are picked than needed: the fewest whose weighted requests, bytes, flushes, first accesses and stores all come
//! within 5 % of the whole workload's; where no number of windows that may be picked does, the one that comes nearest.

use s3b_scenarios::Op;
use serde::Serialize;

use super::features::{Activity, Cutter, FEATURES, READS, TOTAL_NAMES, TOTALS};
use super::medoids::{self, Clusters, Members};
use crate::outcome::run::WindowInfo;

/// A window is never longer, in nanoseconds.
pub const WINDOW_MAX_NS: u64 = 60_000_000_000;
/// Shorter ones would mostly show how a run starts.
const WINDOW_MIN_NS: u64 = 10_000_000_000;
/// More are never picked.
const WINDOWS_MAX: usize = 8;
/// Windows whose weighted totals are this near the whole are enough.
const NEAR: f64 = 0.05;
/// Kinds of requests rarer than this are not asked to come near.
const RARE: f64 = 0.01;
/// So many of a cluster, those nearest to its medoid, may represent it.
const CANDIDATES: usize = 12;

/// A part of the workload to run, and how much of the whole it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    pub start_ns: u64,
    /// Exclusive.
    pub end_ns: u64,
    pub ops: u64,
    /// The share of the whole time: weights results per time (rates, cost per month).
    pub weight_time: f64,
    /// The share of all operations: weights results per operation (latencies, stores per write).
    pub weight_ops: f64,
    /// How many windows it stands for, itself included.
    pub stands_for: usize,
}

impl From<&Window> for WindowInfo {
    fn from(window: &Window) -> Self {
        let [start_s, end_s] = [window.start_ns, window.end_ns].map(|ns| ns as f64 / 1e9);
        Self { start_s, end_s, weight: window.weight_time }
    }
}

/// The windows picked, by time. Their `weight_time` and `idle` add up to 1, and so do their `weight_ops`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Selection {
    /// The length of each window.
    pub window_ns: u64,
    pub windows: Vec<Window>,
    /// The share of the time in windows where nothing is asked.
    pub idle: f64,
    /// The largest relative difference between the weighted windows and the whole, and in what.
    pub worst_error: f64,
    pub worst_in: &'static str,
}

impl Selection {
    /// What running all of them takes at trace pace.
    pub fn run_ns(&self) -> u64 {
        self.windows.iter().map(|window| window.end_ns - window.start_ns).sum()
    }
}

/// Picks windows from one pass over a workload whose duration is known.
pub struct Picker {
    cutter: Cutter,
    window_ns: u64,
    count: u64,
    most: usize,
}

impl Picker {
    /// `duration_ns`: start of the last operation. All windows picked take at most `budget_ns` together (at least a nanosecond).
    pub fn new(duration_ns: u64, budget_ns: u64) -> Self {
        let budget = budget_ns.max(1);
        let whole = duration_ns.saturating_add(1);
        let longest = if whole <= budget.min(WINDOW_MAX_NS) {
            whole
        } else {
            (budget / WINDOWS_MAX as u64).clamp(WINDOW_MIN_NS, WINDOW_MAX_NS).min(budget)
        };
        let count = whole.div_ceil(longest);
        let window_ns = whole.div_ceil(count);
        let most = (budget / window_ns).clamp(1, WINDOWS_MAX as u64) as usize;
        Self { cutter: Cutter::new(window_ns), window_ns, count, most }
    }

    /// Takes the next operation, whose first byte in the volume is `at`.
    pub fn add(&mut self, op: &Op, at: u64) {
        self.cutter.add(op, at);
    }

    /// The same operations and seed give the same windows. Nothing is picked of a workload without operations.
    pub fn pick(self, seed: u64) -> Selection {
        let busy = self.cutter.finish();
        let idle = 1.0 - busy.len() as f64 / self.count as f64;
        let whole = Whole::of(&busy);
        let mut best: Option<Choice> = None;
        for clusters in clusterings(&busy, whole.ops, self.window_ns, self.most, seed) {
            let choice = whole.best_choice(clusters);
            let better = best.as_ref().is_none_or(|best| choice.error.0 < best.error.0);
            if better {
                best = Some(choice);
            }
            if best.as_ref().is_some_and(|best| best.error.0 <= NEAR) {
                break;
            }
        }
        let Some(choice) = best else {
            return Selection { window_ns: self.window_ns, windows: Vec::new(), idle, worst_error: 0.0, worst_in: "" };
        };
        let window = |(chosen, members): (&usize, &Vec<usize>)| {
            let start_ns = busy[*chosen].number * self.window_ns;
            let ops: u64 = members.iter().map(|one| busy[*one].all_ops()).sum();
            Window {
                start_ns,
                end_ns: start_ns + self.window_ns,
                ops: busy[*chosen].all_ops(),
                weight_time: members.len() as f64 / self.count as f64,
                weight_ops: ops as f64 / whole.ops as f64,
                stands_for: members.len(),
            }
        };
        let mut windows: Vec<Window> = choice.chosen.iter().zip(&choice.members).map(window).collect();
        windows.sort_by_key(|window| window.start_ns);
        let (worst_error, worst_in) = choice.error;
        Selection { window_ns: self.window_ns, windows, idle, worst_error, worst_in }
    }
}

/// A window counts half for its time and half for its operations: quiet hours should not outvote the busy ones.
fn clusterings(
    busy: &[Activity],
    ops: u64,
    window_ns: u64,
    most: usize,
    seed: u64,
) -> Vec<(Clusters, Vec<Vec<usize>>)> {
    let seconds = window_ns as f64 / 1e9;
    let mut points: Vec<[f64; FEATURES]> = busy.iter().map(|one| one.features(seconds)).collect();
    let weight = |one: &Activity| 0.5 / busy.len() as f64 + 0.5 * one.all_ops() as f64 / ops as f64;
    let weights: Vec<f64> = busy.iter().map(weight).collect();
    medoids::scale(&mut points, &weights);
    let members = Members { points: &points, weights: &weights };
    let found = members.clusterings(most, seed).into_iter();
    found
        .map(|clusters| {
            let around = (0..clusters.medoids.len()).map(|one| members.around(&clusters, one)).collect();
            (clusters, around)
        })
        .collect()
}

/// What the windows picked should add up to.
struct Whole<'a> {
    busy: &'a [Activity],
    totals: [f64; TOTALS],
    ops: u64,
}

/// One window for each cluster.
struct Choice {
    chosen: Vec<usize>,
    members: Vec<Vec<usize>>,
    error: (f64, &'static str),
}

impl<'a> Whole<'a> {
    fn of(busy: &'a [Activity]) -> Self {
        let mut totals = [0.0; TOTALS];
        for one in busy {
            totals.iter_mut().zip(one.totals()).for_each(|(sum, value)| *sum += value);
        }
        Self { busy, totals, ops: busy.iter().map(Activity::all_ops).sum() }
    }

    /// Begins with the medoids and goes on to others near them as long as that brings the sums nearer to the whole.
    fn best_choice(&self, (clusters, members): (Clusters, Vec<Vec<usize>>)) -> Choice {
        let mut chosen = clusters.medoids;
        let in_cluster = |members: &Vec<usize>| Cluster {
            windows: members.len() as f64,
            ops: members.iter().map(|one| self.busy[*one].all_ops()).sum::<u64>() as f64,
        };
        let sizes: Vec<Cluster> = members.iter().map(in_cluster).collect();
        let mut error = self.error(&chosen, &sizes);
        loop {
            let before = error.squares;
            for cluster in 0..chosen.len() {
                for candidate in members[cluster].iter().take(CANDIDATES) {
                    let mut other = chosen.clone();
                    other[cluster] = *candidate;
                    let found = self.error(&other, &sizes);
                    if found.squares < error.squares {
                        (chosen, error) = (other, found);
                    }
                }
            }
            if error.squares >= before {
                return Choice { chosen, members, error: error.worst };
            }
        }
    }

    fn error(&self, chosen: &[usize], clusters: &[Cluster]) -> Error {
        let (mut sums, mut reads) = ([0.0; TOTALS], 0.0);
        for (one, cluster) in chosen.iter().zip(clusters) {
            let window = &self.busy[*one];
            sums.iter_mut().zip(window.totals()).for_each(|(sum, value)| *sum += value * cluster.windows);
            reads += cluster.ops * window.totals()[READS] / window.all_ops() as f64;
        }
        let mut error = Error { squares: 0.0, worst: (0.0, "requests") };
        let asked = (0..TOTALS).filter(|n| self.totals[*n] > RARE * self.ops as f64);
        for n in asked {
            error.add((sums[n] / self.totals[n] - 1.0).abs(), TOTAL_NAMES[n]);
        }
        // Weighted by operations, the mix should be right too.
        error.add((reads - self.totals[READS]).abs() / self.ops as f64, "the share of reads");
        error
    }
}

struct Cluster {
    windows: f64,
    ops: f64,
}

struct Error {
    squares: f64,
    worst: (f64, &'static str),
}

impl Error {
    fn add(&mut self, difference: f64, what: &'static str) {
        self.squares += difference * difference;
        if difference > self.worst.0 {
            self.worst = (difference, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use s3b_scenarios::OpKind;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn pick(ops: &[Op], budget_s: u64) -> Selection {
        let mut picker = Picker::new(ops.last().map_or(0, |op| op.time_ns), budget_s * S);
        ops.iter().for_each(|op| picker.add(op, op.offset));
        picker.pick(1)
    }

    /// Twenty minutes of slow reads, ten of fast writes, ten of nothing, twenty of slow reads.
    fn day() -> Vec<Op> {
        let read = |s: u64| Op::new(s * S, OpKind::Read, s % 100 * 4096, 4096);
        let write = |n: u64| Op::new(1200 * S + n * S / 50, OpKind::Write, n * 65536, 65536);
        let reads = (0..1200).chain([2400]).chain(2400..3600);
        let mut ops: Vec<Op> = reads.map(read).chain((0..30_000).map(write)).collect();
        ops.sort_by_key(|op| op.time_ns);
        ops
    }

    #[test]
    fn few_windows_stand_for_the_whole() {
        let found = pick(&day(), 480);
        let picked: Vec<(bool, usize)> =
            found.windows.iter().map(|one| (one.start_ns >= 1190 * S, one.stands_for)).collect();
        assert_eq!(found.window_ns.div_ceil(S), 60);
        assert!(found.windows.len() <= 5 && found.worst_error <= NEAR, "{found:?}");
        assert!(picked.iter().any(|one| one.0) && picked.iter().any(|one| !one.0), "{picked:?}");
        let time: f64 = found.windows.iter().map(|one| one.weight_time).sum();
        let ops: f64 = found.windows.iter().map(|one| one.weight_ops).sum();
        assert!((time + found.idle - 1.0).abs() < 1e-9 && (ops - 1.0).abs() < 1e-9);
        assert!((found.idle - 1.0 / 6.0).abs() < 0.02, "{}", found.idle);
        assert_eq!(found, pick(&day(), 480));
    }

    #[test]
    fn the_budget_is_kept() {
        for budget in [1, 5, 30, 100, 240, 600] {
            let found = pick(&day(), budget);
            assert!(found.run_ns() <= budget * S && !found.windows.is_empty(), "{budget}: {found:?}");
            assert!(found.window_ns <= WINDOW_MAX_NS);
        }
    }

    #[test]
    fn a_short_workload_is_one_window_and_an_empty_one_none() {
        let found = pick(&day()[..20], 60);
        assert_eq!((found.windows.len(), found.worst_error, found.idle), (1, 0.0, 0.0));
        assert_eq!((found.windows[0].start_ns, found.windows[0].end_ns), (0, 19 * S + 1));
        assert_eq!((found.windows[0].weight_time, found.windows[0].weight_ops), (1.0, 1.0));
        assert_eq!((pick(&[], 60).windows.len(), pick(&[], 60).idle), (0, 1.0));
    }
}
