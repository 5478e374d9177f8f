//! Backends around a backend: each adds one thing, named by its module, and passes everything else on.
//! For tests, simulations, `--test-delays` and `--test-errors`; never in a normal mount's way.

pub mod bandwidth;
pub mod counting;
pub mod faults;
pub mod latency;

pub use bandwidth::{Bandwidth, Speeds};
pub use counting::{Counting, Counts};
pub use faults::{FaultControl, FaultRates, Faults};
pub use latency::{Delay, Delays, Latency, Spread};
