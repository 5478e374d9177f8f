//! What was measured, against what was wanted: a table for people, JSON for everything else.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::pairs::{Ratio, median};

/// One comparison, or one figure with a bound.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub case: String,
    pub unit: &'static str,
    /// One figure per round.
    pub ours: Vec<f64>,
    /// The other contestant's, round by round; empty where a figure stands alone.
    pub theirs: Vec<f64>,
    /// Who the other one is.
    pub against: &'static str,
    pub ratio: Option<Ratio>,
    pub want: Want,
}

/// When an outcome is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Want {
    /// The lower end of the ratio's interval is at least this.
    Ratio(f64),
    /// The median of our figures is at least / at most this.
    AtLeast(f64),
    AtMost(f64),
    /// The median difference to the other one is at most this.
    Within(f64),
    /// Only reported.
    Nothing,
}

impl Outcome {
    pub fn pairs(case: &str, unit: &'static str, against: &'static str, rounds: &[(f64, f64)], want: Want) -> Self {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.iter().copied().unzip();
        let ratio = Some(Ratio::of(&ours, &theirs));
        Self { case: case.into(), unit, ours, theirs, against, ratio, want }
    }

    pub fn alone(case: &str, unit: &'static str, ours: Vec<f64>, want: Want) -> Self {
        Self { case: case.into(), unit, ours, theirs: Vec::new(), against: "", ratio: None, want }
    }

    /// `None` when nothing was wanted.
    pub fn reached(&self) -> Option<bool> {
        let ours = median(&self.ours);
        match self.want {
            Want::Ratio(least) => Some(self.ratio.is_some_and(|ratio| ratio.low >= least)),
            Want::AtLeast(least) => Some(ours >= least),
            Want::AtMost(most) => Some(ours <= most),
            Want::Within(most) => Some(ours - median(&self.theirs) <= most),
            Want::Nothing => None,
        }
    }

    fn row(&self) -> String {
        let theirs = if self.theirs.is_empty() {
            String::new()
        } else {
            format!("{} {}", figure(median(&self.theirs)), self.against)
        };
        let ratio = self.ratio.map_or(String::new(), |r| format!("{:.2} [{:.2}, {:.2}]", r.mean, r.low, r.high));
        let want = match self.want {
            Want::Ratio(least) => format!(">= {least:.2}"),
            Want::AtLeast(least) => format!(">= {} {}", figure(least), self.unit),
            Want::AtMost(most) => format!("<= {} {}", figure(most), self.unit),
            Want::Within(most) => format!("+{} {}", figure(most), self.unit),
            Want::Nothing => String::new(),
        };
        let verdict = match self.reached() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let ours = format!("{} {}", figure(median(&self.ours)), self.unit);
        format!("| {} | {ours} | {theirs} | {ratio} | {want} | {verdict} |", self.case)
    }
}

/// Three digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A table in Markdown; medians over the rounds, ratios with their 95 % interval.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text =
        String::from("| case | s3b | other | ratio [95 %] | wanted | reached |\n|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        text += &outcome.row();
        text.push('\n');
    }
    text
}

/// Writes all outcomes so far, so that a killed run leaves its first half.
pub fn save(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    Ok(std::fs::write(path, serde_json::to_string_pretty(outcomes)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_end_decides() {
        let noisy = [(1.0, 1.0), (0.5, 1.0), (1.5, 1.0), (1.0, 1.0)];
        let reached = |want| Outcome::pairs("x", "MB/s", "null", &noisy, want).reached();
        assert_eq!(reached(Want::Ratio(0.9)), Some(false), "the mean alone would do");
        assert_eq!(reached(Want::Ratio(0.4)), Some(true));
        assert_eq!(reached(Want::Within(0.0)), Some(true));
        assert_eq!(reached(Want::Nothing), None);
        assert_eq!(Outcome::alone("x", "s", vec![0.9], Want::AtMost(1.0)).reached(), Some(true));
        assert_eq!(Outcome::alone("x", "s", vec![29.0], Want::AtLeast(30.0)).reached(), Some(false));
    }

    #[test]
    fn the_table_names_what_was_missed() {
        let text = table(&[Outcome::pairs("slow", "MB/s", "null", &[(1.0, 2.0)], Want::Ratio(0.8))]);
        assert!(text.contains("| slow | 1.00 MB/s | 2.00 null | 0.50 [0.50, 0.50] | >= 0.80 | NO |"), "{text}");
    }
}
