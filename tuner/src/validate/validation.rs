//! A validation as data: what was predicted, every run that was made, and what was made of both.
//!
//! The JSON form is versioned ([`SCHEMA`]): a field may be added within a version, never renamed or given another meaning.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::judge::Judgement;
use crate::outcome::rounds::{OneRun, Round};
use crate::outcome::{Axis, Environment, Place, PriceTable, RunInfo, WindowInfo};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "s3b-validate/1";

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Validation {
    /// [`SCHEMA`].
    pub schema: String,
    pub run: RunInfo,
    pub environment: Environment,
    /// With the model that predicted.
    pub place: Place,
    pub prices: PriceTable,
    /// Downloads cost no transfer.
    pub in_region: bool,
    pub axes: Vec<Axis>,
    pub configurations: Vec<Tried>,
    pub workloads: Vec<Played>,
    /// Simulated rounds, each under another weather of the same model. `slot` is the place of the configuration, `piece`
    /// that of the workload.
    pub predicted: Vec<Round>,
    /// Whole rounds of real runs. `slot` is the place of the configuration; one more than there are: a second run of the
    /// first, for the noise.
    pub rounds: Vec<Round>,
    /// The round that was cut short, as far as it came.
    pub unfinished: Option<Round>,
    /// What happened besides: sentences.
    pub notes: Vec<String>,
    pub judgement: Option<Judgement>,
}

/// One configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// One for each axis, as written.
    pub values: Vec<String>,
    /// The settings of a mount, as `s3b.toml` holds them.
    pub settings_toml: String,
}

/// One workload, or a window of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Played {
    pub name: String,
    /// As fast as it goes, with a bounded number outstanding: throughput is judged. Else by its own times: latency is.
    pub closed: bool,
    pub window: Option<WindowInfo>,
    pub ops: u64,
    /// Read and written.
    pub bytes: u64,
    /// Of intended time.
    pub seconds: f64,
}

impl Validation {
    /// # Errors
    /// Names the file, what is wrong with it and where.
    pub fn load(path: &Path) -> Result<Self> {
        let named = || format!("--from {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        Self::parse(&text).with_context(named)
    }

    fn parse(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let schema = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("nothing");
        if schema != SCHEMA {
            bail!("its schema is {schema}, not {SCHEMA}; give a file that `s3b-tuner validate -o` wrote");
        }
        // From the text, not the value: errors then name line and column.
        let validation: Self = serde_json::from_str(text)?;
        validation.check()?;
        Ok(validation)
    }

    /// Every run is one of a configuration and a workload that are there.
    fn check(&self) -> Result<()> {
        let (slots, pieces) = (self.configurations.len(), self.workloads.len());
        let rounds = self.rounds.iter().chain(&self.unfinished);
        for (kind, round, most) in
            self.predicted.iter().map(|round| ("predicted", round, slots)).chain(rounds.map(|r| ("real", r, slots + 1)))
        {
            if let Some(run) = round.runs.iter().find(|run| run.slot >= most || run.piece >= pieces) {
                let (number, slot, piece) = (round.number, run.slot, run.piece);
                bail!(
                    "{kind} round {number}: a run of configuration {slot} on workload {piece}, of {slots} \
                     configurations and {pieces} workloads"
                );
            }
        }
        Ok(())
    }

    /// Real runs with the number of their round, in whole rounds and in the one cut short.
    pub fn runs(&self) -> impl Iterator<Item = (u32, &OneRun)> {
        let rounds = self.rounds.iter().chain(&self.unfinished);
        rounds.flat_map(|round| round.runs.iter().map(|run| (round.number, run)))
    }

    /// Something that was planned did not run.
    pub fn is_partial(&self) -> bool {
        self.run.stopped.is_some()
    }

    /// `64k 4 0 16m`, for people.
    pub fn configuration(&self, number: usize) -> String {
        self.configurations.get(number).map_or_else(|| number.to_string(), |one| one.values.join(" "))
    }

    pub fn workload(&self, number: usize) -> &str {
        self.workloads.get(number).map_or("?", |one| &one.name)
    }
}
