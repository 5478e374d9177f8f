//! A sweep's outcome as one HTML file: everything inside, nothing fetched. Drawings are SVG made here; the script only
//! shows tooltips and copies the settings, and the page is whole without it. The page's own policy allows that one style
//! sheet and that one script, by their hashes, and nothing else.

mod about;
mod decision;
mod heat;
mod knobs;
mod ledger;
mod markup;
mod pareto;
mod plot;
mod scale;
mod trust;
mod workloads;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::numbers::clock;
use super::words;
use crate::outcome::Outcome;
use markup::escape;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole file.
pub fn render(outcome: &Outcome) -> String {
    let mut sections = vec![
        decision::card(outcome),
        trust::trust(outcome),
        pareto::pareto(outcome),
        knobs::knobs(outcome),
        about::block_sizes(outcome),
        workloads::latencies(outcome),
        workloads::misses(outcome),
        ledger::costs(outcome),
        ledger::ledger(outcome),
        workloads::fingerprints(outcome),
    ];
    sections.extend([about::configurations(outcome), about::run(outcome)]);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n{}<main>\n{}</main>\n\
         {}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        policy(),
        escape(&title(outcome)),
        head(outcome),
        sections.concat(),
        about::data(outcome),
    )
}

fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

fn title(outcome: &Outcome) -> String {
    match &outcome.answer {
        Some(answer) => format!("s3b: {}", outcome.configurations[answer.recommended].values.join(", ")),
        None => "s3b: no recommendation".into(),
    }
}

fn head(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.workloads.iter().map(|one| &*one.name).collect();
    let stopped = outcome.run.stopped.iter().map(|why| format!(" Stopped early: {why}.")).collect::<String>();
    let title = if outcome.answer.is_some() { "How to mount this bucket" } else { "No recommendation" };
    let line = format!(
        "{} on {}: {} configurations over {} in {}.{stopped}",
        words::how(outcome),
        outcome.place.description,
        outcome.configurations.len(),
        names.join(", "),
        clock(outcome.run.seconds),
    );
    format!(
        "<header><p class=\"kicker\">s3b-tuner sweep</p><h1>{}</h1><p>{}</p></header>\n",
        escape(title),
        escape(&line)
    )
}
