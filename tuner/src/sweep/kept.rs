//! What a sweep with real runs keeps of itself on disk, so that it goes on after whatever ended it and nothing paid for
//! is paid again: the learnt model, the bounds of its plan, whole rounds, the money. Simulations are repeated instead:
//! they take seconds and cost nothing.
//!
//! Never takes what was measured for another question: what the answer depends on must be the same, or it is refused by
//! name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use s3b_engine::settings::Settings;
use s3b_engine::settings::flags::engine;

use super::digest::digest;
use super::request::Request;
use super::subjects::Subject;
use crate::command_line::command_line;
use crate::confirm::Plan;
use crate::model::{DiskRates, StoreModel};
use crate::outcome::rounds::Round;
use crate::outcome::{Outcome, StoreLedger};
use crate::prices::Reader;
use crate::runs::{Description, Planned, Record, RunDirectory};

/// How a client proves who it is changes no answer; what it is allowed to does not either, as long as it is enough.
const CREDENTIALS: &str = "access-";

/// A run on disk, and what earlier sittings of it gave.
pub struct Kept {
    pub run: Arc<RunDirectory>,
    pub earlier: Earlier,
}

/// What a journal comes to.
#[derive(Default)]
pub struct Earlier {
    /// As it was learnt.
    pub model: Option<StoreModel>,
    /// At most, for learning the store, whether it was learnt or not.
    pub dollars: f64,
    pub planned: Option<Planned>,
    pub rounds: Vec<Round>,
    /// In real runs.
    pub spent: StoreLedger,
}

impl Kept {
    /// The journal of a sweep that may spend money or measuring time; nothing for one that only simulates.
    ///
    /// # Errors
    /// A journal that cannot be made or read; a run that cannot be gone on with, and why.
    pub fn open(request: &Request, subjects: &[Subject], base: &Settings) -> Result<Option<Self>> {
        let real = !request.target.is_model_only() && !request.sim_only;
        let Some(id) = &request.resume else {
            if !real || request.dry_run {
                return Ok(None);
            }
            let run = RunDirectory::create(description(request, subjects, base)?)?;
            return Ok(Some(Self { run: Arc::new(run), earlier: Earlier::default() }));
        };
        if !real {
            bail!("--resume={id} goes on with runs on a real store; leave --sim-only out");
        }
        let (run, records) = RunDirectory::resume(id, &description(request, subjects, base)?)?;
        let earlier = Earlier::of(records).with_context(|| format!("--resume={id}: {}", run.path().display()))?;
        eprintln!(
            "going on with run {}: {} rounds are there and are not run again",
            run.description.id,
            earlier.rounds.len()
        );
        Ok(Some(Self { run: Arc::new(run), earlier }))
    }

    /// What an earlier sitting planned real runs with, and found where it measured the disk.
    pub fn disk(&self) -> Option<&DiskRates> {
        self.earlier.planned.as_ref()?.disk.as_ref()
    }

    /// The bounds that real runs are planned within: those of the first time, so that the plan is the same.
    pub fn bounds(&self, max_time: Duration, max_dollars: f64) -> (Duration, f64) {
        match &self.earlier.planned {
            Some(planned) => (Duration::from_nanos(planned.max_time_ns), planned.max_dollars),
            None => (max_time, max_dollars),
        }
    }

    /// Notes a plan, or compares it with the one that earlier rounds were run by.
    ///
    /// # Errors
    /// Another plan: what was measured by the first does not fit it. Or the journal's.
    pub fn planned(&self, plan: &Plan, (max_time, max_dollars): (Duration, f64)) -> Result<()> {
        let pieces: Vec<_> = plan
            .pieces
            .iter()
            .map(|piece| {
                let starts: Vec<_> =
                    piece.starts.iter().map(|start| (start.resident.len(), start.dirty.len())).collect();
                (piece.case, piece.window, piece.tape.summary.ops(), piece.times, piece.times_ops, starts)
            })
            .collect();
        let configurations: Vec<usize> = plan.wanted.candidates.iter().map(|one| one.configuration).collect();
        let digest = digest(&(configurations, plan.wanted.keep, plan.rounds, pieces));
        let max_time_ns = u64::try_from(max_time.as_nanos()).unwrap_or(u64::MAX);
        let disk = plan.wanted.model.as_ref().map(|model| model.disk.clone());
        let now = Planned { max_time_ns, max_dollars, disk, digest };
        match &self.earlier.planned {
            None => self.run.note(&Record::Planned(now)),
            Some(before) if before.digest == now.digest => Ok(()),
            Some(before) => bail!(
                "--resume={}: what would run for real was plan {} and is {} now, although the arguments are the same: \
                 another machine, or other memory? Start anew without --resume",
                self.run.description.id,
                before.digest,
                now.digest
            ),
        }
    }

    /// Keeps the outcome or forgets a run that has nothing to tell, and says how to go on. What cannot be kept is said,
    /// and takes nothing away from the result.
    pub fn close(&self, result: Result<Option<&Outcome>, &anyhow::Error>) {
        let stays = match result {
            Ok(Some(outcome)) => self.run.finish(outcome).map(|()| outcome.run.stopped.is_some()),
            Ok(None) => self.run.forget().map(|_| false),
            Err(_) => self.run.forget(),
        };
        match stays {
            Ok(true) => eprintln!("what was measured is kept; to go on: {}", self.run.description.resuming()),
            Ok(false) => {}
            Err(error) => eprintln!("{error:#}"),
        }
    }
}

impl Earlier {
    /// # Errors
    /// A model that cannot be read.
    fn of(records: Vec<Record>) -> Result<Self> {
        let mut earlier = Self::default();
        // Counted as spent until it is known what it did cost.
        let mut at_most = 0.0;
        for record in records {
            match record {
                Record::Learning { dollars } => {
                    earlier.dollars += at_most;
                    at_most = dollars;
                }
                Record::Learnt { dollars, model } => {
                    earlier.dollars += dollars;
                    at_most = 0.0;
                    earlier.model =
                        model.map(|text| StoreModel::parse(&text)).transpose().context("the learnt model")?;
                }
                Record::Planned(planned) => earlier.planned = Some(planned),
                Record::Round(round) => earlier.rounds.push(round),
                Record::Spent(spent) => earlier.spent = spent,
            }
        }
        earlier.dollars += at_most;
        Ok(earlier)
    }
}

fn description(request: &Request, subjects: &[Subject], base: &Settings) -> Result<Description> {
    let depends_on = depends_on(request, subjects, base);
    Description::new(command_line(std::env::args()), &request.target.access.settings, depends_on)
}

/// Everything that the answer depends on, by the name that a user knows it by. Bounds of money and time, and where results
/// go, are not among it: they may be others when a run goes on.
fn depends_on(request: &Request, subjects: &[Subject], base: &Settings) -> BTreeMap<String, String> {
    let settings = engine().filter(|flag| flag.name == "access-type" || !flag.name.starts_with(CREDENTIALS));
    let mut all: BTreeMap<String, String> =
        settings.filter_map(|flag| Some((format!("--{}", flag.name), flag.get(base)?))).collect();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            all.insert(name.to_owned(), value);
        }
    };
    for subject in subjects {
        add(&format!("the workload {}", subject.name), subject.digest.clone());
    }
    let constraints = &request.constraints;
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    add("--model", request.target.model.as_ref().map(digest).unwrap_or_default());
    add("--prices", digest(&request.prices));
    add("--in-region", (request.reader == Reader::InRegion).to_string());
    add("--goal", request.goal.name().to_owned());
    add("--slo", constraints.slos.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    add("--max-at-risk", number(constraints.max_at_risk));
    add("--ram", number(constraints.ram));
    add("--max-monthly-cost", constraints.max_dollars_per_month.map(|most| most.to_string()).unwrap_or_default());
    add("--vary", request.vary.join(" "));
    add("--confirm", request.confirm.to_string());
    add("--rounds", request.rounds.to_string());
    add("--seed", request.seed.to_string());
    add("--real-only", request.real_only.to_string());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{shipped, text};

    #[test]
    fn a_journal_comes_to_what_was_learnt_and_at_most_spent() {
        let puts = |puts| StoreLedger { puts, ..StoreLedger::default() };
        let model = text::write(&shipped::standard(), &[]);
        let records = vec![
            // Killed, so nobody knows what of it was spent.
            Record::Learning { dollars: 0.03 },
            Record::Learning { dollars: 0.05 },
            Record::Learnt { dollars: 0.01, model: Some(model) },
            Record::Spent(puts(10)),
            Record::Round(Round { number: 0, hold_out: false, runs: Vec::new() }),
            Record::Spent(puts(17)),
        ];
        let earlier = Earlier::of(records).unwrap();
        assert!((earlier.dollars - 0.04).abs() < 1e-12, "{}", earlier.dollars);
        assert_eq!((earlier.spent.puts, earlier.rounds.len(), earlier.planned), (17, 1, None));
        assert_eq!(earlier.model, Some(shipped::standard()));
        let interrupted = Earlier::of(vec![
            Record::Learning { dollars: 0.05 },
            Record::Learnt { dollars: 0.02, model: None },
            Record::Learning { dollars: 0.04 },
        ]);
        let interrupted = interrupted.unwrap();
        assert!((interrupted.dollars - 0.06).abs() < 1e-12 && interrupted.model.is_none());
    }
}
