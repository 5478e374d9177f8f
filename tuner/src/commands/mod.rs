//! One file per command: its arguments, and what it does with them.

pub mod check;
pub mod clean;
pub mod compare;
pub mod convert;
pub mod cost;
pub mod doctor;
pub mod explain;
pub mod inspect;
pub mod mrc;
pub mod probe;
pub mod replay;
pub mod report;
pub mod runs;
pub mod scenarios;
pub mod sweep;
pub mod validate;
