//! A whole probe on behalf of another command: claim a place, measure, fit, clean up.

use anyhow::{Context, Result, anyhow};
use s3b_engine::clock;
use s3b_engine::settings::Location;

use super::fit::{self, Known};
use super::plan::Plan;
use super::{Bounds, probe};
use crate::connection::Access;
use crate::cost::Requests;
use crate::interrupt::Interrupt;
use crate::model::settings::Limits;
use crate::model::{StoreModel, shipped, text};
use crate::place::{Owner, Place};
use crate::runs::Record;
use crate::{rates, reach};

/// A model of the bucket of `access`, within these bounds, and what it cost. A run that owns it keeps both.
///
/// # Errors
/// A bucket that cannot be reached, too little money for a single visit, or too few answers for a model.
pub async fn learn(
    access: &Access,
    name: &str,
    bounds: Bounds,
    interrupt: &Interrupt,
    owner: Owner,
) -> Result<(StoreModel, f64)> {
    let opening = Requests { lists: reach::REQUESTS + 4, ..Requests::default() };
    let (billing, max_cost) = (bounds.billing, bounds.max_dollars);
    let bounds = Bounds { max_dollars: max_cost - billing.dollars(&opening), ..bounds };
    let plan = Plan::new(billing, bounds.max_dollars)
        .map_err(|why| anyhow!("--max-cost leaves ${max_cost:.3} to learn the bucket: {why}; or give --model"))?;
    eprintln!(
        "learning {name} first: worst case ${:.4}, at most {} s (--model takes one that `probe` wrote)",
        plan.worst_case(billing),
        bounds.max_time.as_secs()
    );
    let run = owner.run.clone();
    let note = |record: Record| run.as_ref().map_or(Ok(()), |run| run.note(&record));
    note(Record::Learning { dollars: max_cost })?;
    let (place, set_up_ms) = open(access, name, owner).await?;
    let findings = probe(&place, &plan, &bounds, interrupt).await;
    let cleaned = place.clean().await;
    cleaned.report();
    let findings = findings?;
    let known = known(access, name.to_owned(), place.describe(), set_up_ms).await?;
    let fitted = fit::fit(&findings.cells, known);
    let whole = fitted.as_ref().ok().filter(|_| !findings.interrupted);
    let dollars = findings.dollars + billing.dollars(&opening);
    note(Record::Learnt { dollars, model: whole.map(|fitted| text::write(&fitted.model, &[])) })?;
    let fitted = fitted.map_err(|why| anyhow!("no model comes of this probe: {why}"))?;
    Ok((fitted.model, dollars))
}

/// The claimed prefix, and the milliseconds that a new connection takes.
///
/// # Errors
/// The store's own.
pub async fn open(access: &Access, name: &str, owner: Owner) -> Result<(Place, f64)> {
    let set_up_ms = match &access.settings.location {
        Location::Bucket(_) => reach::reach_times(name, access).await?.set_up_ms,
        _ => 0.0,
    };
    Ok((Place::claim_for(access, None, owner).await?, set_up_ms))
}

/// What a model says that no request tells.
///
/// # Errors
/// A clock out of range, or a machine whose speed cannot be measured.
pub async fn known(access: &Access, name: String, place: String, connection_set_up_ms: f64) -> Result<Known> {
    let amazon = matches!(access.settings.location, Location::Bucket(_)) && access.settings.s3.base_url.is_none();
    let at = access.settings.s3.base_url.clone().map(|url| format!(" at {url}")).unwrap_or_default();
    let now = jiff::Timestamp::try_from(clock::wall()).context("this machine's clock")?;
    Ok(Known {
        name,
        place: format!("{place}{at}, from this machine"),
        when: now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        price_class: "s3-standard".into(),
        connection_set_up_ms,
        cpu: rates::cpu_rates(&rates::of_this_machine().await?),
        published: if amazon { shipped::standard().limits } else { Limits::default() },
    })
}
