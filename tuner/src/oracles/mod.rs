//! Two independent answers that the simulation must reproduce: how many PUTs write-back coalesces a trace into, and how
//! often an LRU cache hits. The expected numbers were computed by other programs, from the traces alone.
//!
//! Knows which conditions make the engine comparable to the formula, never how either is computed.

mod cases;
mod hit_ratios;
mod put_counts;
mod samples;

pub use cases::{Answer, Case, ask};
pub use hit_ratios::{HIT_RATIOS, HitRatio, exact_lru, lru_accesses, simulate_lru};
pub use put_counts::{DELAYS_MS, PUT_COUNTS, PutCount, simulate_puts, writes_only};
pub use samples::{Sample, Samples};
