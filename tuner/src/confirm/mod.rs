//! Real runs of a few candidates, to confirm (or refute) what was simulated, within a budget of money and time.
//!
//! ```text
//! plan (windows, rounds, worst case in dollars) -> run (interleaved rounds, A/A pair, hold-out) -> judge (trust)
//! ```
//!
//! `plan` sends nothing; it simulates the very pieces that will run, from the same state of the cache, so that prediction
//! and measurement are of the same thing. `run` stays within the plan and the budget of its place, keeps only whole
//! rounds, and ends early where rounds have shown the choice. `judge` compares; it never chooses.

mod cut;
mod decide;
mod judge;
mod once;
mod plan;
mod pool;
mod rounds;
mod wear;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use s3b_engine::settings::Settings;

pub use self::cut::Piece;
pub use self::judge::judge;
pub use self::plan::{OPENING, Plan, Setup, plan};
pub use self::rounds::{Keep, run};
use crate::answer::goal::GoalKind;
use crate::model::StoreModel;
pub use crate::outcome::rounds::{OneRun, Round};
use crate::outcome::{Difference, Figures, PriceTable};
use crate::prices::Reader;
use crate::simulate::{Pace, Tape};

/// A configuration to run for real.
#[derive(Clone)]
pub struct Candidate {
    /// Index into `Outcome::configurations`.
    pub configuration: usize,
    pub settings: Settings,
}

/// What real runs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To choose: over once it is decided, and the best then runs once more in a round that does not choose. Only whole
    /// rounds count; candidates are left out where money or time do not suffice.
    Choose,
    /// To judge the model: every round is run, nobody is left out, and a round that was cut short counts as far as it
    /// came.
    Judge,
}

/// A workload, and how it is run.
#[derive(Clone)]
pub struct Case {
    /// Index into `Outcome::workloads`.
    pub workload: usize,
    pub tape: Arc<Tape>,
    pub pace: Pace,
    /// Share in the score; those of all cases add up to 1.
    pub weight: f64,
    /// How long a run of the whole takes: the largest simulated seconds of the candidates; 0: as long as its schedule.
    pub expected_seconds: f64,
    /// Seconds that one run may take, else windows stand for it; nothing: its share of the time there is.
    pub budget_seconds: Option<f64>,
}

/// What is to be confirmed, within which bounds.
#[derive(Clone)]
pub struct Wanted {
    pub purpose: Purpose,
    /// The expected best first; the default among them. Where money or time do not suffice for all, the last go first,
    /// but never the first or the one named by `keep`.
    pub candidates: Vec<Candidate>,
    /// Place among the candidates of one that is never left out: the default.
    pub keep: Option<usize>,
    pub cases: Vec<Case>,
    pub goal: GoalKind,
    /// What predicts; nothing: only requests are predicted, and nothing is said of times.
    pub model: Option<Arc<StoreModel>>,
    pub prices: PriceTable,
    pub reader: Reader,
    /// `None`: the store is free (a directory).
    pub max_dollars: Option<f64>,
    pub max_time: Duration,
    /// Rounds, without the hold-out; at least 1.
    pub most_rounds: u32,
    pub seed: u64,
}

/// Which candidate would be recommended, from what was measured of each candidate and case and the noise floor; nothing:
/// none of them.
pub type Chooser<'a> = dyn Fn(&[Vec<Figures>], Option<f64>) -> Option<usize> + 'a;

/// How far a run is, for people.
#[derive(Clone, Debug)]
pub struct Step {
    pub done: u64,
    /// As planned; fewer when it stops early.
    pub of: u64,
    pub what: String,
    pub spent_dollars: f64,
}

/// What real runs gave.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Whole rounds, hold-out included; the journal's form of the result.
    pub rounds: Vec<Round>,
    /// The round that was cut short; only of those that are to judge.
    pub unfinished: Option<Round>,
    /// For each candidate and case: per run of the whole workload (windows weighted by what they stand for, times and
    /// counts the mean over the rounds), percentiles pooled over the rounds. `runs`: rounds pooled.
    pub measured: Vec<Vec<Figures>>,
    /// For each candidate, choosing round and case: seconds.
    pub seconds: Vec<Vec<Vec<f64>>>,
    /// For each candidate and choosing round: the goal's loss, weighted geometric mean over the cases.
    pub losses: Vec<Vec<f64>>,
    /// For each candidate, choosing round and case: the goal's loss.
    pub case_losses: Vec<Vec<Vec<f64>>>,
    /// Place among the candidates of the one that the choosing rounds recommend; `None` without any.
    pub best: Option<usize>,
    /// The others against it, by losses; `other` is the index of the configuration.
    pub differences: Vec<Difference>,
    /// What two runs of the same configuration differ by: 95th percentile over rounds and cases of |a/b - 1| of the loss.
    pub noise_floor: Option<f64>,
    /// Of the recommended one in the hold-out round: its loss / that of the choosing rounds.
    pub hold_out: Option<f64>,
    /// `interrupted`, `out of time`, `out of money`, or what failed; nothing: done, perhaps early because decided.
    pub stopped: Option<String>,
    /// Throttling, retries, a busy client, failures, early stops: sentences.
    pub notes: Vec<String>,
    /// What the engine said when volumes were opened.
    pub notices: BTreeSet<String>,
}

#[cfg(test)]
mod tests;
