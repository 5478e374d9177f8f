//! The tuner: runs workloads against the real engine, simulated or for real, and says which settings to mount with.
//!
//! A library so that benches and tests can hold the same simulation that the program runs.

pub mod analysis;
pub mod answer;
pub mod arguments;
pub mod bodies;
pub mod budget;
pub mod caching;
pub mod claim;
pub mod cleaning;
pub mod cli;
pub mod command_line;
pub mod commands;
pub mod compare;
pub mod confirm;
pub mod connection;
pub mod disk;
pub mod doctor;
pub mod figures;
pub mod headers;
pub mod interrupt;
pub mod journal;
pub mod left_out;
pub mod measure;
pub mod model;
pub mod oracles;
pub mod outcome;
pub mod output;
pub mod place;
pub mod prices;
pub mod probe;
pub mod progress;
pub mod promises;
pub mod rates;
pub mod reach;
pub mod replay;
pub mod report;
pub mod requests;
pub mod run;
pub mod runs;
pub mod simulate;
pub mod statistics;
pub mod sweep;
pub mod trace_options;
pub mod validate;
pub mod workload;
