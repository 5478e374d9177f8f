//! The settings file that a sweep writes.

use std::path::Path;

use anyhow::{Context, Result};
use s3b_engine::settings::flags::{Given, engine};
use s3b_engine::settings::{Durability, Settings};

use super::grid::CACHE_FILE;
use crate::outcome::Outcome;
use crate::report::config::{self, Reason};

/// `s3b.toml`: the recommended settings with their reasons.
///
/// # Errors
/// An outcome without an answer, or one that was changed by hand.
pub fn settings_file(outcome: &Outcome) -> Result<String> {
    let answer = outcome.answer.as_ref().context("there is no answer to write")?;
    let recommended = outcome.configurations.get(answer.recommended).context("the answer names no configuration")?;
    let settings = settings(outcome, answer.recommended)?;
    let flag = |name: &str| engine().find(|flag| flag.name == name).map(|flag| flag.name);
    let mut chosen: Vec<(&'static str, String)> = outcome
        .axes
        .iter()
        .zip(&recommended.values)
        .filter_map(|(axis, value)| Some((flag(&axis.name)?, value.clone())))
        .collect();
    let mut reasons: Vec<Reason> = answer
        .reasons
        .iter()
        .filter_map(|reason| Some(Reason { flag: flag(&reason.setting)?, text: format!("{}.", reason.why) }))
        .collect();
    if let Some(file) = &settings.block_cache.file {
        chosen.push((CACHE_FILE_FLAG, file.display().to_string()));
        reasons.push(Reason { flag: CACHE_FILE_FLAG, text: about_the_file(&settings) });
    }
    let workloads: Vec<&str> = outcome.workloads.iter().map(|one| &*one.name).collect();
    let mut head = vec![
        format!("{}, goal {}, on {}.", outcome.run.started, outcome.goal.name, outcome.place.description),
        format!("Workloads: {}.", workloads.join(", ")),
        format!("Prices: {}, {}.", outcome.prices.name, outcome.prices.dated),
    ];
    head.extend(answer.caveats.iter().map(|caveat| format!("Note: {caveat}.")));
    Ok(config::text(&settings, &chosen, &head, &reasons))
}

const CACHE_FILE_FLAG: &str = "block-cache-file";

fn about_the_file(settings: &Settings) -> String {
    let set = match settings.block_cache.file.as_deref() == Some(Path::new(CACHE_FILE)) {
        true => "SET THIS PATH: nobody named one to the sweep. ",
        false => "",
    };
    let kept = match settings.durability {
        Durability::Journal => "What was flushed is only there until it is stored: losing it loses that. ",
        _ => "",
    };
    format!(
        "{set}{kept}A file of this volume alone, in a directory that exists, on a local disk that survives a restart."
    )
}

/// The settings of a configuration.
///
/// # Errors
/// An outcome that was changed by hand.
pub fn settings(outcome: &Outcome, configuration: usize) -> Result<Settings> {
    let mut settings = Settings::default();
    let one = outcome.configurations.get(configuration).context("the answer names no configuration")?;
    let given = Given::from_toml(&one.settings_toml, "the outcome")?;
    given.apply(engine(), &mut settings)?;
    Ok(settings)
}
