//! Every configuration over every workload in virtual time, as rows of an outcome.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use super::grid::Configuration as Candidate;
use super::subjects::Subject;
use super::summary::{Frame, summary};
use s3b_engine::settings::SurveyMode;

use crate::figures::of_simulated;
use crate::model::StoreModel;
use crate::outcome::{Configuration, Figures};
use crate::progress::ProgressLine;
use crate::report::config;
use crate::simulate::{Ended, Host, Job, Pace, Simulated, many};

/// What a hit costs the engine itself. Without it a workload of hits would take no time at all. The mean of reads and writes
/// at 64 KiB and 1 MiB blocks in `benches/hit_path` (docs/PERFORMANCE.md): 1.23 us for 4 KiB, 6.4 us for 64 KiB. Reads
/// alone cost 0.8 and 4.8 us, writes 1.7 and 8.1.
pub const HOST: Host = Host { per_operation: Duration::from_nanos(900), ns_per_byte: 0.085 };

/// What all simulations of a sweep have in common.
pub struct Simulator<'a> {
    pub subjects: &'a [Subject],
    pub store: Arc<StoreModel>,
    /// As fast as possible, instead of at the workloads' own times.
    pub saturate: bool,
    pub seed: u64,
    pub threads: NonZeroUsize,
    pub frame: Frame<'a>,
    pub machine_memory: u64,
    /// As a mount is to have it; no simulation surveys.
    pub survey: SurveyMode,
    pub stop: &'a AtomicBool,
}

/// Rows in the order of the candidates, as far as it came.
pub struct Rows {
    pub rows: Vec<Configuration>,
    /// It was stopped: rows without figures were not simulated.
    pub stopped: bool,
}

impl Simulator<'_> {
    /// # Errors
    /// The first simulation that failed, with its configuration and workload.
    pub fn run(&self, candidates: &[Candidate]) -> Result<Rows> {
        let jobs: Vec<Job> =
            candidates.iter().flat_map(|one| self.subjects.iter().map(|subject| self.job(one, subject))).collect();
        let mut line = ProgressLine::counting("simulating", jobs.len() as u64);
        let results = many(&jobs, self.threads, &mut |_| line.step(String::new), self.stop);
        line.finish();
        let mut rows = Vec::new();
        let mut results = results.into_iter();
        for candidate in candidates {
            let mut figures = Vec::new();
            for subject in self.subjects {
                let result = results.next().flatten();
                let named = || format!("{} on {}", candidate.values.join(" "), subject.name);
                if let Some(simulated) = result.transpose().with_context(named)?.filter(whole) {
                    figures.push(of_simulated(&simulated));
                }
            }
            // A configuration that missed a workload cannot be compared.
            let complete = figures.len() == self.subjects.len();
            rows.push(self.row(candidate, if complete { figures } else { Vec::new() }));
        }
        let stopped = rows.iter().any(|row| row.simulated.is_empty());
        Ok(Rows { rows, stopped })
    }

    fn job(&self, candidate: &Candidate, subject: &Subject) -> Job {
        let pace = if self.saturate { Pace::Closed { outstanding: subject.tape.depth } } else { Pace::Schedule };
        let job = Job::new(candidate.settings.clone(), subject.tape.clone());
        Job { store: Some(self.store.clone()), pace, seed: self.seed, host: HOST, ..job }
    }

    fn row(&self, candidate: &Candidate, simulated: Vec<Figures>) -> Configuration {
        let memory = crate::caching::cache_memory(&candidate.settings, self.machine_memory);
        let summary = if simulated.is_empty() { Default::default() } else { summary(&simulated, self.frame, memory) };
        let mut settings = candidate.settings.clone();
        settings.zero_map.survey = self.survey;
        Configuration {
            values: candidate.values.clone(),
            settings_toml: config::text(&settings, &[], &[], &[]),
            simulated,
            summary,
            ..Configuration::default()
        }
    }
}

fn whole(simulated: &Simulated) -> bool {
    simulated.ended == Ended::Whole
}
