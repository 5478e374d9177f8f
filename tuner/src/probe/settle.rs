//! A model must answer its own probe as the store did.
//!
//! The fit takes a request apart into service and transfer as if it met nobody on the link. Where many share the link they
//! wait for each other, in the probe as in the simulation, and that wait must not be counted as service a second time. So
//! each cell is asked of the model, in virtual time, as it was asked of the store, and all its service times are shifted
//! by what the medians differ, until they agree.
//!
//! Shifts only; changes neither the spread of a cell nor any bandwidth.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use s3b_engine::clock;
use s3b_engine::memory::Memory;

use super::fit::rounded;
use super::plan::Planned;
use super::visit::{Asked, Ground, Visit};
use crate::interrupt::Interrupt;
use crate::model::{ModelStore, Operation, StoreModel};
use crate::statistics::median;

/// Shifts of one cell at most.
const ATTEMPTS: u32 = 5;

/// A shift that moves the answer by less than this share of itself is taken back.
const TOLD: f64 = 0.5;

/// Medians this close agree: half of what the model is to be good for.
const CLOSE: f64 = 0.01;

/// Any number: the same chances for every model.
const SEED: u64 = 1;

/// Virtual seconds for one of the model's: timers tick in milliseconds, and a request takes some tens of them.
const DILATION: u32 = 1000;

/// How a model answers its probe.
pub struct Settled {
    pub model: StoreModel,
    /// The median of the worst cell, by this share off.
    pub worst: f64,
}

/// `found`: what the store answered. Takes about a second of processor time; blocks the thread.
///
/// # Errors
/// A model that no store can be made of.
pub fn settle(model: StoreModel, found: &[(Planned, Visit)]) -> Result<Settled> {
    let mut settled = Settled { model, worst: 0.0 };
    for (cell, visit) in found {
        if let (Operation::Get | Operation::Put, Some(wanted)) = (cell.operation, median(&visit.ms)) {
            settled.settle_cell(cell, wanted)?;
        }
    }
    Ok(settled)
}

impl Settled {
    fn settle_cell(&mut self, cell: &Planned, wanted: f64) -> Result<()> {
        let same = |(_, one): &(usize, &crate::model::settings::Cell)| {
            (one.operation, one.size, one.concurrency) == (cell.operation, cell.size, cell.concurrency)
        };
        let Some(at) = self.model.service.iter().enumerate().find(same).map(|(at, _)| at) else { return Ok(()) };
        let mut answered = answer(&self.model, cell)?;
        for _ in 0..ATTEMPTS {
            let off = wanted - answered;
            if off.abs() <= wanted * CLOSE {
                break;
            }
            let before = self.model.service[at].ms.clone();
            self.model.service[at].ms.iter_mut().for_each(|ms| *ms = rounded((*ms + off).max(0.0)));
            let then = answer(&self.model, cell)?;
            if (then - answered).abs() < off.abs() * TOLD {
                // The link decides here; service times that hardly show would grow without bound.
                self.model.service[at].ms = before;
                break;
            }
            answered = then;
        }
        self.worst = self.worst.max((wanted - answered).abs() / wanted);
        Ok(())
    }
}

/// Milliseconds that the model takes in the median to answer a cell.
fn answer(model: &StoreModel, cell: &Planned) -> Result<f64> {
    median(&ask(model, cell, SEED)?.ms).context("the model refuses every request")
}

/// One visit to a cell, in virtual time; what it found is in the model's. `seed`: of the model's chances.
fn ask(model: &StoreModel, cell: &Planned, seed: u64) -> Result<Visit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.context("cannot start a runtime in virtual time")?;
    let mut visit = runtime.block_on(async {
        let store = ModelStore::new(Arc::new(Memory::new()), model, seed, DILATION)?;
        let body = Bytes::from(vec![0x5b; cell.size as usize]);
        let ground = Arc::new(Ground { backend: Arc::new(store), prefix: String::new(), body });
        if cell.operation == Operation::Get {
            ground.put(&ground.filled(cell.size, 0), cell.size).await?;
        }
        let deadline = clock::now() + Duration::from_secs(1 << 32);
        let asked = Asked { cell: cell.clone(), numbers: 0..cell.slot, fills: 1, keys: Vec::new(), deadline };
        anyhow::Ok(ground.visit(asked, &Interrupt::default()).await)
    })?;
    visit.ms.iter_mut().for_each(|ms| *ms /= f64::from(DILATION));
    visit.took_s /= f64::from(DILATION);
    Ok(visit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::{CpuRates, Limits};
    use crate::model::shipped;
    use crate::prices::Billing;
    use crate::probe::fit::{Known, fit};
    use crate::probe::plan::{LARGE, MEDIUM, Plan};

    /// 20 ms of service in the median, 133 at most, and a link of 50 MB/s that three connections fill.
    fn store() -> StoreModel {
        let mut model = shipped::standard();
        model.service.iter_mut().flat_map(|cell| &mut cell.ms).for_each(|ms| *ms *= 2.0 / 3.0);
        model.limits = Limits::default();
        let network = &mut model.network;
        network.connection_set_up_ms = 0.0;
        (network.connection_up_bytes_per_s, network.connection_down_bytes_per_s) = (20e6, 20e6);
        (network.link_up_bytes_per_s, network.link_down_bytes_per_s) = (50e6, 50e6);
        model
    }

    /// What a probe of it finds.
    fn found(store: &StoreModel) -> Vec<(Planned, Visit)> {
        let mut cells = Plan::new(&Billing::FREE, 1.0).unwrap().cells;
        cells.retain(|cell| matches!(cell.operation, Operation::Get | Operation::Put));
        cells.sort_by_key(|cell| (cell.operation, cell.size, cell.concurrency));
        let visits = cells.into_iter().map(|cell| {
            // The same chances: other ones move a median of a hundred requests by some percent.
            let visit = ask(store, &cell, SEED).unwrap();
            (cell, visit)
        });
        visits.collect()
    }

    fn fitted(found: &[(Planned, Visit)]) -> StoreModel {
        let known = Known {
            name: "test".into(),
            place: "a test".into(),
            when: "2026-11-23".into(),
            price_class: "s3-standard".into(),
            connection_set_up_ms: 0.0,
            cpu: CpuRates::default(),
            published: Limits::default(),
        };
        fit(found, known).unwrap().model
    }

    #[test]
    fn a_model_of_a_full_link_answers_as_its_store_does() {
        let store = store();
        let found = found(&store);
        let model = fitted(&found);
        let settled = settle(model.clone(), &found).unwrap();
        let mut shared = 0.0;
        for (cell, _) in found.iter().filter(|(cell, _)| cell.size <= LARGE) {
            let wanted = answer(&store, cell).unwrap();
            let off = |model: &StoreModel| (answer(model, cell).unwrap() / wanted - 1.0).abs();
            assert!(off(&settled.model) < 0.02, "{}: {:.1} %", cell.title(), off(&settled.model) * 100.0);
            if (cell.operation, cell.size, cell.concurrency) == (Operation::Get, MEDIUM, 16) {
                shared = off(&model);
            }
        }
        assert!(shared > 0.1, "waiting for the link was not counted twice: {shared}");
        assert!(settled.worst < 0.02, "{}", settled.worst);
    }
}
