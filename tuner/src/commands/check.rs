//! `s3b-tuner check`: whether one configuration is fit to be mounted with, and what it would do. Sends nothing anywhere.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use s3b_engine::settings::{Location, Settings, SurveyMode};

use crate::answer::slo::{Constraints, Slo};
use crate::arguments::{self, Format, PaceName, dollars, own_pace};
use crate::connection::{Access, Connection};
use crate::doctor::examined::{Pair, Report};
use crate::doctor::{Check as Finding, Verdict, settings as fitness, worst};
use crate::left_out::{Run, left_out, of_a_run};
use crate::machine::machine_memory;
use crate::model::StoreModel;
use crate::outcome::{Configuration, PriceTable};
use crate::output;
use crate::prices::Reader;
use crate::sweep::grid;
use crate::sweep::simulated::Simulator;
use crate::sweep::subjects::{self, Chosen};
use crate::sweep::summary::Frame;
use crate::trace_options::TraceOptions;

/// Say whether a configuration is fit to be mounted with, what it would do and cost, and whether it keeps its bounds
///
/// Reads it as a mount does, holds it against this machine's memory and the link, and runs the real engine with it over a
/// model of the store, beside the default configuration. No request is sent, and no account is needed.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// A recorded trace to simulate, in any format that `convert` reads; may be repeated. Replaces the built-in scenarios
    #[arg(long, value_name = "TRACE", help_heading = "Workloads")]
    pub trace: Vec<String>,
    /// A scenario to simulate, a built-in name or a file; may be repeated
    #[arg(long, value_name = "SCENARIO", help_heading = "Workloads")]
    pub scenario: Vec<String>,
    /// The store's model: a file written by `probe`, or s3-standard, s3-express, s3-standard-from-home
    #[arg(long, value_name = "MODEL", default_value = "s3-standard", help_heading = "Store")]
    pub model: String,
    /// Prices: s3-standard, s3-express, or a file [default: the model's]
    #[arg(long, value_name = "PRICES", help_heading = "Store")]
    pub prices: Option<String>,
    /// The mount runs in the bucket's region, so downloads cost no transfer
    #[arg(long, help_heading = "Store")]
    pub in_region: bool,
    /// A bound that must hold on every workload, such as 'flush.p99<200ms'; may be repeated
    #[arg(long, value_name = "BOUND", help_heading = "Bounds")]
    pub slo: Vec<Slo>,
    /// Most bytes acknowledged and not yet stored, such as 64m
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes, help_heading = "Bounds")]
    pub max_at_risk: Option<u64>,
    /// Most memory for the cache, such as 2g
    #[arg(long, value_name = "SIZE", value_parser = arguments::bytes, help_heading = "Bounds")]
    pub ram: Option<u64>,
    /// Most dollars a month for requests, transfer and storage
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, help_heading = "Bounds")]
    pub max_monthly_cost: Option<f64>,
    /// Of the simulation
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Known so that it can be refused with the reason
    #[arg(long, value_name = "PACE", value_parser = own_pace, hide = true)]
    pub pace: Option<PaceName>,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub reading: TraceOptions,
    #[command(flatten)]
    pub connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner check --config s3b.toml
  s3b-tuner check --config s3b.toml --model mybucket.model.toml --trace vm.vscsi.zst --slo 'flush.p99<200ms'
  s3b-tuner check --config s3b.toml --block-cache-threads 64 --max-monthly-cost 5 --format json

ok: nothing to do; WARN: works, at a price or a risk; FAIL: does not work, or breaks a bound.
Exit code: 0 no FAIL, 1 a FAIL or an error, 2 wrong usage.";

/// # Errors
/// A workload, model or prices that are wrong, with the place in them. What is wrong with the settings is the result.
pub async fn check(args: &Check) -> Result<ExitCode> {
    let report = match args.connection.resolve_quietly() {
        Ok((access, notices)) => examined(args, &access, notices)?,
        Err(error) => refused(args, &error),
    };
    match args.format {
        Format::Text => output::print(&report.text())?,
        Format::Json => output::print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    Ok(if report.verdict == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn configuration(args: &Check) -> String {
    args.connection.config.as_ref().map_or_else(|| "the command line".into(), |path| path.display().to_string())
}

fn refused(args: &Check, error: &anyhow::Error) -> Report {
    let finding = Finding::fail("settings", format!("{error:#}"), "a mount refuses them too");
    Report {
        schema: Report::SCHEMA,
        configuration: configuration(args),
        store: String::new(),
        verdict: Verdict::Fail,
        checks: vec![finding],
        workloads: Vec::new(),
        simulated: None,
    }
}

fn examined(args: &Check, access: &Access, notices: Vec<String>) -> Result<Report> {
    let model = StoreModel::named(&args.model)?;
    let prices = PriceTable::load(args.prices.as_deref().unwrap_or(&model.price.class))?;
    let mut checks = vec![Finding::ok("settings", "valid for a mount")];
    checks.extend(notices.into_iter().map(|notice| Finding::warn("settings", notice, "")));
    checks.extend(fitness::checks(&access.settings, &model, machine_memory()));
    checks.extend(
        left_out(&access.settings, Run::Simulated).into_iter().map(|notice| Finding::unknown("simulation", notice)),
    );
    let chosen = Chosen {
        traces: args.trace.clone(),
        scenarios: args.scenario.clone(),
        scale: 1,
        trace_ops: None,
        content: None,
        reading: args.reading.options(),
    };
    let subjects = subjects::load(&chosen, true)?;
    subjects::notices(&subjects).iter().for_each(|notice| eprintln!("{notice}"));
    let store = model.describe();
    let [this, default] = simulated(args, &access.settings, &subjects, model, &prices)?;
    checks.extend(bounds(args, &this));
    let pair = Pair { this: this.summary, default: default.summary };
    if pair.is_beaten() {
        let advice = "`s3b-tuner sweep` looks for a better one";
        checks.push(Finding::warn(
            "default",
            "the default configuration is as good in every figure, or better",
            advice,
        ));
    }
    Ok(Report {
        schema: Report::SCHEMA,
        configuration: configuration(args),
        store,
        verdict: worst(&checks),
        checks,
        workloads: subjects.into_iter().map(|subject| subject.name).collect(),
        simulated: Some(pair),
    })
}

/// The bounds that were given, kept or not.
fn bounds(args: &Check, this: &Configuration) -> Vec<Finding> {
    let bounds = Constraints {
        slos: args.slo.clone(),
        max_at_risk: args.max_at_risk,
        ram: args.ram,
        max_dollars_per_month: args.max_monthly_cost,
    };
    let broken = bounds.broken_by(this);
    if broken.is_empty() && bounds != Constraints::default() {
        return vec![Finding::ok("bounds", "all are kept, on every workload")];
    }
    let advice = "`s3b-tuner sweep` with the same bounds looks for a configuration that keeps them";
    broken.into_iter().map(|why| Finding::fail("bounds", why, advice)).collect()
}

/// These settings and the default ones for the same store.
fn simulated(
    args: &Check,
    settings: &Settings,
    subjects: &[subjects::Subject],
    model: StoreModel,
    prices: &PriceTable,
) -> Result<[Configuration; 2]> {
    let reader = if args.in_region || model.price.in_region { Reader::InRegion } else { Reader::Outside };
    let weights: Vec<f64> = subjects.iter().map(|subject| subject.info.weight).collect();
    let default = Settings { s3: settings.s3.clone(), ..Settings::default() };
    let candidate = |name: &str, settings: Settings| {
        let mut settings = of_a_run(&settings);
        (settings.location, settings.volume.size) = (Location::Memory, None);
        settings.zero_map.survey = SurveyMode::Off;
        grid::Configuration { settings, values: vec![name.to_owned()] }
    };
    let simulator = Simulator {
        subjects,
        store: Arc::new(model),
        saturate: false,
        seed: args.seed,
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        frame: Frame { weights: &weights, prices, reader },
        machine_memory: machine_memory(),
        survey: settings.zero_map.survey,
        stop: &AtomicBool::new(false),
    };
    let both = [candidate("this", settings.clone()), candidate("default", default)];
    let rows = tokio::task::block_in_place(|| simulator.run(&both))?.rows;
    <[Configuration; 2]>::try_from(rows)
        .map_err(|rows| anyhow::anyhow!("{} of 2 configurations were simulated", rows.len()))
}
