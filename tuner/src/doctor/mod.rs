//! Whether a store is fit to be a disk, and settings to be mounted with: a list of checks, each with what was found and
//! what to do.
//!
//! Looks, and tries out in a prefix of its own; changes nothing else. What it is not allowed to see it says it could not
//! tell, and why.

pub mod bucket;
pub mod cache_disk;
pub mod configuration;
pub mod directory;
pub mod examined;
pub mod settings;

use std::fmt::Write;

use serde::Serialize;

use crate::rates::{SIZES, WorkRate};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It works, at a price or a risk.
    Warn,
    /// It does not work, or loses data.
    Fail,
    /// Could not tell.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// Empty where there is nothing to do.
    pub advice: String,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    pub fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), advice: advice.into() }
    }

    pub fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), advice: advice.into() }
    }

    pub fn unknown(name: &'static str, why: impl std::fmt::Display) -> Self {
        let found = format!("could not tell: {why}");
        Self { name, verdict: Verdict::Unknown, found, advice: String::new() }
    }
}

/// What a machine reads.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub store: String,
    /// The worst of the checks; not being able to tell is no failure.
    pub verdict: Verdict,
    pub checks: Vec<Check>,
    /// Bytes per second of one core of this machine, at [`SIZES`].
    pub rates: Vec<WorkRate>,
}

impl Report {
    pub fn new(store: String, checks: Vec<Check>, rates: Vec<WorkRate>) -> Self {
        let verdict = worst(&checks);
        Self { schema: "s3b-tuner.doctor/1", store, verdict, checks, rates }
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}", self.store, lines(&self.checks));
        let sizes = SIZES.map(|size| format!("{} KiB", size >> 10)).join(", ");
        let _ = writeln!(text, "this machine, MB/s of one core, blocks of {sizes}:");
        for rate in &self.rates {
            let speeds: Vec<String> = rate.bytes_per_s.iter().map(|rate| format!("{:.0}", rate / 1e6)).collect();
            let _ = writeln!(text, "      {:<18} {}", rate.work, speeds.join(", "));
        }
        text
    }
}

/// The worst verdict; not being able to tell is no failure.
pub fn worst(checks: &[Check]) -> Verdict {
    let has = |verdict| checks.iter().any(|check| check.verdict == verdict);
    match (has(Verdict::Fail), has(Verdict::Warn)) {
        (true, _) => Verdict::Fail,
        (_, true) => Verdict::Warn,
        _ => Verdict::Ok,
    }
}

/// One check a line, and what to do below it.
pub fn lines(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
            Verdict::Unknown => "?   ",
        };
        let _ = writeln!(text, "{verdict}  {:<18} {}", check.name, check.found);
        if !check.advice.is_empty() {
            let _ = writeln!(text, "      {:<18} -> {}", "", check.advice);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_not_knowing_is_no_failure() {
        let report = |checks: &[Check]| Report::new("s3://b".into(), checks.to_vec(), Vec::new());
        let (ok, unknown) = (Check::ok("a", "fine"), Check::unknown("b", "403"));
        let (warn, fail) = (Check::warn("c", "slow", "wait"), Check::fail("d", "gone", "make it"));
        assert_eq!(report(&[ok.clone(), unknown.clone()]).verdict, Verdict::Ok);
        assert_eq!(report(&[unknown.clone(), warn.clone()]).verdict, Verdict::Warn);
        let all = report(&[ok, warn, fail, unknown]);
        assert_eq!(all.verdict, Verdict::Fail);
        let text = all.text();
        for part in ["ok    a", "WARN  c", "-> wait", "FAIL  d", "-> make it", "could not tell: 403"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
