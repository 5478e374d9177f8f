//! From figures to one answer. Pure: an outcome's configurations in, indices and sentences out.
//!
//! ```text
//! goal (what is better) + slo (what is allowed) -> choose (which one) -> reasons (why), pareto (what else)
//! ```

pub mod choose;
pub mod goal;
pub mod guard;
pub mod pareto;
pub mod reasons;
pub mod slo;
