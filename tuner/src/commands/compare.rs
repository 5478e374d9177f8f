//! `s3b-tuner compare`: did a later sweep come out worse? Answers with its exit code too, for CI.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::report::load;
use crate::compare::{self, Verdict};
use crate::outcome::Outcome;
use crate::output;

/// Compare two outcomes of the same sweep, for CI: exit 0 fine, 1 regression, 2 inconclusive, 3 not comparable
///
/// Simulated figures are compared exactly, as the same seed gives the same figures. Where both sweeps ran for real, only their
/// rounds are compared: each workload over all configurations and each configuration over all workloads, one number for a
/// round, by Welch's test with Holm's correction. Worse counts what is worse by more than the threshold and than the noise
/// floor of either sweep. It takes 3 rounds on both sides to show a regression, and 5 to show that there is none; with fewer
/// the answer is inconclusive. The rounds of a sweep show how the store varies within it: if the store itself got slower
/// between the two sweeps, that counts as a regression too.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Compare {
    /// What `sweep --save` wrote (or `--format json` printed) before
    #[arg(value_name = "BASE.json")]
    pub base: PathBuf,
    /// What the same sweep gives now
    #[arg(value_name = "NEW.json")]
    pub new: PathBuf,
    /// How much a figure may grow; of real rounds, no less than their noise
    #[arg(long, value_name = "PERCENT", value_parser = threshold, default_value = "5%")]
    pub threshold: f64,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    Text,
    Json,
    /// Markdown
    Md,
}

const EXAMPLES: &str = "\
Examples:
  s3b-tuner sweep --seed 1 --save new.json
  s3b-tuner compare base.json new.json --threshold 5%

Exit code: 0 nothing worse, 1 a regression,
  2 too noisy to tell, something could not be compared, or wrong usage,
  3 not comparable or unreadable.";

/// Reads `5%` or `5` as 0.05.
fn threshold(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("{text:?} is no percentage from 0 to 1000; try 5%")),
    }
}

/// Files that cannot be read are not comparable: exit 3, like anything else that gives no answer.
///
/// # Errors
/// None; what is wrong with a file is told on stderr.
pub fn compare(args: &Compare) -> Result<ExitCode> {
    let both = || -> Result<(Outcome, Outcome)> { Ok((load(&args.base)?, load(&args.new)?)) };
    let (base, new) = match both() {
        Ok(both) => both,
        Err(error) => {
            eprintln!("s3b-tuner: {error:#}");
            return Ok(ExitCode::from(Verdict::NotComparable.exit_code()));
        }
    };
    let found = compare::compare(&base, &new, args.threshold);
    let text = match args.format {
        CompareFormat::Text => compare::text(&found),
        CompareFormat::Json => compare::json(&found),
        CompareFormat::Md => compare::markdown(&found),
    };
    output::print(&text)?;
    Ok(ExitCode::from(found.verdict.exit_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_percentages() {
        assert_eq!((threshold("5%"), threshold("0.5 %"), threshold("10")), (Ok(0.05), Ok(0.005), Ok(0.1)));
        for wrong in ["", "-1%", "nan", "five", "inf"] {
            assert!(threshold(wrong).unwrap_err().contains("try 5%"), "{wrong}");
        }
    }
}
