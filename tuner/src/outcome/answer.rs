//! The answer: indices into the configurations, and why.

use serde::{Deserialize, Serialize};

/// One recommended configuration and its neighbours. All numbers are indices into `Outcome::configurations`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub recommended: usize,
    /// Cannot be told apart from the best by the goal; the recommended one included, best first.
    pub tied: Vec<usize>,
    pub cheapest: usize,
    /// Fewest bytes at risk.
    pub safest: usize,
    /// What a mount does without any flag; `None`: not among the configurations.
    pub default: Option<usize>,
    pub reasons: Vec<Reason>,
    /// What binds the recommended configuration: most binding first.
    pub limits: Vec<Limit>,
    /// Extrapolation, permanence, assumptions: a sentence each.
    pub caveats: Vec<String>,
    /// How the block size was chosen: one line for each size tried, smallest worst case first.
    pub block_sizes: Vec<Regret>,
    /// For each workload, the best configuration with the recommended block size.
    pub per_workload: Vec<usize>,
    /// Configurations of which none is worse in dollars, p99 and bytes at risk at once.
    pub pareto: Vec<usize>,
}

/// Why one setting has its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Long flag name.
    pub setting: String,
    pub value: String,
    /// A sentence, with its numbers.
    pub why: String,
}

/// Something of which the store, the link or the machine has only so much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// `link up`, `link down`, `connection`, `request rate`, `threads`, `cpu`, `dirty limit`.
    pub name: String,
    /// Share of it in use, 0 to 1.
    pub share: f64,
}

/// What choosing one block size costs at worst.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Regret {
    pub block_size: String,
    /// For each workload: the best score with this block size over the best with any, minus 1. Infinite where it did not run.
    #[serde(deserialize_with = "super::number::infinite_list")]
    pub per_workload: Vec<f64>,
    #[serde(deserialize_with = "super::number::infinite")]
    pub worst: f64,
}
