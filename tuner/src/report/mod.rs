//! Results for people (text) and programs (JSON).

pub mod columns;
pub mod config;
pub mod cost;
pub mod csv;
pub mod explain;
pub mod html;
pub mod inspect;
pub mod json;
pub mod ledger;
pub mod markdown;
pub mod mrc;
pub mod neighbours;
pub mod numbers;
pub mod plot;
pub mod replay;
pub mod sections;
pub mod table;
pub mod text;
pub mod words;
