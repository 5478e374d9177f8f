//! Heavy comparisons, kept out of the main build: s3b against a null FUSE file (the ceiling) and against Debian's
//! s3backer, in interleaved pairs on one machine. `docs/PERFORMANCE.md` says how to run them.

pub mod contestants;
pub mod cpu;
pub mod fio;
pub mod golden;
pub mod instructions;
pub mod kernel;
pub mod local;
pub mod pairs;
pub mod remote;
pub mod report;
pub mod resources;
