//! A whole probe on behalf of another command: claim a place, measure, fit, clean up.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use s3b_engine::clock;
use s3b_engine::settings::Location;

use super::fit::{self, Known};
use super::plan::{Billing, Plan};
use super::{Bounds, probe};
use crate::connection::Access;
use crate::cost::Requests;
use crate::interrupt::Interrupt;
use crate::model::settings::Limits;
use crate::model::{StoreModel, shipped};
use crate::place::Place;
use crate::{rates, reach};

/// A model of the bucket of `access`, for at most so many dollars, and what it cost.
///
/// # Errors
/// A bucket that cannot be reached, too little money for a single visit, or too few answers for a model.
pub async fn learn(
    access: &Access,
    name: &str,
    billing: Billing,
    max_cost: f64,
    max_time: Duration,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<(StoreModel, f64)> {
    let opening = Requests { lists: reach::REQUESTS + 4, ..Requests::default() };
    let max_dollars = max_cost - billing.dollars(&opening);
    let plan = Plan::new(billing, max_dollars)
        .map_err(|why| anyhow!("--max-cost leaves ${max_cost:.3} to learn the bucket: {why}; or give --model"))?;
    eprintln!(
        "learning {name} first: worst case ${:.4}, at most {} s (--model takes one that `probe` wrote)",
        plan.worst_case(billing),
        max_time.as_secs()
    );
    let (place, set_up_ms) = open(access, name).await?;
    let bounds = Bounds { billing, max_dollars, max_time, seed };
    let findings = probe(&place, &plan, &bounds, interrupt).await;
    let cleaned = place.clean().await;
    cleaned.report();
    let findings = findings?;
    let known = known(access, name.to_owned(), place.describe(), set_up_ms).await?;
    let fitted = fit::fit(&findings.cells, known).map_err(|why| anyhow!("no model comes of this probe: {why}"))?;
    Ok((fitted.model, findings.dollars))
}

/// The claimed prefix, and the milliseconds that a new connection takes.
///
/// # Errors
/// The store's own.
pub async fn open(access: &Access, name: &str) -> Result<(Place, f64)> {
    let set_up_ms = match &access.settings.location {
        Location::Bucket(_) => reach::reach_times(name, access).await?.set_up_ms,
        _ => 0.0,
    };
    Ok((Place::claim(access, None).await?, set_up_ms))
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
