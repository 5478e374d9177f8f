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

/// Shifts of one cell at most: where the link alone decides, service times hardly show.
const ATTEMPTS: u32 = 5;

/// Medians this close agree: half of what the model is to be good for.
const CLOSE: f64 = 0.01;

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
        for attempt in 0.. {
            let off = wanted - answer(&self.model, cell)?;
            if off.abs() <= wanted * CLOSE || attempt == ATTEMPTS {
                self.worst = self.worst.max(off.abs() / wanted);
                return Ok(());
            }
            let times = &mut self.model.service[at].ms;
            times.iter_mut().for_each(|ms| *ms = rounded((*ms + off).max(0.0)));
        }
        Ok(())
    }
}

/// Milliseconds that the model takes in the median to answer a cell.
fn answer(model: &StoreModel, cell: &Planned) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.context("cannot start a runtime in virtual time")?;
    let visit = runtime.block_on(async {
        let store = ModelStore::new(Arc::new(Memory::new()), model, 1, DILATION)?;
        let body = Bytes::from(vec![0x5b; cell.size as usize]);
        let ground = Arc::new(Ground { backend: Arc::new(store), prefix: String::new(), body });
        if cell.operation == Operation::Get {
            ground.put(&ground.filled(cell.size, 0), cell.size).await?;
        }
        let deadline = clock::now() + Duration::from_secs(1 << 32);
        let asked = Asked { cell: cell.clone(), numbers: 0..cell.slot, fills: 1, keys: Vec::new(), deadline };
        anyhow::Ok(ground.visit(asked, &Interrupt::default()).await)
    })?;
    let ms = median(&visit.ms).context("the model refuses every request")?;
    Ok(ms / f64::from(DILATION))
}
