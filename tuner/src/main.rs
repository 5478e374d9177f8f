//! `s3b-tuner`: replays recorded and synthetic I/O against the real engine and says which settings to mount with.

use std::process::ExitCode;

use clap::Parser;

use s3b_engine::hidden_args;
use s3b_tuner::cli;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // The copies above stay; what other users can see goes.
    hidden_args::hide();
    let cli = cli::Cli::parse_from(args);
    // The engine's warnings; RUST_LOG shows more.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("s3b-tuner: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(cli.command.run());
    result.unwrap_or_else(|error| {
        eprintln!("s3b-tuner: {error:#}");
        ExitCode::FAILURE
    })
}
