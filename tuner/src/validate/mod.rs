//! How far predictions can be believed: many configurations over the same workloads, simulated and run for real from the
//! same state of the cache, and the two held against each other.
//!
//! ```text
//! configurations (corners, Sobol) x workloads (closed loops, windows of traces) -> plan and rounds of `confirm`
//!     -> validation (everything, as data) -> pairs -> judge + agreement -> show
//! ```
//!
//! What judges is pure and reads only the data that was written down, so that a result can be judged again without
//! running anything. It never mends a prediction, and never leaves out a pair because it is wrong.

pub mod agreement;
pub mod configurations;
pub mod judge;
pub mod measures;
pub mod pairs;
pub mod run;
pub mod show;
pub mod sobol;
pub mod validation;
pub mod workloads;

#[cfg(test)]
mod tests;
