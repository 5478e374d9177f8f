//! A whole probe: what it may cost, a place of its own, measuring, fitting, cleaning up. For `probe`, and for sweeps that
//! have no model yet.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use s3b_engine::clock;
use s3b_engine::settings::Location;

use super::fit::{self, Fitted, Known};
use super::plan::{Plan, Planned};
use super::settle::{Settled, settle};
use super::visit::Visit;
use super::{Bounds, Findings, probe};
use crate::budget::Budget;
use crate::claim::Claim;
use crate::connection::Access;
use crate::doctor::bucket::QUESTIONS;
use crate::interrupt::Interrupt;
use crate::model::settings::{CpuRates, Limits};
use crate::model::{StoreModel, text};
use crate::outcome::{PriceTable, StoreLedger};
use crate::place::CLAIMING;
use crate::prices::Billing;
use crate::runs::{Record, RunDirectory};
use crate::{rates, reach};

const STANDARD: &str = "s3-standard";

/// A probe that was planned and may be carried out.
pub struct Study {
    pub name: String,
    pub plan: Plan,
    pub bounds: Bounds,
    /// Line of the price table that the model names; prices of nobody's table are taken for S3 STANDARD's.
    pub price_class: String,
}

/// What it came to.
pub struct Studied {
    pub fitted: Fitted,
    pub findings: Findings,
    /// Objects that could not be deleted.
    pub left: u64,
}

impl Study {
    /// # Errors
    /// The cap is below the smallest probe; says what that costs.
    pub fn new(name: &str, billing: Billing, max_cost: f64, max_time: Duration, seed: u64) -> Result<Self, String> {
        let plan = Plan::new(&billing, max_cost - billing.dollars(&opening().plus(&CLAIMING)))?;
        let price_class = billing.prices.as_ref().and_then(PriceTable::class).unwrap_or(STANDARD).to_owned();
        let bounds = Bounds { billing, max_dollars: max_cost, max_time, seed };
        Ok(Self { name: name.to_owned(), plan, bounds, price_class })
    }

    /// Dollars, of everything that is sent.
    pub fn worst_case(&self) -> f64 {
        let all = self.plan.worst_requests().plus(&opening()).plus(&CLAIMING);
        self.bounds.billing.dollars(&all)
    }

    /// What a person reads before it, where something else is to follow.
    pub fn announce(&self) {
        eprintln!(
            "learning {} first: worst case ${:.4}, at most {} s (--model takes one that `probe` wrote)",
            self.name,
            self.worst_case(),
            self.bounds.max_time.as_secs()
        );
    }

    /// Carries it out, and deletes what was stored. A run that owns it keeps the model and what was spent, however it
    /// ends; without one it has a run of its own, which is forgotten.
    ///
    /// # Errors
    /// A bucket that cannot be reached, or too few answers for a model; says what was spent all the same.
    pub async fn carry_out(
        &self,
        access: &Access,
        owner: Option<Arc<RunDirectory>>,
        interrupt: &Interrupt,
    ) -> Result<Studied> {
        let budget = Budget::of(&self.bounds.billing, self.bounds.max_dollars);
        let note = |record: Record| owner.as_ref().map_or(Ok(()), |run| run.note(&record));
        note(Record::Learning { dollars: self.bounds.max_dollars })?;
        if let Some(budget) = &budget {
            // Not sent through the place.
            budget.charge_earlier(&opening());
        }
        let studied = self.measure(access, owner.clone(), budget.clone(), interrupt).await;
        let dollars = budget.as_ref().map_or(0.0, |budget| budget.dollars());
        // Whoever takes the model from here stores more, which is no good where nothing can be deleted.
        let whole = studied.as_ref().ok().filter(|studied| !studied.findings.interrupted && studied.left == 0);
        note(Record::Learnt { dollars, model: whole.map(|studied| text::write(&studied.fitted.model, &[])) })?;
        studied.map_err(|error| match budget {
            Some(_) => error.context(format!("learning {} cost ${dollars:.4} and failed", self.name)),
            None => error,
        })
    }

    async fn measure(
        &self,
        access: &Access,
        owner: Option<Arc<RunDirectory>>,
        budget: Option<Arc<Budget>>,
        interrupt: &Interrupt,
    ) -> Result<Studied> {
        let set_up_ms = match &access.settings.location {
            Location::Bucket(name) => reach::reach_times(name, access).await?.set_up_ms,
            _ => 0.0,
        };
        let claim = match owner {
            Some(run) => Claim::of(access, None, budget, run).await?,
            None => Claim::new(access, None, budget).await?,
        };
        eprintln!("working under {} of {}; Ctrl-C stops earlier", claim.place.prefix(), claim.place.describe());
        let described = claim.place.describe();
        let findings = probe(&claim.place, &self.plan, &self.bounds, interrupt).await;
        let left = claim.end().await.left;
        let known = known(self, access, described, set_up_ms).await?;
        let findings = findings?;
        let fitted = fit::fit(&findings.cells, known).map_err(|why| anyhow!("no model comes of this probe: {why}"))?;
        let (fitted, findings) =
            tokio::task::spawn_blocking(move || (settled(fitted, &findings.cells), findings)).await?;
        Ok(Studied { fitted: fitted?, findings, left })
    }
}

/// The model such that it answers the probe as the store did, and how well.
fn settled(mut fitted: Fitted, found: &[(Planned, Visit)]) -> Result<Fitted> {
    let Settled { model, worst } = settle(fitted.model, found)?;
    fitted.head.push(format!("asked the same, the model answers within {:.1} % of the store's medians", worst * 100.0));
    Ok(Fitted { model, ..fitted })
}

/// What is sent before there is a place, and not through one.
fn opening() -> StoreLedger {
    QUESTIONS.plus(&reach::OPENING.times(reach::REQUESTS as f64))
}

/// A model of a store for a sweep or a validation that goes on with it, and what it cost.
///
/// # Errors
/// As [`Study::carry_out`]; interrupted; or objects that cannot be deleted: then nothing more is stored.
pub async fn learn(
    study: &Study,
    access: &Access,
    owner: Option<Arc<RunDirectory>>,
    interrupt: &Interrupt,
) -> Result<(StoreModel, f64)> {
    let Studied { fitted, findings, left } = study.carry_out(access, owner, interrupt).await?;
    let (name, dollars) = (&study.name, findings.dollars);
    if findings.interrupted {
        bail!("interrupted while learning {name}, which cost ${dollars:.4}: nothing was compared yet");
    }
    if left > 0 {
        bail!(
            "what was stored to learn {name} (for ${dollars:.4}) cannot be deleted, so nothing more is stored there: allow \
             s3:DeleteObject, or give --sim-only"
        );
    }
    Ok((fitted.model, dollars))
}

/// Amazon's limits of a class, as the model says that comes with the program.
fn published(price_class: &str) -> Result<Limits> {
    Ok(StoreModel::named(price_class)?.limits)
}

/// What a model says that no request tells.
async fn known(study: &Study, access: &Access, place: String, connection_set_up_ms: f64) -> Result<Known> {
    let amazon = matches!(access.settings.location, Location::Bucket(_)) && access.settings.s3.base_url.is_none();
    let at = access.settings.s3.base_url.clone().map(|url| format!(" at {url}")).unwrap_or_default();
    let now = jiff::Timestamp::try_from(clock::wall()).context("this machine's clock")?;
    Ok(Known {
        name: study.name.clone(),
        place: format!("{place}{at}, from this machine"),
        when: now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        price_class: study.price_class.clone(),
        connection_set_up_ms,
        cpu: CpuRates {
            wake_up_us: rates::wake_up_us().await.round(),
            ..rates::cpu_rates(&rates::of_this_machine().await?)
        },
        published: if amazon { published(&study.price_class)? } else { Limits::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Reader;

    #[test]
    fn a_model_is_of_the_class_that_was_paid_for() {
        let class = |prices: PriceTable| {
            let billing = Billing::of(prices, Reader::InRegion);
            Study::new("b", billing, 1.0, Duration::from_secs(1), 1).unwrap().price_class
        };
        for name in [STANDARD, "s3-express"] {
            assert_eq!(class(PriceTable::load(name).unwrap()), name);
            assert_eq!(published(name).unwrap(), StoreModel::named(name).unwrap().limits);
        }
        assert_ne!(published(STANDARD).unwrap(), published("s3-express").unwrap());
        assert_eq!(class(PriceTable { put_per_1000: 0.1, ..PriceTable::standard() }), STANDARD);
    }
}
