//! Everything that shows an outcome, on one rich and one empty outcome.

mod browser;
mod comparing;
mod fixture;
mod forms;
mod schema;
