//! Everything that shows an outcome, on one rich and one empty outcome.

mod fixture;
mod forms;
mod schema;
