//! Results for people (text) and programs (JSON).

pub mod config;
pub mod cost;
pub mod inspect;
pub mod mrc;
pub mod numbers;
pub mod plot;
pub mod replay;
pub mod sections;
pub mod sweep;
pub mod table;
