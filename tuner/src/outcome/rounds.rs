//! Rounds of real runs, as the run journal keeps them: a killed sweep has what they gave.

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::measure::Measured;

/// One run of one piece, as the run journal keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneRun {
    /// Place among the plan's candidates; the number of candidates: the A/A twin of the first.
    pub slot: usize,
    /// Place among the plan's pieces.
    pub piece: usize,
    pub measured: Measured,
    pub ledger: Ledger,
    pub at_risk_bytes: u64,
    /// CPU time of this process / (time x cores): near 1, the client itself was the limit.
    pub cpu_share: f64,
}

/// A whole round: every candidate and the twin over every piece.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    pub number: u32,
    /// Measured after the choice, and never used for it.
    pub hold_out: bool,
    /// In the order in which they ran.
    pub runs: Vec<OneRun>,
}
