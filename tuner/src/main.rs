//! `s3b-tuner`: replays recorded and synthetic I/O against the real engine and says which settings to mount with.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod connection;
mod cost;
mod interrupt;
mod journal;
mod measure;
mod model;
mod place;
mod progress;
mod recommend;
mod replay;
mod replay_command;
mod report;
mod run;
mod stats;
mod sweep;
mod workload;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("s3b-tuner: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match &cli.command {
            cli::Command::Sweep(args) => sweep::sweep(args).await,
            cli::Command::Replay(args) => replay_command::replay(args).await,
        }
    });
    result.unwrap_or_else(|error| {
        eprintln!("s3b-tuner: {error:#}");
        ExitCode::FAILURE
    })
}
