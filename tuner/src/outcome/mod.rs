//! What a sweep came to, as data: the one form that the table, the JSON, the report page, `explain` and `compare` read.
//!
//! Plain numbers in stated units, no behaviour that needs a store. The JSON form is versioned ([`SCHEMA`]): a field may
//! be added within a version, never renamed or given another meaning.

pub mod answer;
pub mod figures;
mod number;
pub mod rounds;
pub mod run;
pub mod trust;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Limit, Reason, Regret};
pub use figures::{CacheLedger, Figures, HostLedger, KindFigures, Latency, Ledger, StoreLedger};
pub use run::{
    Axis, Environment, Goal, MissRatioCurve, Place, PlaceKind, PriceTable, RunInfo, WindowInfo, WorkloadInfo,
    WorkloadSource,
};
pub use trust::{Confirmation, Difference, Trust, Verdict};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "s3b-sweep/1";

/// A whole sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: String,
    pub run: RunInfo,
    pub environment: Environment,
    pub place: Place,
    pub prices: PriceTable,
    pub goal: Goal,
    pub workloads: Vec<WorkloadInfo>,
    pub axes: Vec<Axis>,
    pub configurations: Vec<Configuration>,
    /// Combinations that were not tried.
    pub left_out: Vec<LeftOut>,
    /// `None`: nothing usable was found; `trust.notes` says why.
    pub answer: Option<Answer>,
    pub trust: Trust,
}

/// A combination that was not tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// One for each axis.
    pub values: Vec<String>,
    pub why: String,
}

/// One combination of values and what it gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// One for each axis, as written: `256k`, `32`, `250ms`.
    pub values: Vec<String>,
    /// The settings of a mount, as `s3b.toml` holds them.
    pub settings_toml: String,
    /// For each workload, in virtual time. Empty: not simulated.
    pub simulated: Vec<Figures>,
    /// For each workload, on the real store, all rounds pooled. Empty: not confirmed.
    pub measured: Vec<Figures>,
    /// For each confirming round and workload, seconds from the first intended start to the end of the final flush.
    pub measured_seconds: Vec<Vec<f64>>,
    /// For each confirming round and workload, the goal's number: lower is better. Empty in outcomes of
    /// earlier programs.
    #[serde(default)]
    pub measured_losses: Vec<Vec<f64>>,
    /// Over all workloads; measured where measured, else simulated.
    pub summary: Summary,
    /// Constraints (SLO, memory, bytes at risk, cost, tails far beyond the default's) that it breaks; a configuration with any is never recommended.
    pub breaks: Vec<String>,
}

/// What the answer's table shows of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Lower is better; the goal's measure, a ratio to the best configuration (1.0), over the workloads by their weights.
    /// Infinite for what did not run, `null` in JSON.
    #[serde(deserialize_with = "number::infinite")]
    pub score: f64,
    /// Bytes read and written by the host, per second of the workload, geometric mean over the workloads.
    pub bytes_per_s: f64,
    pub read_p50_ms: Option<f64>,
    /// `None` with fewer than 299 samples.
    pub read_p99_ms: Option<f64>,
    pub flush_p50_ms: Option<f64>,
    pub flush_p99_ms: Option<f64>,
    /// Share of block reads answered without the store, 0 to 1.
    pub hit_ratio: Option<f64>,
    pub puts_per_gib: Option<f64>,
    /// Requests, storage and transfer of the workloads run round the clock for a month of 730 hours.
    pub dollars_per_month: f64,
    /// Most bytes ever acknowledged and not yet stored.
    pub at_risk_bytes: u64,
    /// Memory the cache needs, bytes.
    pub memory_bytes: u64,
}

impl Configuration {
    /// What its summary rests on: measured where measured, else simulated.
    pub fn runs(&self) -> &[Figures] {
        if self.measured.is_empty() { &self.simulated } else { &self.measured }
    }

    /// Figures of both that may be compared: measured if both were, else simulated. `None`: they have none in common.
    pub fn runs_like<'a>(&'a self, other: &'a Self) -> Option<(&'a [Figures], &'a [Figures])> {
        let both = |a: &'a [Figures], b: &'a [Figures]| (!a.is_empty() && !b.is_empty()).then_some((a, b));
        both(&self.measured, &other.measured).or_else(|| both(&self.simulated, &other.simulated))
    }
}

impl Outcome {
    /// The place of a setting among the axes.
    pub fn axis(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name == name)
    }
}
