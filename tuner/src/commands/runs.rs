//! `s3b-tuner runs`: what was run here, what can be gone on with, and what was left behind. Only looks.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::arguments::Format;
use crate::output;
use crate::report::table::Table;
use crate::runs::{self, Found};

/// List the runs of this machine: when, where, how they ended, how to go on, and objects that they may have left
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Runs {
    /// How the list is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner runs
  s3b-tuner clean 3fa1            deletes what that run left
  s3b-tuner sweep --resume 3fa1   goes on with it; no round is paid twice

The journals are in $XDG_STATE_HOME/s3b/runs, or ~/.local/state/s3b/runs.
Exit code: 0 done, 1 error, 2 wrong usage.";

/// Marks the form of the JSON; a changed meaning gets a new number.
const SCHEMA: &str = "s3b-tuner.runs/1";

#[derive(Serialize)]
struct Listing {
    schema: &'static str,
    runs: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    started: Option<String>,
    place: Option<String>,
    state: &'static str,
    /// What to type to go on with it.
    resume: Option<String>,
    left_objects: u64,
    command: Vec<String>,
}

pub fn runs(args: &Runs) -> Result<ExitCode> {
    let found = runs::all(&runs::directory_of_runs()?)?;
    match args.format {
        Format::Text => output::print(&text(&found))?,
        Format::Json => {
            let listing = Listing { schema: SCHEMA, runs: found.into_iter().map(entry).collect() };
            output::print(&(serde_json::to_string_pretty(&listing)? + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn entry(run: Found) -> Entry {
    let resume = run.resuming();
    let description = run.description;
    Entry {
        id: run.id,
        started: description.as_ref().map(|one| one.started.clone()),
        place: description.as_ref().map(|one| one.place.describe()),
        state: run.state.name(),
        resume,
        left_objects: run.left,
        command: description.map(|one| one.command).unwrap_or_default(),
    }
}

fn text(found: &[Found]) -> String {
    if found.is_empty() {
        return "no runs are kept here\n".into();
    }
    let mut table = Table::new(&["run", "started", "state", "objects left", "where"]);
    for run in found {
        let (started, place) = match &run.description {
            Some(description) => (description.started.clone(), description.place.describe()),
            None => ("?".into(), "? (its run.json cannot be read)".into()),
        };
        table.row(vec![run.id.clone(), started, run.state.name().into(), run.left.to_string(), place]);
    }
    let resume: String =
        found.iter().filter_map(|run| Some(format!("to go on with {}: {}\n", run.id, run.resuming()?))).collect();
    let left = found.iter().any(|run| run.left > 0 && run.state != runs::State::Alive);
    let advice = if left { "delete what is left: s3b-tuner clean RUN, or s3b-tuner clean --all\n" } else { "" };
    format!("{}{resume}{advice}", table.render())
}
