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

use crate::arguments::TableFormat;
use crate::outcome::Outcome;

/// Columns of the terminal answer: fits most terminals, and the same into a pipe.
pub const WIDTH: usize = 100;

/// An outcome as it is printed.
pub fn render(outcome: &Outcome, format: TableFormat) -> String {
    match format {
        TableFormat::Text => text::render(outcome, WIDTH),
        TableFormat::Json => json::render(outcome),
        TableFormat::Csv => csv::render(outcome),
        TableFormat::Md => markdown::render(outcome),
    }
}
