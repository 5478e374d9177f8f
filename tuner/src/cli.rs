//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands;

/// Finds the settings of an s3b mount by running I/O against the real engine.
#[derive(Parser)]
#[command(name = "s3b-tuner", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep                                          no account, no set-up: seconds, writes s3b.toml
  s3b-tuner sweep --bucket mybucket --trace vm.vscsi.zst   your bucket, your workload
  s3b-tuner inspect vm.vscsi.zst                           what a workload is like, without running it
  s3b-tuner doctor --bucket mybucket                       is it fit to be a disk?
  s3b-tuner check --config s3b.toml                        is this configuration fit to be mounted with?
  s3b-tuner probe --bucket mybucket                        how fast is it? about a minute and at most $0.05
  s3b-tuner replay fsync-small --test /mnt/scratch         one scenario on one configuration
  s3b-tuner replay disk.blktrace.0 --config s3b.toml --bucket mybucket
  s3b-tuner scenarios --show oltp > mine.toml              a workload of your own, from a built-in one";

#[derive(Subcommand)]
pub enum Command {
    Sweep(Box<commands::sweep::Sweep>),
    Replay(commands::replay::Replay),
    Convert(commands::convert::Convert),
    Scenarios(commands::scenarios::Scenarios),
    Validate(Box<commands::validate::Validate>),
    Inspect(commands::inspect::Inspect),
    Mrc(commands::mrc::Mrc),
    Probe(commands::probe::Probe),
    Doctor(commands::doctor::Doctor),
    Report(commands::report::Report),
    Explain(commands::explain::Explain),
    Compare(commands::compare::Compare),
    Runs(commands::runs::Runs),
    Check(Box<commands::check::Check>),
    Clean(commands::clean::Clean),
    Cost(commands::cost::Cost),
}

impl Command {
    /// # Errors
    /// With a message for the user.
    pub async fn run(&self) -> Result<ExitCode> {
        match self {
            Self::Sweep(args) => commands::sweep::sweep(args).await,
            Self::Replay(args) => commands::replay::replay(args).await,
            Self::Convert(args) => commands::convert::convert(args).await,
            Self::Scenarios(args) => commands::scenarios::scenarios(args),
            Self::Validate(args) => commands::validate::validate(args).await,
            Self::Inspect(args) => commands::inspect::inspect(args).await,
            Self::Mrc(args) => commands::mrc::mrc(args).await,
            Self::Probe(args) => commands::probe::probe(args).await,
            Self::Doctor(args) => commands::doctor::doctor(args).await,
            Self::Report(args) => commands::report::report(args),
            Self::Explain(args) => commands::explain::explain(args),
            Self::Compare(args) => commands::compare::compare(args),
            Self::Runs(args) => commands::runs::runs(args),
            Self::Check(args) => commands::check::check(args).await,
            Self::Clean(args) => commands::clean::clean(args).await,
            Self::Cost(args) => commands::cost::cost(args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_shows_examples_and_exit_codes() {
        let mut cli = Cli::command();
        assert!(cli.get_subcommands().count() >= 16);
        for command in cli.get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            let example = format!("  s3b-tuner {}", command.get_name());
            for part in ["Examples:\n", &example, "\nExit code: 0 "] {
                assert!(help.contains(part), "{part:?} is missing in the help of {}", command.get_name());
            }
        }
    }
}
