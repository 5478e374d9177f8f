//! How far the answer can be believed.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The model's predictions were met within their bounds.
    Confirmed,
    /// Nothing was run for real.
    #[default]
    SimulatedOnly,
    /// The model was not used.
    MeasuredOnly,
    /// The model was wrong by more than its bounds; the answer rests on real runs only.
    ModelNotTrusted,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    pub verdict: Verdict,
    /// Median and largest of |predicted / measured - 1| over the confirmed pairs: of the seconds where workloads ran as fast
    /// as they could, else of the goal's loss.
    pub model_error: Option<[f64; 2]>,
    /// Kendall's tau b between predicted and measured order, over pairs that can be told apart.
    pub rank_agreement: Option<f64>,
    /// What two runs of the same configuration differ by (A/A): the 95th percentile, as a share.
    pub noise_floor: Option<f64>,
    pub confirmations: Vec<Confirmation>,
    /// Recommended against the others, on the real store.
    pub differences: Vec<Difference>,
    /// Of the recommended configuration in a round that did not choose it: its loss by the goal / that of the rounds before.
    pub hold_out: Option<f64>,
    /// Sentences.
    pub notes: Vec<String>,
}

/// One figure, predicted and measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Indices.
    pub configuration: usize,
    pub workload: usize,
    /// `seconds` or `loss` (the goal's number), `read.p50`, `read.p99`, `flush.p50`, `flush.p99`, `puts`, `gets`, `hit ratio`, `dollars`.
    pub metric: String,
    pub predicted: f64,
    pub measured: f64,
    /// 95 % interval of the measured value.
    pub low: f64,
    pub high: f64,
    pub within_bounds: bool,
}

/// A paired comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Index of the other configuration.
    pub other: usize,
    /// Its loss by the goal / the recommended one's, geometric mean over rounds and workloads; its 95 % interval.
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
    /// After Holm's correction.
    pub p: f64,
}
