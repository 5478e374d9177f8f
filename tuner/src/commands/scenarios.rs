//! `s3b-tuner scenarios`: what workloads there are, and what a file of one's own amounts to. Runs nothing.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use s3b_scenarios::Scenario;
use s3b_scenarios::size::Size;
use serde::Serialize;

use crate::arguments::Format;
use crate::output;
use crate::report::numbers::{count, mib};
use crate::report::table::Table;
use crate::workload::Workload;

/// List the built-in scenarios, print one as a starting point, or check a file of your own
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Scenarios {
    /// Scenario files or names; without any, all that are built in
    #[arg(value_name = "SCENARIO")]
    pub names: Vec<String>,
    /// Print the file of a built-in scenario
    #[arg(long, value_name = "NAME", conflicts_with_all = ["names", "format"])]
    pub show: Option<String>,
    /// How the list is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner scenarios
  s3b-tuner scenarios --show oltp > mine.toml
  s3b-tuner scenarios mine.toml
  s3b-tuner sweep --scenario mine.toml

docs/SCENARIOS.md explains every key.
Exit code: 0 done, 1 a file is wrong, 2 wrong usage.";

/// Marks the form of the JSON; a changed meaning gets a new number.
const SCHEMA: &str = "s3b-tuner.scenarios/1";

#[derive(Serialize)]
struct Listing {
    schema: &'static str,
    scenarios: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    question: String,
    /// Small ones for sweeps that cost real time.
    basic: bool,
    operations: u64,
    reads: u64,
    writes: u64,
    flushes: u64,
    discards: u64,
    read_bytes: u64,
    write_bytes: u64,
    span_bytes: u64,
    prefill_bytes: u64,
    /// Intended start of the last operation.
    duration_s: f64,
    depth: usize,
    streams: usize,
}

pub fn scenarios(args: &Scenarios) -> Result<ExitCode> {
    if let Some(name) = &args.show {
        let Some(text) = Scenario::text_of(name) else {
            bail!("--show={name}: no built-in scenario; try one of {}", names().join(", "));
        };
        output::print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut entries = Vec::new();
    if args.names.is_empty() {
        entries.extend(Scenario::built_in().into_iter().map(|scenario| entry(&Workload::of_scenario(scenario), false)));
        entries.extend(Scenario::basic().into_iter().map(|scenario| entry(&Workload::of_scenario(scenario), true)));
    }
    for name in &args.names {
        let workload = Workload::load(name)?;
        if workload.is_trace() {
            bail!("{name}: a recorded trace, not a scenario; try s3b-tuner scenarios mine.toml");
        }
        entries.push(entry(&workload, Scenario::basic().iter().any(|basic| basic.name == *name)));
    }
    match args.format {
        Format::Text => output::print(&text(&entries))?,
        Format::Json => {
            output::print(&(serde_json::to_string_pretty(&Listing { schema: SCHEMA, scenarios: entries })? + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn names() -> Vec<String> {
    Scenario::built_in().into_iter().chain(Scenario::basic()).map(|scenario| scenario.name).collect()
}

fn entry(workload: &Workload, basic: bool) -> Entry {
    let summary = &workload.summary;
    Entry {
        name: workload.title.clone(),
        question: workload.question().unwrap_or_default().to_owned(),
        basic,
        operations: summary.ops(),
        reads: summary.reads,
        writes: summary.writes,
        flushes: summary.flushes,
        discards: summary.discards,
        read_bytes: summary.read_bytes,
        write_bytes: summary.write_bytes,
        // A scenario has one device, from 0 to its span.
        span_bytes: workload.device_starts(1).map_or(0, |starts| starts[starts.len() - 1]),
        prefill_bytes: workload.prefilled_bytes().unwrap_or(0),
        duration_s: summary.duration_ns as f64 / 1e9,
        depth: workload.depth(),
        streams: workload.streams().len(),
    }
}

fn text(entries: &[Entry]) -> String {
    let mut out = String::new();
    for basic in [false, true] {
        let some: Vec<&Entry> = entries.iter().filter(|entry| entry.basic == basic).collect();
        if some.is_empty() {
            continue;
        }
        if basic {
            out.push_str("\nSmall ones, for sweeps that cost real time:\n\n");
        }
        let mut table = Table::new(&["scenario", "operations", "read MiB", "written MiB", "span", "seconds", "depth"]);
        for entry in &some {
            table.row(vec![
                entry.name.clone(),
                count(entry.operations),
                mib(entry.read_bytes),
                mib(entry.write_bytes),
                Size(entry.span_bytes).to_string(),
                format!("{:.1}", entry.duration_s),
                entry.depth.to_string(),
            ]);
        }
        out.push_str(&table.render());
        out.push('\n');
        let width = some.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        some.iter().for_each(|entry| out.push_str(&format!("{:<width$}  {}\n", entry.name, entry.question)));
    }
    out
}
