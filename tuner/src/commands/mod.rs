//! One file per command: its arguments, and what it does with them.

pub mod doctor;
pub mod probe;
pub mod replay;
pub mod sweep;
