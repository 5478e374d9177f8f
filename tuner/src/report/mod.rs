//! Results for people (text) and programs (JSON).

pub mod numbers;
pub mod replay;
pub mod table;
