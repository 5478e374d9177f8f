//! The leaders of a simulation, or every configuration where nothing is simulated, run for real: places and budgets
//! around [`crate::confirm`], and its results into the rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use super::environment::machine_memory;
use super::grid::Grid;
use super::request::Request;
use super::subjects::Subject;
use super::summary::{Frame, cache_memory, summary};
use crate::budget::Budget;
use crate::command_line::command_line;
use crate::confirm::{self, Candidate, Case, Confirmed, Keep, Plan, Step, Wanted};
use crate::interrupt::Interrupt;
use crate::model::StoreModel;
use crate::outcome::{Configuration, Trust, Verdict};
use crate::place::{Owner, Place};
use crate::progress::ProgressLine;
use crate::report::config;
use crate::runs::{Description, RunDirectory};
use crate::simulate::Pace;

/// Real runs to be made.
pub struct Confirming<'a> {
    pub request: &'a Request,
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
    pub stopped: Option<String>,
    pub spent_dollars: f64,
    pub run: Arc<RunDirectory>,
}

impl Confirming<'_> {
    /// Shows the plan. `None`: a dry run.
    ///
    /// # Errors
    /// As [`confirm::plan`].
    pub fn plan(&self, rows: &[Configuration], candidates: &[usize], stop: &AtomicBool) -> Result<Option<Plan>> {
        let default = candidates.iter().position(|n| Some(*n) == self.default);
        let wanted = Wanted {
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
            max_dollars: self.request.target.is_bucket().then_some(self.max_dollars),
            max_time: self.max_time,
            most_rounds: self.request.rounds.into(),
            seed: self.request.seed,
        };
        let plan = tokio::task::block_in_place(|| confirm::plan(wanted, stop)).context("cannot plan real runs")?;
        eprint!("{}", plan.text());
        Ok((!self.request.dry_run).then_some(plan))
    }

    fn case(&self, workload: usize, subject: &Subject, rows: &[Configuration], candidates: &[usize]) -> Case {
        let outstanding = subject.tape.depth;
        let saturate = self.request.goal.saturates() || self.model.is_none();
        let expected = candidates.iter().filter_map(|n| rows.get(*n)?.simulated.get(workload)).map(|one| one.seconds);
        Case {
            workload,
            tape: subject.tape.clone(),
            pace: if saturate { Pace::Closed { outstanding } } else { Pace::Schedule },
            weight: subject.info.weight,
            expected_seconds: expected.fold(0.0, f64::max),
        }
    }

    /// Carries the plan out, cleans up, and puts what was measured into the rows.
    ///
    /// # Errors
    /// A store that cannot be used, or a run journal that cannot be written. What was stored is deleted first.
    pub async fn run(&mut self, plan: &Plan, rows: &mut [Configuration], interrupt: &Interrupt) -> Result<Real> {
        let request = self.request;
        let access = &request.target.access;
        let description = Description::new(command_line(std::env::args()), &access.settings, BTreeMap::new())?;
        let run = Arc::new(RunDirectory::create(description)?);
        let cap = request.target.is_bucket().then_some(self.max_dollars);
        let budget = Budget::new(request.prices.clone(), request.reader, cap);
        let around = request.target.model.clone().filter(|_| !request.target.is_bucket());
        let owner = Owner { run: Some(run.clone()), budget: Some(budget.clone()) };
        let place = match Place::claim_for(access, around, owner).await {
            Ok(place) => place,
            Err(error) => {
                run.forget()?;
                return Err(error);
            }
        };
        eprintln!("working under {} of {}; Ctrl-C stops earlier", place.prefix(), place.describe());
        let mut line: Option<ProgressLine> = None;
        let mut on_step = |step: Step| {
            let line = line.get_or_insert_with(|| ProgressLine::stepping("confirming", step.of));
            line.step(|| format!("{} (${:.4} spent)", step.what, step.spent_dollars));
        };
        let keep = Keep { run: Some(&run), earlier: Vec::new() };
        let result = confirm::run(plan, &place, keep, interrupt, &mut on_step).await;
        let cleaned = place.clean().await;
        cleaned.report();
        let confirmed = result?;
        confirmed.notices.iter().for_each(|notice| eprintln!("{notice}"));
        self.fill(plan, &confirmed, rows);
        let judged = confirm::judge(plan, &confirmed);
        let mut trust = judged.trust;
        if self.model.is_none() {
            trust.verdict = Verdict::MeasuredOnly;
        }
        let spent_dollars = if request.target.is_bucket() { budget.dollars() } else { 0.0 };
        Ok(Real { trust, stopped: confirmed.stopped, spent_dollars, run })
    }

    fn fill(&mut self, plan: &Plan, confirmed: &Confirmed, rows: &mut [Configuration]) {
        for (case, subject) in self.subjects.iter_mut().enumerate() {
            subject.info.windows = plan.windows(case);
        }
        let weights: Vec<f64> = self.subjects.iter().map(|subject| subject.info.weight).collect();
        let frame = Frame { weights: &weights, prices: &self.request.prices, reader: self.request.reader };
        for (slot, candidate) in plan.wanted.candidates.iter().enumerate() {
            let (Some(measured), Some(seconds)) = (confirmed.measured.get(slot), confirmed.seconds.get(slot)) else {
                continue;
            };
            if seconds.is_empty() {
                continue;
            }
            let row = &mut rows[candidate.configuration];
            row.measured.clone_from(measured);
            row.measured_seconds.clone_from(seconds);
            row.summary = summary(measured, frame, cache_memory(&candidate.settings, machine_memory()));
            row.breaks = self.request.constraints.broken_by(row);
        }
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
