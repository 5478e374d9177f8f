//! What a workload is: operations, generators that make them from a seed, and readers for recorded block traces.
//!
//! Knows nothing of the engine: it says what is asked of a disk, never how the disk answers.

pub mod content;
pub mod op;
pub mod period;
pub mod random;
pub mod scenario;
pub mod size;
pub mod summary;
pub mod trace;

pub use op::{Op, OpKind, Origin};
pub use scenario::{Scenario, ScenarioError, StreamProperties};
pub use summary::Summary;
pub use trace::{Trace, TraceError};
