//! The settings file that a sweep writes.

use anyhow::{Context, Result};
use s3b_engine::settings::Settings;
use s3b_engine::settings::flags::{Given, engine};

use crate::outcome::Outcome;
use crate::report::config::{self, Reason};

/// `s3b.toml`: the recommended settings with their reasons.
///
/// # Errors
/// An outcome without an answer, or one that was changed by hand.
pub fn settings_file(outcome: &Outcome) -> Result<String> {
    let answer = outcome.answer.as_ref().context("there is no answer to write")?;
    let recommended = outcome.configurations.get(answer.recommended).context("the answer names no configuration")?;
    let mut settings = Settings::default();
    let given = Given::from_toml(&recommended.settings_toml, "the outcome")?;
    given.apply(engine(), &mut settings)?;
    let flag = |name: &str| engine().find(|flag| flag.name == name).map(|flag| flag.name);
    let chosen: Vec<(&'static str, String)> = outcome
        .axes
        .iter()
        .zip(&recommended.values)
        .filter_map(|(axis, value)| Some((flag(&axis.name)?, value.clone())))
        .collect();
    let reasons: Vec<Reason> = answer
        .reasons
        .iter()
        .filter_map(|reason| Some(Reason { flag: flag(&reason.setting)?, text: format!("{}.", reason.why) }))
        .collect();
    let workloads: Vec<&str> = outcome.workloads.iter().map(|one| &*one.name).collect();
    let mut head = vec![
        format!("{}, goal {}, on {}.", outcome.run.started, outcome.goal.name, outcome.place.description),
        format!("Workloads: {}.", workloads.join(", ")),
        format!("Prices: {}, {}.", outcome.prices.name, outcome.prices.dated),
    ];
    head.extend(answer.caveats.iter().map(|caveat| format!("Note: {caveat}.")));
    Ok(config::text(&settings, &chosen, &head, &reasons))
}
