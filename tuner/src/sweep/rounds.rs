//! Runs every configuration over every workload, in interleaved rounds, and keeps the results as they come.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_engine::clock;
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::Settings;
use s3b_scenarios::random::Random;

use super::grid::Configuration;
use crate::cost::Requests;
use crate::interrupt::Interrupt;
use crate::measure::Measured;
use crate::place::Place;
use crate::progress::ProgressLine;
use crate::recommend::Candidate;
use crate::replay::Pace;
use crate::run::{self, Run};
use crate::workload::Workload;

/// How long, how often, in which order.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: u32,
    /// No configuration is begun after this.
    pub at_most: Duration,
    pub seed: u64,
}

/// Everything measured of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// For each workload, all rounds pooled.
    pub workloads: Vec<Measured>,
    /// For each workload, over all rounds.
    pub requests: Vec<Requests>,
    /// For each complete round, the mean logarithm of the workloads' seconds.
    pub scores: Vec<f64>,
}

impl Tally {
    /// All workloads pooled.
    pub fn pooled(&self) -> Measured {
        self.workloads.iter().fold(Measured::default(), |mut all, one| {
            all.add(one);
            all
        })
    }

    /// For one pass over all workloads.
    pub fn dollars(&self) -> f64 {
        self.all_requests().dollars() / self.scores.len().max(1) as f64
    }

    pub fn all_requests(&self) -> Requests {
        self.requests.iter().fold(Requests::default(), |all, one| all.plus(one))
    }

    pub fn candidate(&self, configuration: &Configuration) -> Candidate {
        let cache = &configuration.settings.block_cache;
        Candidate {
            values: configuration.values.clone(),
            scores: self.scores.clone(),
            dollars: self.dollars(),
            write_delay_ms: cache.write_delay.as_millis() as u64,
            threads: cache.threads,
            failures: self.workloads.iter().map(Measured::failures).sum(),
        }
    }
}

/// What a sweep came to, complete or not.
pub struct Rounds {
    pub tallies: Vec<Tally>,
    pub interrupted: bool,
    pub out_of_time: bool,
    pub took: Duration,
    pub notices: BTreeSet<String>,
}

pub struct Sweeper<'a> {
    pub place: &'a Place,
    pub configurations: &'a [Configuration],
    pub workloads: &'a [Workload],
    /// `None`: as fast as possible with each workload's own depth.
    pub pace: Option<Pace>,
    pub interrupt: &'a Interrupt,
}

impl Sweeper<'_> {
    /// # Errors
    /// A volume that cannot be opened, filled or closed. Failed operations are counted, not errors.
    pub async fn run(&self, plan: Plan) -> Result<Rounds> {
        let start = clock::now();
        let mut result = Rounds {
            tallies: vec![Tally::default(); self.configurations.len()],
            interrupted: false,
            out_of_time: false,
            took: Duration::ZERO,
            notices: BTreeSet::new(),
        };
        let mut filled = BTreeSet::new();
        let mut progress = ProgressLine::stepping("sweep", self.configurations.len() as u64 * u64::from(plan.rounds));
        let mut random = Random::new(plan.seed);
        'rounds: for round in 0..plan.rounds {
            // Another order each time: whatever comes with the order does not favour anybody.
            let mut order: Vec<usize> = (0..self.configurations.len()).collect();
            random.shuffle(&mut order);
            for n in order {
                result.interrupted = self.interrupt.is_asked();
                result.out_of_time = start.elapsed() > plan.at_most;
                if result.interrupted || result.out_of_time {
                    break 'rounds;
                }
                let values = self.configurations[n].values.join(" ");
                let one = self.configuration(n, &mut filled, &mut result.notices).await;
                let Some((measured, requests)) = one.with_context(|| format!("configuration {values}"))? else {
                    result.interrupted = true;
                    break 'rounds;
                };
                let seconds = measured.iter().map(|one| one.elapsed.as_secs_f64()).sum::<f64>();
                result.tallies[n].take(&measured, &requests);
                progress.step(|| format!("round {} of {}: {values}: {seconds:.2} s", round + 1, plan.rounds));
            }
        }
        progress.finish();
        result.took = start.elapsed();
        Ok(result)
    }

    /// One configuration over all workloads; nothing if interrupted meanwhile.
    async fn configuration(
        &self,
        n: usize,
        filled: &mut BTreeSet<String>,
        notices: &mut BTreeSet<String>,
    ) -> Result<Option<(Vec<Measured>, Vec<Requests>)>> {
        let (mut measured, mut requests) = (Vec::new(), Vec::new());
        for (number, workload) in self.workloads.iter().enumerate() {
            let (settings, device_starts) = run::fit(&self.configurations[n].settings, workload)?;
            let volume = volume_name(&settings, number);
            if filled.insert(volume.clone()) {
                let geometry = geometry(&settings)?;
                let blocks = workload.prefilled(geometry, &device_starts)?;
                run::prefill(self.place, &settings, &volume, &blocks, self.interrupt).await?;
            }
            let pace = self.pace.unwrap_or(Pace::Max { outstanding: workload.depth() });
            let run = Run { settings: &settings, volume: &volume, workload, device_starts, pace };
            let result = run::run(self.place, run, self.interrupt, &mut |_: &_| {}).await?;
            if result.measured.interrupted || self.interrupt.is_asked() {
                return Ok(None);
            }
            notices.extend(result.notices);
            measured.push(result.measured);
            requests.push(result.requests);
        }
        Ok(Some((measured, requests)))
    }
}

impl Tally {
    fn take(&mut self, measured: &[Measured], requests: &[Requests]) {
        self.workloads.resize_with(measured.len(), Measured::default);
        self.requests.resize_with(requests.len(), Requests::default);
        for (all, one) in self.workloads.iter_mut().zip(measured) {
            all.add(one);
        }
        for (all, one) in self.requests.iter_mut().zip(requests) {
            *all = all.plus(one);
        }
        let logs: f64 = measured.iter().map(|one| one.elapsed.as_secs_f64().max(1e-9).ln()).sum();
        self.scores.push(logs / measured.len().max(1) as f64);
    }
}

fn geometry(settings: &Settings) -> Result<Geometry> {
    Ok(Geometry::new(settings.volume.block_size.unwrap_or(0), settings.volume.size.unwrap_or(0))?)
}

/// Configurations that store blocks the same way share a volume and what was put in place on it.
fn volume_name(settings: &Settings, workload: usize) -> String {
    let codec = format!("{:?}{:?}", settings.codec, settings.volume.block_hash_prefix);
    let codec = codec
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("w{workload}b{}c{:04x}", settings.volume.block_size.unwrap_or(0), codec & 0xffff)
}
