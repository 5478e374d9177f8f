//! What a model is judged on: small scenarios as fast as they go, and windows of traces by their own times.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use s3b_scenarios::Scenario;

use crate::confirm::{Case, Plan};
use crate::simulate::{Pace, Tape};
use crate::validate::validation::Played;
use crate::workload::Workload;

/// Scenarios that come with the program for this purpose alone.
const SHIPPED: [(&str, &str); 3] = [
    ("database", include_str!("../../data/validate/database.toml")),
    ("stream-in", include_str!("../../data/validate/stream-in.toml")),
    ("read-back", include_str!("../../data/validate/read-back.toml")),
];

/// A workload, and how it is judged.
pub struct Subject {
    pub name: String,
    pub tape: Arc<Tape>,
    /// By throughput, in a closed loop.
    pub closed: bool,
}

/// The scenarios, or those that come with the program where none is named, then the traces.
///
/// # Errors
/// Of the first that cannot be read; a name given twice.
pub fn load(scenarios: &[String], traces: &[String]) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    if scenarios.is_empty() {
        for (name, text) in SHIPPED {
            let scenario = Scenario::parse(name, text).context("a scenario that comes with the program")?;
            subjects.push(subject(name.to_owned(), Workload::of_scenario(scenario), true)?);
        }
    }
    for name in scenarios {
        subjects.push(subject(short_name(name), Workload::load(name)?, true)?);
    }
    for name in traces {
        let workload = Workload::load(name)?;
        if !workload.is_trace() {
            bail!("--trace {name}: a scenario, not a trace; give it as --scenario {name}");
        }
        subjects.push(subject(short_name(name), workload, false)?);
    }
    for (n, one) in subjects.iter().enumerate() {
        if subjects[..n].iter().any(|other| other.name == one.name) {
            bail!("{}: given twice; every workload counts once", one.name);
        }
    }
    Ok(subjects)
}

fn subject(name: String, workload: Workload, closed: bool) -> Result<Subject> {
    Ok(Subject { name, tape: Arc::new(Tape::of(workload)?), closed })
}

/// The last part of a path.
fn short_name(name: &str) -> String {
    std::path::Path::new(name).file_name().map_or_else(|| name.to_owned(), |last| last.to_string_lossy().into_owned())
}

/// Scenarios run whole; of traces, `windows` windows of the length `window`.
pub fn cases(subjects: &[Subject], window: Duration, windows: u32) -> Vec<Case> {
    let case = |(workload, subject): (usize, &Subject)| {
        let outstanding = subject.tape.depth;
        let (pace, budget) = match subject.closed {
            true => (Pace::Closed { outstanding }, f64::INFINITY),
            false => (Pace::Schedule, window.as_secs_f64() * f64::from(windows)),
        };
        Case {
            workload,
            tape: subject.tape.clone(),
            pace,
            weight: 1.0 / subjects.len() as f64,
            expected_seconds: 0.0,
            budget_seconds: Some(budget),
        }
    };
    subjects.iter().enumerate().map(case).collect()
}

/// The pieces that a plan runs: each is judged as a workload of its own.
pub fn played(subjects: &[Subject], plan: &Plan) -> Vec<Played> {
    let of_piece = |piece: &crate::confirm::Piece| {
        let (subject, summary) = (&subjects[piece.case], &piece.tape.summary);
        let at = piece.window.as_ref().map(|one| format!(" at {} s", one.start_ns / 1_000_000_000));
        Played {
            name: format!("{}{}", subject.name, at.unwrap_or_default()),
            closed: subject.closed,
            window: piece.window.as_ref().map(Into::into),
            ops: summary.ops(),
            bytes: summary.read_bytes + summary.write_bytes,
            seconds: summary.duration_ns as f64 / 1e9,
        }
    };
    plan.pieces.iter().map(of_piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_ones_are_sound_and_small() {
        let subjects = load(&[], &[]).unwrap();
        assert_eq!(subjects.len(), 3);
        for subject in &subjects {
            assert!(subject.closed && subject.tape.summary.device_ends == [64 << 20], "{}", subject.name);
            assert!((500..5000).contains(&subject.tape.summary.ops()), "{}", subject.tape.summary.ops());
        }
        let cases = cases(&subjects, Duration::from_secs(10), 1);
        assert!(cases.iter().all(|case| matches!(case.pace, Pace::Closed { outstanding: 1.. })));
    }

    #[test]
    fn a_scenario_is_no_trace_and_nothing_counts_twice() {
        let of = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let error = load(&[], &of(&["oltp"])).err().unwrap().to_string();
        assert!(error.contains("--scenario oltp"), "{error}");
        let error = load(&of(&["discard", "discard"]), &[]).err().unwrap().to_string();
        assert!(error.contains("given twice"), "{error}");
    }
}
