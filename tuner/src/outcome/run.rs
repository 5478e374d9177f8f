//! What was asked, where it ran, and on which workloads.

use serde::{Deserialize, Serialize};

/// One run of the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Random; names the journal and the prefix in the bucket.
    pub id: String,
    /// Of the program.
    pub version: String,
    /// As typed, secrets left out.
    pub command: Vec<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub seconds: f64,
    pub seed: u64,
    /// Why it ended before everything was done, if it did: `interrupted`, `out of time`, `out of money`.
    pub stopped: Option<String>,
    /// Requests really sent to a paid store, and what they cost at most.
    pub spent_dollars: f64,
}

/// The machine that ran it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub cores: u32,
    pub memory_bytes: u64,
    pub cpu: String,
    pub kernel: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// Nothing real: a model only.
    Model,
    Bucket,
    Directory,
}

/// Which store the answer is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub kind: PlaceKind,
    /// One line for people.
    pub description: String,
    /// The model that was simulated, as its file; empty without one.
    pub model_toml: String,
    /// Whether a block size may be recommended: never for a bare directory.
    pub says_block_size: bool,
}

/// Prices, US dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PriceTable {
    /// `S3 STANDARD, us-east-1`.
    pub name: String,
    /// Year and month of the prices.
    pub dated: String,
    pub storage_per_gb_month: f64,
    /// PUT, COPY, POST, LIST.
    pub put_per_1000: f64,
    /// GET, HEAD.
    pub get_per_1000: f64,
    pub upload_per_gb: f64,
    pub retrieval_per_gb: f64,
    /// Transfer out to where the mount runs; 0 within the region.
    pub egress_per_gb: f64,
}

/// What "best" means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// `latency`, `throughput`, `cost`, `balanced`.
    pub name: String,
    /// As given: `flush.p99<200ms`.
    pub slos: Vec<String>,
    pub max_at_risk_bytes: Option<u64>,
    pub ram_bytes: Option<u64>,
    /// Dollars a month of the recommended configuration.
    pub max_dollars_per_month: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadSource {
    Trace,
    Scenario,
}

/// One workload of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadInfo {
    pub name: String,
    /// The question of a scenario, or format and origin of a trace.
    pub title: String,
    pub source: WorkloadSource,
    pub ops: u64,
    pub bytes: u64,
    /// Of intended time.
    pub seconds: f64,
    /// Share in the score; all add up to 1.
    pub weight: f64,
    /// Bytes before compression / after.
    pub compressibility: f64,
    /// Share of written bytes that are zero.
    pub zero_share: f64,
    /// A trace has no content: the two above are then what was assumed.
    pub content_assumed: bool,
    /// Label and value, for people: working set, mix, sizes, sequentiality.
    pub fingerprint: Vec<[String; 2]>,
    pub miss_ratio_curves: Vec<MissRatioCurve>,
    /// Seconds from the start, and the share of the whole that each window stands for; empty: all of it ran.
    pub windows: Vec<WindowInfo>,
}

/// Share of block accesses that miss an LRU cache of a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissRatioCurve {
    pub block_size: u64,
    /// `[cache bytes, miss ratio]`, rising in the first.
    pub points: Vec<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowInfo {
    pub start_s: f64,
    pub end_s: f64,
    pub weight: f64,
}

/// One varied setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// Long flag name.
    pub name: String,
    /// For the head of a column.
    pub title: String,
    /// All values, in their order.
    pub values: Vec<String>,
}
