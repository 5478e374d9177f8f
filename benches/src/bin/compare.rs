//! Measures the list of performance targets and says which are reached.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use s3b_benches::contestants::Programs;
use s3b_benches::report::{Outcome, save, table};
use s3b_benches::{local, remote, resources};

/// Compares s3b with a null FUSE file and with s3backer, in interleaved pairs. Needs root and an idle machine.
#[derive(Parser)]
struct Arguments {
    /// Only cases whose name begins with one of these.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Pairs per case; fewer than 9 only to try things out.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// The program to measure [default: `s3b` beside this one].
    #[arg(long)]
    s3b: Option<PathBuf>,
    /// Where all figures go.
    #[arg(long, default_value = "target/bench/compare.json")]
    output: PathBuf,
    /// Print the names of the cases.
    #[arg(long)]
    list: bool,
}

impl Arguments {
    fn wanted(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| case.starts_with(name.as_str()))
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        let local = local::cases().into_iter().map(|case| case.name);
        let others = remote::CASES.into_iter().chain(resources::CASES).map(str::to_owned);
        local.chain(others).for_each(|name| println!("{name}"));
        return Ok(());
    }
    ensure!(arguments.rounds > 0, "--rounds=0: there is nothing to measure; try --rounds=9");
    remote::check_tools()?;
    let mut outcomes = Vec::new();
    let result = measure(&arguments, &mut outcomes);
    print!("{}", table(&outcomes));
    println!("All figures: {}", arguments.output.display());
    result
}

fn measure(arguments: &Arguments, outcomes: &mut Vec<Outcome>) -> Result<()> {
    let programs = Programs::beside_us(arguments.s3b.as_deref())?;
    let mut record = |outcome: Result<Outcome>| {
        let outcome = outcome?;
        eprintln!("{}: {:?}", outcome.case, outcome.reached());
        outcomes.push(outcome);
        save(&arguments.output, outcomes)
    };
    for case in local::cases().iter().filter(|case| arguments.wanted(&case.name)) {
        record(case.run(&programs, arguments.rounds))?;
    }
    for case in resources::CASES.into_iter().filter(|case| arguments.wanted(case)) {
        record(resources::run(case, &programs, arguments.rounds))?;
    }
    let far: Vec<&str> = remote::CASES.into_iter().filter(|case| arguments.wanted(case)).collect();
    if !far.is_empty() {
        let remote = remote::Remote::start(&programs)?;
        for case in far {
            record(remote.run(case, arguments.rounds))?;
        }
    }
    Ok(())
}
