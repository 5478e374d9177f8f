//! The analysis of recorded traces against counts that others published or an independent program made.
//! Skipped, visibly, where the traces are absent.

mod distances;
mod fingerprints;
mod recorded;
mod windows;
