//! What a sweep tries, and how often: pure of how it is asked for and shown.

pub mod grid;
pub mod rounds;
