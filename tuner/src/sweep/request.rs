//! What a sweep is asked, settled: workloads, store, goal, bounds.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::subjects::Chosen;
use super::target::Target;
use crate::answer::goal::GoalKind;
use crate::answer::slo::Constraints;
use crate::outcome::PriceTable;
use crate::prices::Reader;

/// What was asked.
pub struct Request {
    pub chosen: Chosen,
    pub target: Target,
    pub prices: PriceTable,
    pub reader: Reader,
    pub goal: GoalKind,
    pub constraints: Constraints,
    pub vary: Vec<String>,
    /// Leaders to confirm on the real store.
    pub confirm: u8,
    pub max_cost: f64,
    pub max_time: Duration,
    pub rounds: u16,
    pub seed: u64,
    pub jobs: Option<NonZeroUsize>,
    pub dry_run: bool,
    pub sim_only: bool,
    pub real_only: bool,
    /// Go on with this run.
    pub resume: Option<String>,
}
