//! Many configurations over the same workloads.
//!
//! ```text
//! subjects (workloads) + target (store) + grid (configurations)
//!     -> simulated (rows of figures, widened where the best lies on an edge) -> confirm -> answer -> outcome
//! ```

pub mod asked;
pub mod confirming;
pub mod digest;
pub mod durability;
pub mod environment;
mod explained;
pub mod grid;
pub mod kept;
pub mod request;
pub mod run;
pub mod show;
pub mod simulated;
pub mod subjects;
pub mod summary;
pub mod target;
pub mod widen;
