//! The leaders of a simulation, or every configuration where nothing is simulated, run for real: places and budgets
//! around [`crate::confirm`], and its results into the rows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_engine::settings::Settings;

use super::asked::Asked;
use super::grid::Grid;
use super::kept::Kept;
use super::request::Request;
use super::subjects::Subject;
use super::summary::summary;
use crate::budget::Budget;
use crate::caching::cache_memory;
use crate::claim::Claim;
use crate::confirm::{self, Candidate, Case, Confirmed, Keep, Plan, Purpose, Step, Wanted};
use crate::interrupt::Interrupt;
use crate::machine::machine_memory;
use crate::model::StoreModel;
use crate::outcome::{Configuration, Figures, Trust, Verdict};
use crate::progress::ProgressLine;
use crate::report::config;
use crate::simulate::Pace;

/// Real runs to be made.
pub struct Confirming<'a> {
    pub request: &'a Request,
    pub asked: &'a Asked<'a>,
    pub subjects: &'a mut [Subject],
    pub grid: &'a Grid,
    /// What a mount does without flags: never left out.
    pub default: Option<usize>,
    /// What predicts; nothing: nothing is predicted.
    pub model: Option<Arc<StoreModel>>,
    pub max_time: Duration,
    pub max_dollars: f64,
}

/// What they came to.
pub struct Real {
    pub trust: Trust,
    /// Configuration that the trust's differences and hold-out are about.
    pub best: Option<usize>,
    pub stopped: Option<String>,
    pub spent_dollars: f64,
    /// Objects that could not be deleted.
    pub left: u64,
}

impl Real {
    /// Differences and hold-out of another configuration than the recommended one say nothing.
    pub fn speak_of(&mut self, recommended: Option<usize>) {
        if self.best != recommended {
            self.trust.differences.clear();
            self.trust.hold_out = None;
        }
    }
}

impl Confirming<'_> {
    /// Shows the plan. `None`: a dry run.
    ///
    /// # Errors
    /// As [`confirm::plan`] and [`Kept::planned`].
    pub fn plan(
        &self,
        kept: Option<&Kept>,
        rows: &[Configuration],
        candidates: &[usize],
        stop: &AtomicBool,
    ) -> Result<Option<Plan>> {
        let default = candidates.iter().position(|n| Some(*n) == self.default);
        let bounds = (self.max_time, self.max_dollars);
        let (max_time, max_dollars) = kept.map_or(bounds, |kept| kept.bounds(bounds.0, bounds.1));
        let wanted = Wanted {
            purpose: Purpose::Choose,
            candidates: candidates
                .iter()
                .map(|n| Candidate { configuration: *n, settings: self.grid.configurations[*n].settings.clone() })
                .collect(),
            keep: default,
            cases: self
                .subjects
                .iter()
                .enumerate()
                .map(|(n, subject)| self.case(n, subject, rows, candidates))
                .collect(),
            goal: self.request.goal,
            model: self.model.clone(),
            prices: self.request.prices.clone(),
            reader: self.request.reader,
            max_dollars: self.capped(max_dollars),
            max_time,
            most_rounds: self.request.rounds.into(),
            seed: self.request.seed,
        };
        let mut plan = tokio::task::block_in_place(|| confirm::plan(wanted, stop)).context("cannot plan real runs")?;
        if let Some(kept) = kept.filter(|_| !self.request.dry_run) {
            kept.planned(&plan, (max_time, max_dollars))?;
        }
        // What is left of this sitting's time and money; the plan itself stays what it was.
        (plan.wanted.max_time, plan.wanted.max_dollars) = (self.max_time, self.capped(self.max_dollars));
        eprint!("{}", plan.text());
        Ok((!self.request.dry_run).then_some(plan))
    }

    /// A directory costs nothing.
    fn capped(&self, dollars: f64) -> Option<f64> {
        self.request.target.is_bucket().then_some(dollars)
    }

    fn case(&self, workload: usize, subject: &Subject, rows: &[Configuration], candidates: &[usize]) -> Case {
        let outstanding = subject.tape.depth;
        let simulated = candidates.iter().filter_map(|n| rows.get(*n)?.simulated.get(workload));
        let expected = simulated.map(|one| one.seconds).reduce(f64::max);
        Case {
            workload,
            tape: subject.tape.clone(),
            pace: if self.request.goal.saturates() { Pace::Closed { outstanding } } else { Pace::Schedule },
            weight: subject.info.weight,
            expected_seconds: expected.unwrap_or(subject.info.seconds),
            budget_seconds: None,
        }
    }

    /// Carries the plan out, cleans up, and puts what was measured into the rows.
    ///
    /// # Errors
    /// A store that cannot be used, or a run journal that cannot be written. What was stored is deleted first.
    pub async fn run(
        &mut self,
        plan: &Plan,
        kept: &Kept,
        rows: &mut [Configuration],
        interrupt: &Interrupt,
    ) -> Result<Real> {
        let request = self.request;
        let access = &request.target.access;
        let Kept { run, earlier } = kept;
        let cap = self.capped(self.max_dollars);
        let budget = Budget::new(request.prices.clone(), request.reader, cap);
        budget.charge_earlier(&earlier.spent);
        let around = request.target.model.clone().filter(|_| !request.target.is_bucket());
        let claim = Claim::of(access, around, Some(budget.clone()), run.clone()).await?;
        let place = &claim.place;
        eprintln!("working under {} of {}; Ctrl-C stops earlier", place.prefix(), place.describe());
        let mut line: Option<ProgressLine> = None;
        let mut on_step = |step: Step| {
            let line = line.get_or_insert_with(|| ProgressLine::stepping("confirming", step.of));
            line.step(|| format!("{} (${:.4} spent)", step.what, step.spent_dollars));
        };
        let resumed = earlier.planned.is_some();
        let keep = Keep { run: Some(run), earlier: earlier.rounds.clone(), resumed };
        let chooser = |measured: &[Vec<Figures>], noise: Option<f64>| self.chosen(plan, rows, measured, noise);
        let result = confirm::run(plan, place, keep, &chooser, interrupt, &mut on_step).await;
        let left = claim.end().await.left;
        let confirmed = result?;
        confirmed.notices.iter().for_each(|notice| eprintln!("{notice}"));
        self.fill(plan, &confirmed, rows);
        let mut trust = confirm::judge(plan, &confirmed);
        if self.model.is_none() {
            trust.verdict = Verdict::MeasuredOnly;
        }
        let spent_dollars = if request.target.is_bucket() { budget.dollars() } else { 0.0 };
        let best = confirmed.best.map(|slot| plan.wanted.candidates[slot].configuration);
        Ok(Real { trust, best, stopped: confirmed.stopped, spent_dollars, left })
    }

    fn fill(&mut self, plan: &Plan, confirmed: &Confirmed, rows: &mut [Configuration]) {
        for (case, subject) in self.subjects.iter_mut().enumerate() {
            subject.info.windows = plan.windows(case);
        }
        for (slot, candidate) in plan.wanted.candidates.iter().enumerate() {
            let (Some(measured), Some(seconds)) = (confirmed.measured.get(slot), confirmed.seconds.get(slot)) else {
                continue;
            };
            if seconds.is_empty() {
                continue;
            }
            let row = &mut rows[candidate.configuration];
            *row = self.measured_row(row, &candidate.settings, measured);
            row.measured_seconds.clone_from(seconds);
            row.measured_losses.clone_from(&confirmed.case_losses[slot]);
        }
    }

    /// A row with what was measured.
    fn measured_row(&self, row: &Configuration, settings: &Settings, measured: &[Figures]) -> Configuration {
        let mut row = Configuration { measured: measured.to_vec(), ..row.clone() };
        for (measured, simulated) in row.measured.iter_mut().zip(&row.simulated) {
            // Of the whole workload; windows leave less behind.
            measured.stored_bytes = simulated.stored_bytes;
        }
        row.summary = summary(&row.measured, self.asked.frame(), cache_memory(settings, machine_memory()));
        row
    }

    /// The candidate that would be recommended.
    fn chosen(
        &self,
        plan: &Plan,
        rows: &[Configuration],
        measured: &[Vec<Figures>],
        noise: Option<f64>,
    ) -> Option<usize> {
        let wanted = &plan.wanted;
        let row = |(candidate, measured): (&Candidate, &Vec<Figures>)| {
            self.measured_row(&rows[candidate.configuration], &candidate.settings, measured)
        };
        let mut rows: Vec<Configuration> = wanted.candidates.iter().zip(measured).map(row).collect();
        self.asked.mark(&mut rows, wanted.keep);
        let pool: Vec<usize> = (0..rows.len()).collect();
        Some(self.asked.choose(&rows, &pool, wanted.keep, noise).1?.recommended)
    }
}

/// Rows of configurations that nobody simulated.
pub fn bare_rows(request: &Request, grid: &Grid) -> Vec<Configuration> {
    let row = |one: &super::grid::Configuration| {
        let mut settings = one.settings.clone();
        settings.zero_map.survey = request.target.survey;
        let settings_toml = config::text(&settings, &[], &[], &[]);
        Configuration { values: one.values.clone(), settings_toml, ..Configuration::default() }
    };
    grid.configurations.iter().map(row).collect()
}
