//! A whole validation: learn the store, plan, predict, run for real, write everything down.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use s3b_engine::clock;
use s3b_engine::settings::Location;

use super::configurations::choose;
use super::judge::judge;
use super::validation::{SCHEMA, Tried, Validation};
use super::workloads::{self, Subject};
use crate::answer::goal::GoalKind;
use crate::budget::Budget;
use crate::claim::Claim;
use crate::command_line::command_line;
use crate::confirm::{self, Candidate, Confirmed, Keep, OneRun, Plan, Purpose, Round, Step, Wanted};
use crate::doctor::bucket;
use crate::interrupt::Interrupt;
use crate::model::{StoreModel, shipped};
use crate::outcome::{PriceTable, RunInfo};
use crate::prices::{Billing, Reader};
use crate::probe::learn::{Study, learn};
use crate::progress::ProgressLine;
use crate::report::config;
use crate::runs::RunDirectory;
use crate::simulate::{self, Job};
use crate::sweep::environment::{environment, timestamp};
use crate::sweep::grid;
use crate::sweep::simulated::HOST;
use crate::sweep::target::Target;

/// The share of the money that learning the store may cost, and its time at most. Every pair rests on this model: it is
/// worth more here than in a sweep.
const PROBE_SHARE: f64 = 0.25;
const PROBE_TIME: Duration = Duration::from_secs(90);

/// Weathers of the model that a prediction is the mean of: one alone has a noise of its own.
const WEATHERS: u64 = 5;

/// What was asked.
pub struct Request {
    pub target: Target,
    pub scenarios: Vec<String>,
    pub traces: Vec<String>,
    pub configurations: usize,
    pub vary: Vec<String>,
    pub rounds: u32,
    pub window: Duration,
    /// Of each trace.
    pub windows: u32,
    pub prices: PriceTable,
    pub reader: Reader,
    pub max_cost: f64,
    pub max_time: Duration,
    pub seed: u64,
    pub jobs: Option<NonZeroUsize>,
    pub dry_run: bool,
}

/// What a validation came to.
pub struct Validated {
    pub validation: Validation,
    /// Objects that could not be deleted.
    pub left: u64,
    /// Its journal; to be given up once the validation is kept elsewhere.
    pub run: Arc<RunDirectory>,
}

/// Carries it out. `None`: a dry run, of which the plan was shown.
///
/// # Errors
/// Whatever keeps it from being begun, or from being cleaned up in order. A validation that ends early is one all the same.
pub async fn validate(request: &Request, interrupt: &Interrupt) -> Result<Option<Validated>> {
    let (start, started) = (clock::now(), timestamp());
    let target = &request.target;
    if target.is_model_only() {
        bail!("nothing to validate against: name a store with --bucket mybucket, or --test DIR to try it out");
    }
    let subjects = workloads::load(&request.scenarios, &request.traces)?;
    let (configurations, axes) = choose(&target.access.settings, &request.vary, request.configurations)?;
    if let (Location::Bucket(name), false) = (&target.access.settings.location, request.dry_run) {
        bucket::warn(name, &target.access).await?;
    }
    let (model, learning_dollars) = model(request, interrupt).await?;
    let model = Arc::new(model);
    eprintln!("predicting with {}", model.describe());
    let stop = stop_of(interrupt);
    let wanted = wanted(request, &configurations, &subjects, &model, learning_dollars, start.elapsed());
    let plan = tokio::task::block_in_place(|| confirm::plan(wanted, &stop)).context("cannot plan real runs")?;
    eprint!("{}", plan.text());
    if request.dry_run {
        return Ok(None);
    }
    let predicted = tokio::task::block_in_place(|| predict(&plan, request, &stop))?;
    let real = run_all(request, &plan, interrupt).await?;
    let Real { confirmed, run, left, spent_dollars } = real;
    let mut rounds = confirmed.rounds;
    let mut unfinished = confirmed.unfinished;
    let runs = rounds.iter_mut().chain(&mut unfinished).flat_map(|round| &mut round.runs);
    runs.for_each(|run| run.measured.forget_details());
    let mut validation = Validation {
        schema: SCHEMA.to_owned(),
        run: RunInfo {
            id: run.description.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command_line(std::env::args()),
            started,
            seconds: start.elapsed().as_secs_f64(),
            seed: request.seed,
            stopped: confirmed.stopped,
            spent_dollars: learning_dollars + spent_dollars,
        },
        environment: environment(),
        place: target.place(Some(&model), true)?,
        prices: request.prices.clone(),
        in_region: request.reader == Reader::InRegion,
        axes,
        configurations: configurations.iter().map(tried).collect(),
        workloads: workloads::played(&subjects, &plan),
        predicted,
        rounds,
        unfinished,
        notes: confirmed.notes,
        judgement: None,
    };
    validation.judgement = Some(judge(&validation));
    Ok(Some(Validated { validation, left, run }))
}

fn tried(one: &grid::Configuration) -> Tried {
    Tried { values: one.values.clone(), settings_toml: config::text(&one.settings, &[], &[], &[]) }
}

/// What predicts, and what it cost to learn it and to ask the bucket what speaks against storing there.
async fn model(request: &Request, interrupt: &Interrupt) -> Result<(StoreModel, f64)> {
    let target = &request.target;
    if let Some(model) = &target.model {
        let asked = if target.is_bucket() { request.prices.dollars(&bucket::QUESTIONS, request.reader) } else { 0.0 };
        return Ok((model.clone(), asked));
    }
    let (name, billing) = match &target.access.settings.location {
        Location::Bucket(name) => (name.clone(), Billing::of(request.prices.clone(), request.reader)),
        Location::Directory(path) => (path.display().to_string(), Billing::FREE),
        Location::Memory => bail!("a model of nothing"),
    };
    let (cost, time) = (request.max_cost * PROBE_SHARE, (request.max_time / 4).min(PROBE_TIME));
    let study = Study::new(&name, billing, cost, time, request.seed)
        .map_err(|why| anyhow!("--max-cost leaves ${cost:.3} to learn the store: {why}; or give --model"))?;
    study.announce();
    if request.dry_run {
        eprintln!("no request is sent now: what follows is planned with the shipped model of S3 STANDARD");
        return Ok((shipped::standard(), study.worst_case()));
    }
    learn(&study, &target.access, None, interrupt).await
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

fn wanted(
    request: &Request,
    configurations: &[grid::Configuration],
    subjects: &[Subject],
    model: &Arc<StoreModel>,
    spent: f64,
    gone: Duration,
) -> Wanted {
    let candidate = |(configuration, one): (usize, &grid::Configuration)| {
        let settings = one.settings.clone();
        Candidate { configuration, settings }
    };
    Wanted {
        purpose: Purpose::Judge,
        candidates: configurations.iter().enumerate().map(candidate).collect(),
        keep: None,
        cases: workloads::cases(subjects, request.window, request.windows),
        goal: GoalKind::Latency,
        model: Some(model.clone()),
        prices: request.prices.clone(),
        reader: request.reader,
        max_dollars: request.target.is_bucket().then_some((request.max_cost - spent).max(0.0)),
        max_time: request.max_time.saturating_sub(gone),
        most_rounds: request.rounds,
        seed: request.seed,
    }
}

/// Every configuration over every piece, from the state in which it runs, in several weathers.
fn predict(plan: &Plan, request: &Request, stop: &AtomicBool) -> Result<Vec<Round>> {
    let (mut jobs, mut places) = (Vec::new(), Vec::new());
    for weather in 0..WEATHERS {
        for (slot, candidate) in plan.wanted.candidates.iter().enumerate() {
            for (number, piece) in plan.pieces.iter().enumerate() {
                let mut job = Job::new(candidate.settings.clone(), piece.tape.clone());
                job.pace = plan.wanted.cases[piece.case].pace;
                job.store.clone_from(&plan.wanted.model);
                job.seed = request.seed.wrapping_add(weather);
                job.start = piece.starts[slot].clone();
                job.host = HOST;
                jobs.push(job);
                places.push((weather, slot, number));
            }
        }
    }
    let threads = request.jobs.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let mut line = ProgressLine::counting("predicting", jobs.len() as u64);
    let results = simulate::many(&jobs, threads, &mut |_| line.step(String::new), stop);
    line.finish();
    let mut rounds: Vec<Round> =
        (0..WEATHERS).map(|n| Round { number: n as u32, hold_out: false, runs: Vec::new() }).collect();
    for ((weather, slot, piece), result) in places.into_iter().zip(results) {
        let title = &plan.pieces[piece].tape.title;
        let one = result.context("interrupted while predicting")?;
        let one = one.with_context(|| format!("configuration {slot} on {title}"))?;
        let (measured, ledger, at_risk_bytes) = (one.measured, one.ledger, one.at_risk_bytes);
        rounds[weather as usize].runs.push(OneRun { slot, piece, measured, ledger, at_risk_bytes, cpu_share: 0.0 });
    }
    Ok(rounds)
}

struct Real {
    confirmed: Confirmed,
    run: Arc<RunDirectory>,
    left: u64,
    spent_dollars: f64,
}

async fn run_all(request: &Request, plan: &Plan, interrupt: &Interrupt) -> Result<Real> {
    let target = &request.target;
    let budget = Budget::new(request.prices.clone(), request.reader, plan.wanted.max_dollars);
    // A directory that stands for a store is as slow as the model of it.
    let around = target.model.clone().filter(|_| !target.is_bucket());
    let claim = Claim::new(&target.access, around, Some(budget.clone())).await?;
    let (place, run) = (&claim.place, claim.run.clone());
    eprintln!("working under {} of {}; Ctrl-C judges what there is", place.prefix(), place.describe());
    let mut line: Option<ProgressLine> = None;
    let begun = clock::now();
    let mut on_step = |step: Step| {
        let gone = begun.elapsed().as_secs_f64();
        let minutes = gone / step.done as f64 * (step.of - step.done.min(step.of)) as f64 / 60.0;
        let line = line.get_or_insert_with(|| ProgressLine::stepping("running", step.of));
        line.step(|| format!("{} (${:.4} spent, about {minutes:.0} min to go)", step.what, step.spent_dollars));
    };
    let keep = Keep { run: Some(&run), ..Keep::default() };
    let result = confirm::run(plan, place, keep, &|_, _| None, interrupt, &mut on_step).await;
    let left = claim.end().await.left;
    let confirmed = result?;
    confirmed.notices.iter().for_each(|notice| eprintln!("{notice}"));
    let spent_dollars = if target.is_bucket() { budget.dollars() } else { 0.0 };
    Ok(Real { confirmed, run, left, spent_dollars })
}
