//! A whole sweep: from what was asked to an outcome.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use s3b_engine::clock;
use s3b_engine::settings::{CacheSize, Location, Settings};

use super::confirming::{self, Confirming, Real};
use super::environment::{environment, machine_memory, timestamp};
use super::grid::{Axis, BLOCK_SIZE, Grid, THREADS, WRITE_DELAY};
use super::request::Request;
use super::simulated::{Rows, Simulator};
use super::subjects::{self, Subject};
use super::summary::Frame;
use super::widen::{is_end, widened};
use crate::answer::choose::{Question, Scores, choose};
use crate::answer::pareto;
use crate::answer::reasons::reasons;
use crate::command_line::command_line;
use crate::doctor::bucket;
use crate::interrupt::Interrupt;
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

/// Runs it. `None`: a dry run, of which the plan was shown.
///
/// # Errors
/// Whatever prevents an answer; an interrupted sweep is an outcome.
pub async fn sweep(request: &Request, interrupt: &Interrupt) -> Result<Option<Outcome>> {
    let (start, started) = (clock::now(), timestamp());
    let simulates = !request.real_only && !request.target.is_bare_directory();
    let mut subjects = subjects::load(&request.chosen, simulates)?;
    let base = base_settings(request);
    let mut grid = grid(request, &base)?;
    let default = grid.default_of_mount(&base);
    warn(request).await?;
    let (model, mut spent) = if simulates { model(request, interrupt).await? } else { (None, 0.0) };
    announce(model.as_ref(), &grid, &subjects);
    let weights: Vec<f64> = subjects.iter().map(|subject| subject.info.weight).collect();
    let stop = stop_of(interrupt);
    let mut search =
        Search { request, weights: &weights, default, rows: Vec::new(), stopped: None, pool: None, tie: 1.0 };
    search.simulate(model.as_ref(), &subjects, &base, &mut grid, &stop)?;
    let mut real = None;
    let candidates = search.candidates(&grid);
    if search.confirms(model.is_some(), &candidates) {
        let max_time = request.max_time.saturating_sub(start.elapsed());
        let max_dollars = (request.max_cost - spent).max(0.0);
        let (subjects, model) = (&mut subjects, model.clone());
        let mut confirming = Confirming { request, subjects, grid: &grid, default, model, max_time, max_dollars };
        let Some(plan) = confirming.plan(&search.rows, &candidates, &stop)? else { return Ok(None) };
        let ran = confirming.run(&plan, &mut search.rows, interrupt).await?;
        search.take(candidates, &ran);
        spent += ran.spent_dollars;
        real = Some(ran);
    } else if request.dry_run {
        eprintln!("nothing would be run for real");
        return Ok(None);
    }
    let (scores, answer) = search.answer(&grid);
    let (rows, stopped) = (search.rows, search.stopped);
    let fresh = || format!("{:012x}", rand::random::<u64>() >> 16);
    let mut outcome = Outcome {
        schema: SCHEMA.to_owned(),
        run: RunInfo {
            id: real.as_ref().map_or_else(fresh, |real| real.run.description.id.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command_line(std::env::args()),
            started,
            seconds: start.elapsed().as_secs_f64(),
            seed: request.seed,
            stopped,
            spent_dollars: spent,
        },
        environment: environment(),
        place: request.target.place(model.as_deref())?,
        prices: request.prices.clone(),
        goal: goal(request),
        workloads: subjects.into_iter().map(|subject| subject.info).collect(),
        axes: grid.axes_of_outcome(),
        configurations: rows,
        left_out: grid.left_out,
        answer: None,
        trust: real.as_ref().map_or_else(Trust::default, |real| real.trust.clone()),
    };
    finish(&mut outcome, answer, &scores);
    if let Some(real) = real {
        real.run.finish(&outcome)?;
    }
    Ok(Some(outcome))
}

/// Scores into the rows, sentences into the answer.
fn finish(outcome: &mut Outcome, answer: Option<Answer>, scores: &Scores) {
    for (n, row) in outcome.configurations.iter_mut().enumerate() {
        row.summary.score = scores.of(n);
    }
    outcome.answer = answer.map(|answer| explained(answer, outcome, scores));
}

/// What is simulated, and what it cost to learn it: of a dry run, at worst.
async fn model(request: &Request, interrupt: &Interrupt) -> Result<(Option<Arc<StoreModel>>, f64)> {
    if let Some(model) = &request.target.model {
        return Ok((Some(Arc::new(model.clone())), 0.0));
    }
    let Location::Bucket(name) = &request.target.access.settings.location else { return Ok((None, 0.0)) };
    let standard = || Some(Arc::new(shipped::standard()));
    if request.sim_only {
        eprintln!("no request is sent to {name}: the shipped model of S3 STANDARD stands for it");
        return Ok((standard(), 0.0));
    }
    let billing = Billing::of(request.prices.clone(), request.reader);
    let (cost, time) = (request.max_cost * PROBE_SHARE, request.max_time.mul_f64(PROBE_SHARE).min(PROBE_TIME));
    let study = Study::new(name, billing, cost, time, request.seed)
        .map_err(|why| anyhow!("--max-cost leaves ${cost:.3} to learn the bucket: {why}; or give --model"))?;
    let (worst, seconds) = (study.worst_case(), time.as_secs());
    eprintln!(
        "learning {name} first: worst case ${worst:.4}, at most {seconds} s (--model takes one that `probe` wrote)"
    );
    if request.dry_run {
        eprintln!("no request is sent to {name} now: what follows is planned with the shipped model of S3 STANDARD");
        return Ok((standard(), worst));
    }
    let (model, spent) = learn(&study, &request.target.access, interrupt).await?;
    Ok((Some(Arc::new(model)), spent))
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

/// A flag for threads, set once the user asks to stop.
fn stop_of(interrupt: &Interrupt) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, interrupt) = (stop.clone(), interrupt.clone());
    tokio::spawn(async move {
        interrupt.wait().await;
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
    weights: &'a [f64],
    default: Option<usize>,
    rows: Vec<Configuration>,
    stopped: Option<String>,
    /// Only these may be recommended; nothing: all.
    pool: Option<Vec<usize>>,
    tie: f64,
}

impl Search<'_> {
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
            frame: Frame { weights: self.weights, prices: &request.prices, reader: request.reader },
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

    /// Only what ran for real may be recommended from now on.
    fn take(&mut self, candidates: Vec<usize>, real: &Real) {
        self.pool = Some(candidates);
        self.tie = 1.0 + real.trust.noise_floor.unwrap_or(0.0);
        self.stopped.clone_from(&real.stopped);
        if real.trust.verdict == Verdict::ModelNotTrusted {
            eprintln!("the model is not trusted: the answer rests on what was measured");
        }
    }

    /// Simulates the grid, and what lies beyond its edges as long as the best lies on one.
    fn run(&mut self, simulator: &Simulator<'_>, base: &Settings, grid: &mut Grid) -> Result<()> {
        for widening in 0..=WIDENINGS {
            let Rows { mut rows, stopped, .. } = simulator.run(&grid.configurations[self.rows.len()..])?;
            for row in &mut rows {
                row.breaks = self.request.constraints.broken_by(row);
            }
            self.rows.extend(rows);
            self.stopped = stopped.then(|| "interrupted".to_owned());
            // A range that the user gave is the user's.
            if stopped || widening == WIDENINGS || !self.request.vary.is_empty() || !self.widen(base, grid)? {
                break;
            }
        }
        Ok(())
    }

    /// Adds what lies beyond the edges on which the best lies; false: it lies inside.
    fn widen(&self, base: &Settings, grid: &mut Grid) -> Result<bool> {
        let (_, Some(answer)) = self.answer(grid) else { return Ok(false) };
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
    fn candidates(&self, grid: &Grid) -> Vec<usize> {
        let (scores, answer) = self.answer(grid);
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

    fn answer(&self, grid: &Grid) -> (Scores, Option<Answer>) {
        let pool: Vec<usize> = self.pool.clone().unwrap_or_else(|| (0..self.rows.len()).collect());
        choose(&Question {
            configurations: &self.rows,
            weights: self.weights,
            goal: self.request.goal,
            prices: &self.request.prices,
            reader: self.request.reader,
            pool: &pool,
            block_size: grid.place_of(BLOCK_SIZE),
            threads: grid.place_of(THREADS),
            default: self.default,
            tie: self.tie,
        })
    }
}

/// The answer with its sentences; scores go into the rows.
fn explained(answer: Answer, outcome: &Outcome, scores: &Scores) -> Answer {
    let recommended = answer.recommended;
    let runs = |one: &Configuration| if one.measured.is_empty() { one.simulated.clone() } else { one.measured.clone() };
    let mut limits: Vec<crate::outcome::Limit> = Vec::new();
    for limit in runs(&outcome.configurations[recommended]).into_iter().flat_map(|run| run.limits) {
        match limits.iter_mut().find(|known| known.name == limit.name) {
            Some(known) => known.share = known.share.max(limit.share),
            None => limits.push(limit),
        }
    }
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    Answer {
        reasons: reasons(&outcome.configurations, &outcome.axes, scores, recommended),
        limits,
        caveats: caveats(outcome, &answer),
        pareto: pareto::front(&outcome.configurations),
        ..answer
    }
}

fn caveats(outcome: &Outcome, answer: &Answer) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.axis("block-size").is_some() {
        notes.push("the block size of a volume is permanent; everything else can be changed at any mount".to_owned());
    }
    if !outcome.place.says_block_size {
        notes.push(
            "no block size is recommended: a local disk says nothing about S3, and a volume's block size is permanent"
                .into(),
        );
    }
    if let Some(why) = &outcome.run.stopped {
        let ran = |one: &&Configuration| !(one.simulated.is_empty() && one.measured.is_empty());
        let done = outcome.configurations.iter().filter(ran).count();
        notes.push(format!("{why}: {done} of {} configurations were compared", outcome.configurations.len()));
    }
    let recommended = &outcome.configurations[answer.recommended];
    for (axis, value) in outcome.axes.iter().zip(&recommended.values) {
        if is_end(&axis.values, value) {
            notes.push(format!("{}={value} is the end of what was tried: the best may lie beyond", axis.title));
        }
    }
    if outcome.workloads.iter().any(|workload| workload.content_assumed) {
        notes.push(
            "traces have no content: their data was taken as incompressible and never zero (--compressibility, \
             --zero-share)"
                .into(),
        );
    }
    if outcome.place.kind == crate::outcome::PlaceKind::Model {
        notes.push("nothing was run for real: the store is a model; `sweep --bucket` confirms on yours".into());
    }
    notes
}
