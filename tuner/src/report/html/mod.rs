//! The page.

use crate::outcome::Outcome;

pub fn render(outcome: &Outcome) -> String {
    outcome.schema.clone()
}
