//! What a sweep tries, and how often: pure of how it is asked for and shown.

pub mod figures;
pub mod grid;
pub mod rounds;
pub mod summary;
