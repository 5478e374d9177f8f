//! Values of arguments that several commands take: formats, paces, times, sizes.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, ValueEnum};
use s3b_engine::settings::parse;
use s3b_scenarios::size::Size;

/// When the operations of a replay start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PaceName {
    /// Open loop, by the workload's own times.
    Trace,
    /// The same, so many times as fast: 0.1 to 100.
    Times(f64),
    /// A number outstanding, each caller with its own bound and pauses.
    Closed,
    /// As fast as the store takes them, whoever asks.
    Max,
}

impl FromStr for PaceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = |text: &str| text.parse().ok().filter(|factor| (0.1..=100.0).contains(factor));
        match text {
            "trace" => Ok(Self::Trace),
            "closed" => Ok(Self::Closed),
            "max" => Ok(Self::Max),
            _ => match text.strip_prefix('x').and_then(factor) {
                Some(factor) => Ok(Self::Times(factor)),
                None => Err("not trace, max, closed, or a factor from x0.1 to x100; try x2".into()),
            },
        }
    }
}

impl fmt::Display for PaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trace => f.write_str("trace"),
            Self::Times(factor) => write!(f, "x{factor}"),
            Self::Closed => f.write_str("closed"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Reads a pace where settings are recommended or judged: the workload's own, and no other.
///
/// Write delay, cache times and the pauses between flushes stay what they are when operations come faster: the same
/// delay then gathers other writes, and the best one at another speed is not the best one.
pub fn own_pace(text: &str) -> Result<PaceName, String> {
    match text.parse()? {
        PaceName::Trace => Ok(PaceName::Trace),
        other => Err(format!(
            "the write delay cannot be judged at another pace than the workload's own, because delays and flush \
             intervals do not scale with it; leave --pace out (`replay --pace {other}` runs one configuration that way, \
             `sweep --goal throughput` looks for the most)"
        )),
    }
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

/// The arguments of an earlier call with those of now on top: what is given now replaces what was given then. Without
/// those that `left_out` names.
pub fn overlaid(
    command: &Command,
    then: &ArgMatches,
    now: &ArgMatches,
    left_out: impl Fn(&str) -> bool,
) -> Vec<OsString> {
    let given = |matches: &ArgMatches, id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut words = Vec::new();
    for arg in command.get_arguments() {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        let Some(from) = [now, then].into_iter().find(|matches| given(matches, id)) else { continue };
        if left_out(long) {
            continue;
        }
        if !arg.get_action().takes_values() {
            words.push(format!("--{long}").into());
            continue;
        }
        for value in from.get_raw(id).into_iter().flatten() {
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::commands::sweep::Sweep;

    #[test]
    fn what_is_given_now_replaces_what_was_given_then() {
        let command = Sweep::augment_args(Command::new("sweep"));
        let read = |words: &[&str]| command.clone().try_get_matches_from([&["sweep"], words].concat()).unwrap();
        let then = read(&[
            "--bucket",
            "b",
            "--vary",
            "threads=1,2",
            "--vary=cache=1m",
            "--in-region",
            "--access-key=***",
            "--max-cost",
            "1",
        ]);
        let now = read(&["--resume", "3f", "--max-cost=2", "--accessKey", "x", "--ssl"]);
        let words = overlaid(&command, &then, &now, |name| name == "access-key");
        let mut words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.sort_unstable();
        let all = [
            "--bucket=b",
            "--in-region",
            "--max-cost=2",
            "--resume=3f",
            "--ssl=true",
            "--vary=cache=1m",
            "--vary=threads=1,2",
        ];
        let mut sorted = all.to_vec();
        sorted.sort_unstable();
        assert_eq!(words, sorted);
        assert!(command.try_get_matches_from([&["sweep"], &all[..]].concat()).is_ok());
    }

    #[test]
    fn paces_are_read_and_only_the_own_one_judges_settings() {
        let read = |text: &str| text.parse::<PaceName>();
        assert_eq!(
            (read("x2"), read("x0.1"), read("closed")),
            (Ok(PaceName::Times(2.0)), Ok(PaceName::Times(0.1)), Ok(PaceName::Closed))
        );
        for wrong in ["x0", "x0.09", "x101", "xNaN", "2", "fast", ""] {
            assert!(read(wrong).unwrap_err().contains("try x2"), "{wrong}");
        }
        assert_eq!(own_pace("trace"), Ok(PaceName::Trace));
        for other in ["x2", "max", "closed"] {
            let why = own_pace(other).unwrap_err();
            assert!(why.contains("write delay") && why.contains(&format!("replay --pace {other}")), "{why}");
        }
    }
}
