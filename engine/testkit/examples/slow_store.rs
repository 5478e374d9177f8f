//! A real S3 server on this machine behind a known latency, until Enter or the end of the input: to try the tuner on, and
//! to validate it. Prints the flags that lead there.
//!
//! ```text
//! cargo run -p s3b-testkit --example slow_store [LATENCY_MS [JITTER_MS [MB_PER_S_OF_A_CONNECTION]]]
//! ```

use anyhow::{Context, Result, bail};
use s3b_testkit::seaweed::Seaweed;
use s3b_testkit::{Latency, Latproxy};

const BUCKET: &str = "validated";

fn main() -> Result<()> {
    let mut given = std::env::args().skip(1).map(|arg| arg.parse::<f64>().with_context(|| format!("{arg}: no number")));
    let mut next = |default: f64| given.next().unwrap_or(Ok(default));
    let latency = Latency { fixed_ms: next(20.0)?, jitter_ms: next(2.0)?, megabytes_per_second: next(0.0)? };
    let Some(server) = Seaweed::start()? else {
        bail!("no `weed` found; ./run-tests installs it");
    };
    server.create_bucket(BUCKET)?;
    let endpoint = server.endpoint();
    let upstream = endpoint.trim_end_matches('/').rsplit(':').next().context("a port")?.parse()?;
    let Some(proxy) = Latproxy::start(upstream, latency)? else {
        bail!("{} is absent: the latency proxy's source, which is not part of the tree", Latproxy::source().display());
    };
    println!(
        "--bucket {BUCKET} --base-url http://127.0.0.1:{}/ --region us-east-1 --access-id {} --access-key {}",
        proxy.port(),
        Seaweed::ACCESS_ID,
        Seaweed::SECRET
    );
    // Whoever started it keeps its input open as long as it is needed.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}
