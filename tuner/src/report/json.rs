//! A sweep's outcome as JSON, and back. The form is described by the schema that is shipped with the program.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::outcome::{Outcome, SCHEMA};

/// The JSON Schema (draft 2020-12) of the form.
pub const DESCRIPTION: &str = include_str!("../../data/schema/s3b-sweep-1.schema.json");

/// Indented, with a newline at the end.
pub fn render(outcome: &Outcome) -> String {
    // Strings and numbers only: no map with keys that are not strings, nothing that can refuse to be written.
    serde_json::to_string_pretty(outcome).expect("plain data is always JSON") + "\n"
}

/// Reads what [`render`] wrote; `name` is for messages.
///
/// # Errors
/// Names the file, and what it is instead.
pub fn read(text: &str, name: &str) -> Result<Outcome> {
    let value: Value = serde_json::from_str(text)
        .with_context(|| format!("{name}: not JSON; try a file that `s3b-tuner sweep --save` wrote"))?;
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(other) => bail!("{name}: schema is {other:?}; this program reads {SCHEMA:?}"),
        None => bail!("{name}: has no \"schema\"; try a file that `s3b-tuner sweep --save` wrote"),
    }
    let outcome: Outcome = serde_json::from_value(value).with_context(|| format!("{name}: not a whole {SCHEMA}"))?;
    check(&outcome).with_context(|| format!("{name}: damaged"))?;
    Ok(outcome)
}

/// Every index points at something, and every list has one entry for each axis or workload.
fn check(outcome: &Outcome) -> Result<()> {
    let (configurations, workloads) = (outcome.configurations.len(), outcome.workloads.len());
    for (n, one) in outcome.configurations.iter().enumerate() {
        if one.values.len() != outcome.axes.len() {
            bail!("configuration {n} has {} values for {} axes", one.values.len(), outcome.axes.len());
        }
        for (what, found) in [("simulated", one.simulated.len()), ("measured", one.measured.len())] {
            if found != 0 && found != workloads {
                bail!("configuration {n} has {found} {what} runs for {workloads} workloads");
            }
        }
        if let Some(round) =
            one.measured_seconds.iter().chain(&one.measured_losses).find(|round| round.len() != workloads)
        {
            bail!("configuration {n} has a round of {} figures for {workloads} workloads", round.len());
        }
    }
    let answer = outcome.answer.iter();
    let named = answer.flat_map(|one| {
        let lists = one.tied.iter().chain(&one.per_workload).chain(&one.pareto).copied();
        lists.chain([one.recommended, one.cheapest, one.safest]).chain(one.default)
    });
    let compared = outcome.trust.differences.iter().map(|one| one.other);
    let confirmed = outcome.trust.confirmations.iter().map(|one| one.configuration);
    if let Some(wrong) = named.chain(compared).chain(confirmed).find(|n| *n >= configurations) {
        bail!("it names configuration {wrong} of {configurations}");
    }
    match outcome.trust.confirmations.iter().find(|one| one.workload >= workloads) {
        Some(wrong) => bail!("it names workload {} of {workloads}", wrong.workload),
        None => Ok(()),
    }
}
