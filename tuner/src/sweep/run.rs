//! A whole sweep: from what was asked to an outcome.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use s3b_engine::clock;
use s3b_engine::settings::{CacheSize, Location, Settings};

use super::asked::{Asked, why_none};
use super::confirming::{self, Confirming, Real};
use super::durability;
use super::environment::{environment, timestamp};
use super::explained;
use super::grid::{Axis, BLOCK_SIZE, Grid, THREADS, WRITE_DELAY};
use super::kept::Kept;
use super::request::Request;
use super::simulated::{Rows, Simulator};
use super::subjects::{self, Subject};
use super::widen::widened;
use crate::answer::choose::Scores;
use crate::command_line::command_line;
use crate::confirm::Plan;
use crate::doctor::bucket;
use crate::interrupt::Interrupt;
use crate::machine::machine_memory;
use crate::model::{StoreModel, shipped};
use crate::outcome::{Answer, Configuration, Goal, Outcome, RunInfo, SCHEMA, Trust, Verdict};
use crate::prices::Billing;
use crate::probe::learn::{Study, learn};

/// What is tried unless told otherwise. The defaults of a mount are among it.
pub const DEFAULT_AXES: [(&str, &str); 3] =
    [(BLOCK_SIZE, "64k,256k,1m,4m"), (THREADS, "8,32,96"), (WRITE_DELAY, "250ms,2s")];

/// An axis is widened so many times at most.
const WIDENINGS: usize = 3;

/// Of the money and the time, for learning the bucket.
const PROBE_SHARE: f64 = 0.25;
/// Longer does not make a model better.
const PROBE_TIME: Duration = Duration::from_secs(60);

/// What a sweep came to.
pub struct Swept {
    pub outcome: Outcome,
    /// Objects that could not be deleted.
    pub left: u64,
}

/// Runs it. `None`: a dry run, of which the plan was shown.
///
/// # Errors
/// Whatever prevents an answer; an interrupted sweep is an outcome.
pub async fn sweep(request: &Request, interrupt: &Interrupt) -> Result<Option<Swept>> {
    let start = (clock::now(), timestamp());
    let base = base_settings(request);
    let grid = grid(request, &base)?;
    let subjects = subjects::load(&request.chosen, simulates(request))?;
    let kept = Kept::open(request, &subjects, &base)?;
    let result = search(request, kept.as_ref(), (subjects, base, grid), start, interrupt).await;
    if let Some(kept) = &kept {
        kept.close(result.as_ref().map(|swept| swept.as_ref().map(|swept| &swept.outcome)));
    }
    result
}

fn simulates(request: &Request) -> bool {
    !request.real_only && !request.target.is_bare_directory()
}

/// The sweep itself, with what is kept of it on disk.
async fn search(
    request: &Request,
    kept: Option<&Kept>,
    (mut subjects, base, mut grid): (Vec<Subject>, Settings, Grid),
    (start, started): (clock::Instant, String),
    interrupt: &Interrupt,
) -> Result<Option<Swept>> {
    let default = grid.default_of_mount(&base);
    warn(request).await?;
    let (model, mut spent) = model(request, kept, interrupt).await?;
    let disk = kept.and_then(Kept::disk);
    let model = model.map(|model| tokio::task::block_in_place(|| durability::with_users_disk(model, &base, disk)));
    announce(model.as_ref(), &grid, &subjects);
    let asked = Asked::of(request, &subjects, &grid);
    let stop = stop_of(interrupt, request.max_time.saturating_sub(start.elapsed()));
    let mut search = Search::new(request, &asked, interrupt, default);
    search.simulate(model.as_ref(), &subjects, &base, &mut grid, &stop)?;
    let mut real = None;
    let candidates = search.candidates();
    if search.confirms(model.is_some(), &candidates) {
        let max_time = request.max_time.saturating_sub(start.elapsed());
        let max_dollars = (request.max_cost - spent).max(0.0);
        let (subjects, model) = (&mut subjects, model.clone());
        let mut confirming =
            Confirming { request, asked: &asked, subjects, grid: &grid, default, model, max_time, max_dollars };
        real = search.confirm(&mut confirming, kept, &candidates, &stop).await?;
    } else if request.dry_run {
        eprintln!("nothing would be run for real");
    }
    if request.dry_run {
        return Ok(None);
    }
    spent += real.as_ref().map_or(0.0, |real| real.spent_dollars);
    let (scores, answer) = search.answer();
    let answer = answer.map(|answer| search.with_reasons(answer, &grid, &scores));
    if let Some(real) = &mut real {
        real.speak_of(answer.as_ref().map(|answer| answer.recommended));
    }
    let assumptions = durability::assumptions(&base, &grid, model.as_deref(), real.is_some());
    let Search { rows, stopped, notes, .. } = search;
    let fresh = || format!("{:012x}", rand::random::<u64>() >> 16);
    let notices = subjects::notices(&subjects);
    let mut outcome = Outcome {
        schema: SCHEMA.to_owned(),
        run: RunInfo {
            id: kept.map_or_else(fresh, |kept| kept.run.description.id.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command_line(std::env::args()),
            started,
            seconds: start.elapsed().as_secs_f64(),
            seed: request.seed,
            stopped,
            spent_dollars: spent,
        },
        environment: environment(),
        place: request.target.place(model.as_deref(), explained::ran(&rows))?,
        prices: request.prices.clone(),
        goal: goal(request),
        workloads: subjects.into_iter().map(|subject| subject.info).collect(),
        axes: grid.axes_of_outcome(),
        configurations: rows,
        left_out: grid.left_out,
        answer: None,
        trust: real.as_ref().map_or_else(Trust::default, |real| real.trust.clone()),
    };
    outcome.trust.notes.extend(notices);
    outcome.trust.notes.extend(notes);
    finish(&mut outcome, answer, &scores, assumptions);
    Ok(Some(Swept { outcome, left: real.map_or(0, |real| real.left) }))
}

/// Scores into the rows, sentences into the answer.
fn finish(outcome: &mut Outcome, answer: Option<Answer>, scores: &Scores, assumptions: Vec<String>) {
    for (n, row) in outcome.configurations.iter_mut().enumerate() {
        row.summary.score = scores.of(n);
    }
    match answer {
        Some(answer) => {
            let mut answer = explained::explained(answer, outcome);
            answer.caveats.extend(assumptions);
            outcome.answer = Some(answer);
        }
        None => outcome.trust.notes.extend(why_none(&outcome.configurations)),
    }
}

/// What is simulated, and what it cost to learn it, or to [`warn`] where nothing is learnt: of a dry run, at worst.
async fn model(
    request: &Request,
    kept: Option<&Kept>,
    interrupt: &Interrupt,
) -> Result<(Option<Arc<StoreModel>>, f64)> {
    let asks = request.target.is_bucket() && !request.sim_only;
    let asking = if asks { request.prices.dollars(&bucket::QUESTIONS, request.reader) } else { 0.0 };
    if !simulates(request) {
        return Ok((None, asking));
    }
    if let Some(model) = &request.target.model {
        return Ok((Some(Arc::new(model.clone())), asking));
    }
    let Location::Bucket(name) = &request.target.access.settings.location else { return Ok((None, 0.0)) };
    let earlier = kept.map_or(0.0, |kept| kept.earlier.dollars);
    if let Some(model) = kept.and_then(|kept| kept.earlier.model.clone()) {
        return Ok((Some(Arc::new(model)), earlier + asking));
    }
    let standard = || Some(Arc::new(shipped::standard()));
    if request.sim_only {
        eprintln!("no request is sent to {name}: the shipped model of S3 STANDARD stands for it");
        return Ok((standard(), 0.0));
    }
    let billing = Billing::of(request.prices.clone(), request.reader);
    let cost = (request.max_cost * PROBE_SHARE).min(request.max_cost - earlier).max(0.0);
    let time = request.max_time.mul_f64(PROBE_SHARE).min(PROBE_TIME);
    let study = Study::new(name, billing, cost, time, request.seed)
        .map_err(|why| anyhow!("--max-cost leaves ${cost:.3} to learn the bucket: {why}; or give --model"))?;
    study.announce();
    if request.dry_run {
        eprintln!("no request is sent to {name} now: what follows is planned with the shipped model of S3 STANDARD");
        return Ok((standard(), earlier + study.worst_case()));
    }
    let run = kept.map(|kept| kept.run.clone());
    let (model, spent) = learn(&study, &request.target.access, run, interrupt).await?;
    Ok((Some(Arc::new(model)), earlier + spent))
}

/// What speaks against storing in the bucket, before anything is stored there.
async fn warn(request: &Request) -> Result<()> {
    match &request.target.access.settings.location {
        Location::Bucket(name) if !(request.sim_only || request.dry_run) => {
            bucket::warn(name, &request.target.access).await
        }
        _ => Ok(()),
    }
}

/// A flag for threads, set once the user asks to stop or the time is over.
fn stop_of(interrupt: &Interrupt, time: Duration) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(time.is_zero()));
    let (flag, interrupt) = (stop.clone(), interrupt.clone());
    tokio::spawn(async move {
        // Whichever comes first.
        let _ = clock::timeout(time, interrupt.wait()).await;
        flag.store(true, Relaxed);
    });
    stop
}

/// The user's settings, with the cache as large as the memory allowed for it.
fn base_settings(request: &Request) -> Settings {
    let mut settings = request.target.access.settings.clone();
    let cache = &mut settings.block_cache;
    if let (Some(ram), CacheSize::Auto) = (request.constraints.ram, &cache.size) {
        cache.size = CacheSize::Bytes(ram);
    }
    settings
}

fn grid(request: &Request, base: &Settings) -> Result<Grid> {
    let bare = request.target.is_bare_directory();
    let mut axes = request.vary.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>>>()?;
    if bare && axes.iter().any(|axis| axis.name() == BLOCK_SIZE) {
        bail!(
            "--vary block-size on a bare directory: a local disk says nothing about block sizes on S3, and a volume's \
             block size is permanent; add --latency 30ms for a model of S3, or name a bucket with --bucket"
        );
    }
    if axes.is_empty() {
        for (name, values) in DEFAULT_AXES {
            let permanent = name == BLOCK_SIZE && (bare || base.volume.block_size.is_some());
            if !permanent {
                axes.push(Axis::parse(&format!("{name}={values}"))?);
            }
        }
    }
    Grid::new(base, axes)
}

fn announce(model: Option<&Arc<StoreModel>>, grid: &Grid, subjects: &[Subject]) {
    let axes: Vec<String> =
        grid.axes.iter().map(|axis| format!("{} {}", axis.title(), axis.values.join(","))).collect();
    let names: Vec<&str> = subjects.iter().map(|subject| &*subject.name).collect();
    eprintln!("{} configurations ({}) over {}", grid.configurations.len(), axes.join("; "), names.join(", "));
    if let Some(model) = model {
        eprintln!("simulated on {}", model.describe());
    }
    for left in &grid.left_out {
        eprintln!("left out: {}: {}", left.values.join(" "), left.why);
    }
}

fn goal(request: &Request) -> Goal {
    let constraints = &request.constraints;
    Goal {
        name: request.goal.name().to_owned(),
        slos: constraints.slos.iter().map(ToString::to_string).collect(),
        max_at_risk_bytes: constraints.max_at_risk,
        ram_bytes: constraints.ram,
        max_dollars_per_month: constraints.max_dollars_per_month,
    }
}

/// The grid as far as it was simulated.
struct Search<'a> {
    request: &'a Request,
    asked: &'a Asked<'a>,
    interrupt: &'a Interrupt,
    default: Option<usize>,
    rows: Vec<Configuration>,
    /// For the reader.
    notes: Vec<String>,
    stopped: Option<String>,
    /// Only these may be recommended; nothing: all.
    pool: Option<Vec<usize>>,
    /// Of real runs.
    noise: Option<f64>,
}

impl<'a> Search<'a> {
    fn new(request: &'a Request, asked: &'a Asked<'a>, interrupt: &'a Interrupt, default: Option<usize>) -> Self {
        let (rows, notes) = (Vec::new(), Vec::new());
        Self { request, asked, interrupt, default, rows, notes, stopped: None, pool: None, noise: None }
    }

    /// Shows the plan and carries it out. `None`: a dry run, or real runs that could not be planned.
    async fn confirm(
        &mut self,
        confirming: &mut Confirming<'_>,
        kept: Option<&Kept>,
        candidates: &[usize],
        stop: &AtomicBool,
    ) -> Result<Option<Real>> {
        match (confirming.plan(kept, &self.rows, candidates, stop), kept) {
            (Ok(None), _) | (Ok(_), None) => Ok(None),
            (Ok(Some(plan)), Some(kept)) => {
                let ran = confirming.run(&plan, kept, &mut self.rows, self.interrupt).await?;
                self.take(&plan, &ran);
                Ok(Some(ran))
            }
            // What was simulated is an answer too, but none to who asked for the plan only, for real runs only, or to go on.
            (Err(error), _) if self.request.dry_run || self.request.resume.is_some() || self.simulated_none() => {
                Err(error)
            }
            (Err(error), _) => {
                self.unconfirmed(&error, stop);
                Ok(None)
            }
        }
    }

    /// All rows: simulated where there is a model.
    fn simulate(
        &mut self,
        model: Option<&Arc<StoreModel>>,
        subjects: &[Subject],
        base: &Settings,
        grid: &mut Grid,
        stop: &AtomicBool,
    ) -> Result<()> {
        let request = self.request;
        let Some(model) = model else {
            self.rows = confirming::bare_rows(request, grid);
            return Ok(());
        };
        let simulator = Simulator {
            subjects,
            store: model.clone(),
            saturate: request.goal.saturates(),
            seed: request.seed,
            threads: request.jobs.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
            frame: self.asked.frame(),
            machine_memory: machine_memory(),
            survey: request.target.survey,
            stop,
        };
        tokio::task::block_in_place(|| self.run(&simulator, base, grid))
    }

    /// Whether anything is to run for real.
    fn confirms(&self, modelled: bool, candidates: &[usize]) -> bool {
        let request = self.request;
        let possible = !request.sim_only && !request.target.is_model_only() && self.stopped.is_none();
        possible && !candidates.is_empty() && (request.confirm > 0 || !modelled)
    }

    fn simulated_none(&self) -> bool {
        self.rows.iter().all(|row| row.simulated.is_empty())
    }

    /// Why it stopped before it was done.
    fn why_stopped(&self) -> String {
        if self.interrupt.is_asked() { "interrupted" } else { "out of time" }.to_owned()
    }

    /// Real runs could not be planned: what was simulated stands.
    fn unconfirmed(&mut self, error: &anyhow::Error, stop: &AtomicBool) {
        if stop.load(Relaxed) {
            self.stopped = Some(self.why_stopped());
        }
        let note = format!("nothing was run for real: {error:#}");
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// Only what really ran may be recommended from now on; without a whole round nothing did, and the simulation stands.
    fn take(&mut self, plan: &Plan, real: &Real) {
        self.stopped.clone_from(&real.stopped);
        self.asked.mark(&mut self.rows, self.default);
        let ran = ran_for_real(&self.rows, plan.wanted.candidates.iter().map(|one| one.configuration));
        if ran.is_empty() {
            return;
        }
        self.pool = Some(ran);
        self.noise = real.trust.noise_floor;
        if real.trust.verdict == Verdict::ModelNotTrusted {
            eprintln!("the model is not trusted: the answer rests on what was measured");
        }
    }

    /// Simulates the grid, and what lies beyond its edges as long as the best lies on one.
    fn run(&mut self, simulator: &Simulator<'_>, base: &Settings, grid: &mut Grid) -> Result<()> {
        for widening in 0..=WIDENINGS {
            let Rows { rows, stopped } = simulator.run(&grid.configurations[self.rows.len()..])?;
            self.rows.extend(rows);
            self.asked.mark(&mut self.rows, self.default);
            self.stopped = stopped.then(|| self.why_stopped());
            // A range that the user gave is the user's.
            if stopped || widening == WIDENINGS || !self.request.vary.is_empty() || !self.widen(base, grid)? {
                break;
            }
        }
        Ok(())
    }

    /// Adds what lies beyond the edges on which the best lies; false: it lies inside.
    fn widen(&self, base: &Settings, grid: &mut Grid) -> Result<bool> {
        let (_, Some(answer)) = self.answer() else { return Ok(false) };
        let best = &self.rows[answer.tied[0]].values;
        let mut axes = grid.axes.clone();
        let mut wider = false;
        for (axis, value) in axes.iter_mut().zip(best) {
            if let Some(more) = widened(axis, value) {
                eprintln!(
                    "the best lies at {}={value}, an edge: trying {} as well",
                    axis.title(),
                    more.values.join(",")
                );
                (*axis, wider) = (more, true);
            }
        }
        if wider {
            grid.grow(base, axes)?;
        }
        Ok(wider)
    }

    /// The best by the simulation and the default, for real runs; without a simulation all.
    fn candidates(&self) -> Vec<usize> {
        let (scores, answer) = self.answer();
        let Some(answer) = answer else {
            return (0..self.rows.len()).filter(|n| self.rows[*n].simulated.is_empty()).collect();
        };
        let mut ranked: Vec<usize> = (0..self.rows.len()).filter(|n| self.rows[*n].breaks.is_empty()).collect();
        ranked.retain(|n| scores.of(*n).is_finite() && *n != answer.recommended);
        ranked.sort_by(|a, b| scores.of(*a).total_cmp(&scores.of(*b)));
        let mut chosen = vec![answer.recommended];
        chosen.extend(ranked.into_iter().take(usize::from(self.request.confirm).saturating_sub(1)));
        chosen.extend(self.default.filter(|default| !chosen.contains(default)));
        chosen
    }

    fn answer(&self) -> (Scores, Option<Answer>) {
        let pool: Vec<usize> = self.pool.clone().unwrap_or_else(|| (0..self.rows.len()).collect());
        self.asked.choose(&self.rows, &pool, self.default, self.noise)
    }

    fn with_reasons(&self, answer: Answer, grid: &Grid, scores: &Scores) -> Answer {
        let which = (answer.recommended, self.default);
        Answer { reasons: self.asked.reasons(&self.rows, &grid.axes_of_outcome(), scores, which), ..answer }
    }
}

/// Of these, what was measured.
fn ran_for_real(rows: &[Configuration], candidates: impl Iterator<Item = usize>) -> Vec<usize> {
    candidates.filter(|n| !rows[*n].measured.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Figures;

    #[test]
    fn what_money_did_not_suffice_for_is_not_recommended() {
        let run = |seconds| vec![Figures { seconds, ..Figures::default() }];
        let row = |simulated, measured: Option<f64>| Configuration {
            simulated: run(simulated),
            measured: measured.map(run).unwrap_or_default(),
            ..Configuration::default()
        };
        // The last was a candidate, and the plan left it out.
        let rows = [row(2.0, Some(3.0)), row(2.5, Some(2.0)), row(0.5, None)];
        assert_eq!(ran_for_real(&rows, [2, 0, 1].into_iter()), [0, 1]);
        assert!(ran_for_real(&rows[2..], [0].into_iter()).is_empty(), "without a whole round the simulation stands");
    }
}
