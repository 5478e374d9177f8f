//! `s3b-tuner sweep`: many configurations over the same workloads, one recommendation.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use s3b_engine::settings::{Location, Settings, SurveyMode};
use s3b_scenarios::Scenario;
use tempfile::TempDir;

use std::time::Duration;

use clap::Args;

use crate::cli::{Format, PaceName, duration, latency};
use crate::connection::{Access, Connection};
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::model::{StoreModel, shipped};
use crate::place::{self, Place};
use crate::recommend::{self, Candidate, Choice};
use crate::replay::Pace;
use crate::report::config::{self, Reason};
use crate::report::sweep::{Report, noise_line};
use crate::run;
use crate::sweep::grid::{Axis, BLOCK_SIZE, Grid, THREADS, WRITE_DELAY};
use crate::sweep::rounds::{Plan, Rounds, Sweeper};
use crate::workload::Workload;

/// Try many configurations on the same workloads, recommend one, and write it to s3b.toml
///
/// Without a store it needs no account: built-in scenarios on a temporary directory behind a model of S3's latency, in
/// about a minute. Each configuration is run once a round, in another order each round, from a cold cache to the end
/// of a final flush. Everything happens under a random prefix; only what was written there is deleted afterwards.
#[derive(Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct Sweep {
    /// A recorded trace to sweep over, or several; instead of the built-in scenarios
    #[arg(long, value_name = "TRACE")]
    pub trace: Vec<String>,
    /// A scenario to sweep over: a built-in name or a file; may be repeated
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Vec<String>,
    /// Values to try for one setting; may be repeated. Any flag of a mount, or the short names threads, write-delay,
    /// cache. Default: block-size=64k,256k,1m threads=8,20,48 write-delay=250ms,2s
    #[arg(long, value_name = "SETTING=VALUES")]
    pub vary: Vec<String>,
    /// Median latency of the model of S3 around a directory [default: 30ms without --test, no model with it]
    #[arg(long, value_name = "TIME", value_parser = latency)]
    pub latency: Option<Duration>,
    /// How often every configuration runs; with fewer than two the noise stays unknown
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: u16,
    /// Begin no further configuration after this
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = duration)]
    pub max_time: Duration,
    /// Multiply the operations and the span of the scenarios
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub scale: u64,
    /// Operations taken from the beginning of each trace
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub trace_ops: u64,
    /// When operations start
    #[arg(long, value_enum, default_value_t = PaceName::Max)]
    pub pace: PaceName,
    /// Seed of the order of runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where the recommendation goes [default: s3b.toml]. An earlier, unedited result is replaced, nothing else
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the output file whoever wrote it
    #[arg(long)]
    pub force: bool,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub connection: Connection,
}

const SWEEP_EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep
  s3b-tuner sweep --latency 5ms --vary block-size=64k..4m:x4 --vary threads=8..64:x2 --max-time 10m
  s3b-tuner sweep --bucket mybucket --region eu-west-1 --trace vm.vscsi.zst -o vm.toml
  s3b-tuner sweep --bucket mybucket --block-size 256k --vary read-ahead=0,4,16 --scenario sequential-read

A block size is recommended only for a bucket or a model of one: on a bare directory (--test DIR without --latency)
it would be a statement about a local disk, and the block size of a volume is permanent.
Exit code: 0 done, 1 error or no usable configuration, 2 wrong usage, 130 interrupted (what is there is still reported).";

/// What is tried unless told otherwise. The defaults of a mount are among it.
const DEFAULT_AXES: [(&str, &str); 3] = [(BLOCK_SIZE, "64k,256k,1m"), (THREADS, "8,32,96"), (WRITE_DELAY, "250ms,2s")];

/// Where the sweep runs and how it may speak about block sizes.
struct Target {
    access: Access,
    model: Option<StoreModel>,
    /// As the user wants it for mounts.
    survey: SurveyMode,
    /// Deleted when the sweep ends.
    _temporary: Option<TempDir>,
}

pub async fn sweep(args: &Sweep) -> Result<ExitCode> {
    let workloads = workloads(args)?;
    let target = target(args)?;
    let bare_directory = matches!(target.access.settings.location, Location::Directory(_)) && target.model.is_none();
    let grid = grid(args, &target.access.settings, bare_directory)?;
    for configuration in &grid.configurations {
        for workload in &workloads {
            run::fit(&configuration.settings, workload).with_context(|| configuration.values.join(" "))?;
        }
    }
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from("s3b.toml"));
    config::check_target(&output, args.force)?;

    let interrupt = Interrupt::listen();
    let place = Place::claim(&target.access, target.model.clone()).await?;
    announce(args, &grid, &workloads, &place);
    let sweeper = Sweeper {
        place: &place,
        configurations: &grid.configurations,
        workloads: &workloads,
        pace: (args.pace == PaceName::Trace).then_some(Pace::Schedule),
        interrupt: &interrupt,
    };
    let plan = Plan { rounds: args.rounds.into(), at_most: args.max_time, seed: args.seed };
    let result = sweeper.run(plan).await;
    let cleaned = place.clean().await;
    cleaned.report();
    let rounds = result?;
    rounds.notices.iter().for_each(|notice| eprintln!("{notice}"));

    let tallies = rounds.tallies.iter().zip(&grid.configurations);
    let candidates: Vec<Candidate> = tallies.map(|(tally, one)| tally.candidate(one)).collect();
    let choice = recommend::choose(&candidates);
    let names: Vec<&str> = grid.axes.iter().map(Axis::title).collect();
    let report = Report {
        store: place.describe(),
        axes: &grid.axes,
        tallies: &rounds.tallies,
        candidates: &candidates,
        workloads: workloads.iter().map(|one| (one.title.clone(), one.question().map(str::to_owned))).collect(),
        choice: choice.as_ref(),
        reasons: choice.as_ref().map_or_else(Vec::new, |choice| recommend::reasons(&candidates, choice, &names)),
        caveats: caveats(args, &grid, &workloads, &rounds, &target, bare_directory),
        complete: !rounds.interrupted && !rounds.out_of_time,
        took_s: rounds.took.as_secs_f64(),
    };
    match args.format {
        Format::Text => print!("{}", report.text()),
        Format::Json => print!("{}", report.json()?),
    }
    let Some(choice) = &choice else {
        return Ok(if rounds.interrupted { ExitCode::from(EXIT_INTERRUPTED) } else { ExitCode::FAILURE });
    };
    config::write(&output, &file(&report, choice, &grid, target.survey))?;
    say(
        args,
        &format!("Written to {0}. Use it: s3b mount --config {0} --size 10g mybucket/disk1 /mnt/s3b", output.display()),
    );
    Ok(if rounds.interrupted {
        ExitCode::from(EXIT_INTERRUPTED)
    } else if cleaned.left > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// To the person: on stdout, unless that belongs to a program.
fn say(args: &Sweep, line: &str) {
    match args.format {
        Format::Text => println!("{line}"),
        Format::Json => eprintln!("{line}"),
    }
}

fn workloads(args: &Sweep) -> Result<Vec<Workload>> {
    let mut workloads = Vec::new();
    for name in args.trace.iter().chain(&args.scenario) {
        workloads.push(Workload::load(name)?.scaled(args.scale).limited(args.trace_ops)?);
    }
    if workloads.is_empty() {
        let basic = Scenario::basic().into_iter();
        workloads = basic.map(|scenario| Workload::of_scenario(scenario.scaled(args.scale))).collect();
    }
    Ok(workloads)
}

fn target(args: &Sweep) -> Result<Target> {
    let mut access = args.connection.resolve()?;
    // The volumes of a sweep are as large as their workloads.
    access.settings.volume.size = None;
    // A survey belongs to a mount, not to a workload: here its listings would only blur the costs.
    let survey = access.settings.zero_map.survey;
    if survey == SurveyMode::Auto {
        access.settings.zero_map.survey = SurveyMode::Off;
    }
    let wanted = args.latency.map(|latency| shipped::standard().with_first_byte_ms(latency.as_secs_f64() * 1000.0));
    let model = match (&access.settings.location, wanted) {
        (Location::Bucket(name), Some(_)) => {
            bail!("--latency with --bucket={name}: a bucket has its own latency; leave one of them out");
        }
        (Location::Memory, wanted) => Some(wanted.unwrap_or_else(shipped::standard)),
        (_, wanted) => wanted,
    };
    let mut temporary = None;
    if access.settings.location == Location::Memory {
        let directory = tempfile::Builder::new().prefix("s3b-tuner-").tempdir();
        let directory = directory.context("cannot make a temporary directory; set TMPDIR to one with room")?;
        access.settings.location = Location::Directory(directory.path().to_owned());
        temporary = Some(directory);
    }
    Ok(Target { access, model, survey, _temporary: temporary })
}

fn grid(args: &Sweep, base: &Settings, bare_directory: bool) -> Result<Grid> {
    let mut axes = args.vary.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>>>()?;
    if bare_directory && axes.iter().any(|axis| axis.name() == BLOCK_SIZE) {
        bail!(
            "--vary block-size on a bare directory: a local disk says nothing about block sizes on S3, and a volume's \
             block size is permanent; add --latency 30ms for a model of S3, or name a bucket with --bucket"
        );
    }
    if axes.is_empty() {
        for (name, values) in DEFAULT_AXES {
            let permanent = name == BLOCK_SIZE && (bare_directory || base.volume.block_size.is_some());
            if !permanent {
                axes.push(Axis::parse(&format!("{name}={values}"))?);
            }
        }
    }
    Grid::new(base, axes)
}

fn announce(args: &Sweep, grid: &Grid, workloads: &[Workload], place: &Place) {
    let axes: Vec<String> =
        grid.axes.iter().map(|axis| format!("{} {}", axis.title(), axis.values.join(","))).collect();
    let titles: Vec<&str> = workloads.iter().map(|workload| workload.title.as_str()).collect();
    eprintln!(
        "{} configurations ({}), {} rounds over {}",
        grid.configurations.len(),
        axes.join("; "),
        args.rounds,
        titles.join(", ")
    );
    eprintln!(
        "working under {} of {}; at most {} s, Ctrl-C stops earlier",
        place.prefix(),
        place.describe(),
        args.max_time.as_secs()
    );
    if let Some(notice) = place::left_out(&grid.configurations[0].settings) {
        eprintln!("{notice}");
    }
    grid.left_out.iter().for_each(|why| eprintln!("left out: {why}"));
}

/// What the reader should know before believing the answer.
fn caveats(
    args: &Sweep,
    grid: &Grid,
    workloads: &[Workload],
    rounds: &Rounds,
    target: &Target,
    bare_directory: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let begun = rounds.tallies.iter().filter(|tally| !tally.scores.is_empty()).count();
    if rounds.interrupted || rounds.out_of_time {
        let why = if rounds.interrupted { "interrupted" } else { "out of time (--max-time)" };
        let all = rounds.tallies.len();
        notes.push(format!("{why}: {begun} of {all} configurations were measured; the rest may hold a better one"));
    }
    match &target.model {
        Some(model) => {
            notes.push(format!("measured on {}, not on your bucket; sweep --bucket mybucket tells", model.describe()))
        }
        None if bare_directory => notes.push(
            "no block size is recommended: a local disk says nothing about S3, and a volume's block size is permanent"
                .into(),
        ),
        None => {}
    }
    if grid.varies(BLOCK_SIZE) {
        notes.push(
            "the block size of a volume is permanent; threads and write delay can be changed at any mount".into(),
        );
    }
    if args.pace == PaceName::Max && grid.varies(WRITE_DELAY) {
        notes.push(
            "workloads ran as fast as possible, so a long write delay had little time to save PUTs; \
             --pace trace shows that, and takes as long as the workload"
                .into(),
        );
    }
    if workloads.iter().any(Workload::is_limited) {
        notes.push(format!("traces were cut after {} operations (--trace-ops)", args.trace_ops));
    }
    if workloads.iter().any(Workload::is_trace) {
        notes.push("traces have no content: writes were taken as incompressible and never zero".into());
    }
    notes
}

/// The file to mount with.
fn file(report: &Report<'_>, choice: &Choice, grid: &Grid, survey: SurveyMode) -> String {
    let winner = &report.candidates[choice.winner];
    let chosen: Vec<(&'static str, String)> =
        grid.axes.iter().map(Axis::name).zip(winner.values.iter().cloned()).collect();
    let mut head = vec![format!("Measured on {}.", report.store)];
    let workloads: Vec<&str> = report.workloads.iter().map(|(name, _)| name.as_str()).collect();
    head.push(format!("Workloads: {}.", workloads.join(", ")));
    head.push(noise_line(choice, winner.scores.len()));
    head.extend(report.caveats.iter().map(|caveat| format!("Note: {caveat}.")));
    let reasons: Vec<Reason> = report
        .reasons
        .iter()
        .map(|(axis, text)| Reason { flag: grid.axes[*axis].name(), text: format!("{text}.") })
        .collect();
    let mut settings = grid.configurations[choice.winner].settings.clone();
    settings.zero_map.survey = survey;
    config::text(&settings, &chosen, &head, &reasons)
}

#[cfg(test)]
mod tests {
    use s3b_engine::settings::flags::engine;

    use super::*;

    #[test]
    fn the_defaults_of_a_mount_are_among_what_is_tried() {
        let defaults = Settings::default();
        for (name, values) in DEFAULT_AXES {
            let flag = engine().find(|flag| flag.name == name).unwrap();
            let hits = values.split(',').filter(|value| {
                let mut settings = defaults.clone();
                settings.volume.block_size = Some(s3b_engine::settings::VolumeSettings::NEW_BLOCK_SIZE);
                let before = settings.clone();
                flag.set(&mut settings, value).unwrap();
                settings == before
            });
            assert_eq!(hits.count(), 1, "{name}");
        }
    }
}
