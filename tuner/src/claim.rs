//! A place with a run of its own on this machine, so that what is stored there can be cleaned however this process ends.
//!
//! A run of its own is forgotten once it has no results and nothing is left of it in the store, and stays to be cleaned
//! otherwise. A sweep, which keeps results to go on with, owns a run, and has its probe work on account of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use crate::budget::Budget;
use crate::command_line::command_line;
use crate::connection::Access;
use crate::journal::Cleaned;
use crate::model::StoreModel;
use crate::place::{Owner, Place};
use crate::runs::{Description, RunDirectory};

/// See the module. To be ended by [`Claim::end`]; where that never happens, `s3b-tuner clean` does its work.
pub struct Claim {
    pub place: Place,
    /// What is noted of it on disk.
    pub run: Arc<RunDirectory>,
    /// Nobody else keeps anything in it.
    own_run: bool,
}

impl Claim {
    /// A random prefix in the store that `access` names, behind a model or as it is, on account of a new run.
    ///
    /// # Errors
    /// As [`Place::claim_for`]; no directory for the run's journal.
    pub async fn new(access: &Access, model: Option<StoreModel>, budget: Option<Arc<Budget>>) -> Result<Self> {
        let description = Description::new(command_line(std::env::args()), &access.settings, BTreeMap::new())?;
        let run = Arc::new(RunDirectory::create(description)?);
        match Self::of(access, model, budget, run.clone()).await {
            Ok(claim) => Ok(Self { own_run: true, ..claim }),
            Err(error) => {
                // A marker that may be there keeps the run, whose forgetting is then no error.
                run.forget()?;
                Err(error)
            }
        }
    }

    /// The same on account of a run that keeps more than this, and stays its owner's.
    ///
    /// # Errors
    /// As [`Place::claim_for`].
    pub async fn of(
        access: &Access,
        model: Option<StoreModel>,
        budget: Option<Arc<Budget>>,
        run: Arc<RunDirectory>,
    ) -> Result<Self> {
        let owner = Owner { run: Some(run.clone()), budget };
        Ok(Self { place: Place::claim_for(access, model, owner).await?, run, own_run: false })
    }

    /// Deletes what was stored, and says what could not be.
    pub async fn end(self) -> Cleaned {
        let cleaned = self.place.clean().await;
        cleaned.report();
        if cleaned.left > 0 {
            eprintln!("s3b-tuner clean {} deletes them, once it may", self.run.description.id);
        }
        // What was measured is the caller's; nothing else is worth keeping.
        if self.own_run
            && let Err(error) = self.run.forget()
        {
            eprintln!("{error:#}");
        }
        cleaned
    }
}
