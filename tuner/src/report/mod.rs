//! Results for people (text) and programs (JSON).

pub mod config;
pub mod numbers;
pub mod replay;
pub mod sweep;
pub mod table;
