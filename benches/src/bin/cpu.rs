//! Prints the processor time of a request in the S3 client, and of a request that is recorded.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use s3b_benches::cpu::{client, recording};

/// Measures processor time. Needs an idle machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A GET and a PUT through the S3 client, against a server that answers at once.
    Client,
    /// What --record adds to a request.
    Record {
        /// Where the recordings go.
        #[arg(long, default_value = "/dev/shm")]
        dir: PathBuf,
    },
    /// That server.
    #[command(hide = true)]
    Serve,
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Serve => client::serve()?,
        What::Client => {
            for cost in client::measure(&["serve"])? {
                let client::Cost { size, requests, get_us, put_us } = cost;
                println!("{size:>8} bytes, {requests} requests: GET {get_us:.1} us, PUT {put_us:.1} us");
            }
        }
        What::Record { dir } => {
            let dir = tempfile::tempdir_in(dir)?;
            let recording::Cost { alone, contended, beside_reads, read, bytes } = recording::measure(dir.path())?;
            println!("push alone {alone:.0} ns, from two threads {contended:.0} ns");
            println!("4 KiB read that hits {read:.0} ns, recorded {beside_reads:.0} ns more; {bytes:.1} bytes each");
        }
    }
    Ok(())
}
