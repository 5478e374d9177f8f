//! Values of arguments that several commands take: formats, paces, times, sizes.

use std::time::Duration;

use clap::ValueEnum;
use s3b_engine::settings::parse;
use s3b_scenarios::size::Size;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PaceName {
    /// Open loop, by the workload's own times
    Trace,
    /// As fast as possible with a bounded number outstanding
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// For results that are tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    Text,
    Json,
    Csv,
    /// Markdown
    Md,
}

/// The largest block that is analysed.
pub const BLOCK_SIZE_MAX: u64 = 1 << 30;

/// Reads a number of bytes: `64k`, `1g`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let size = Size::parse(text).ok_or_else(|| format!("{text:?} is not a size; try 64k, 1m or 2g"))?;
    Ok(size.0)
}

/// Reads a block size: a power of two from 512 to [`BLOCK_SIZE_MAX`].
pub fn block_size(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes.is_power_of_two() && (512..=BLOCK_SIZE_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    let near = bytes.clamp(512, BLOCK_SIZE_MAX).checked_next_power_of_two().unwrap_or(BLOCK_SIZE_MAX);
    Err(format!("not a power of two from 512 to {}; try {}", Size(BLOCK_SIZE_MAX), Size(near)))
}

/// Reads a duration as a mount's flags do: `30ms`, `90s`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse::seconds(text).map_err(|error| format!("{error}; try 90s"))
}

/// Reads a latency: a bare number is in milliseconds.
pub fn latency(text: &str) -> Result<Duration, String> {
    let time = parse::millis(text).map_err(|error| format!("{error}; try 30ms"))?;
    if time.as_secs() < 60 { Ok(time) } else { Err("longer than a minute; try 30ms".into()) }
}

/// Reads an amount of dollars: `0.05`, `$0.05`.
pub fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.trim_start_matches('$').parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount >= 0.0);
    amount.ok_or_else(|| "not an amount of dollars; try 0.05".into())
}
