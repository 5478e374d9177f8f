//! One file per command: its arguments, and what it does with them.

pub mod inspect;
pub mod mrc;
pub mod replay;
pub mod sweep;
