//! The rounds: all candidates in another order each time, one of them twice, until it is decided or the means end; then
//! the best once more, in a round that does not choose.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_engine::clock;
use s3b_scenarios::random::Random;

use super::once::Stage;
use super::{Confirmed, OneRun, Plan, Round, Step, decide};
use crate::interrupt::Interrupt;
use crate::outcome::Difference;
use crate::place::{End, Place};
use crate::runs::{Record, RunDirectory};

/// Above this share of all cores, the client itself may have been the limit.
const BUSY: f64 = 0.8;
/// Rounds are allowed to take so many times the longest before them.
const SLOWER: f64 = 1.1;
/// A schedule that was kept worse than this was not the workload's any more.
const LAG_MS: f64 = 10.0;

/// What is kept of a run that may be killed, and what was kept of it before.
#[derive(Default)]
pub struct Keep<'a> {
    pub run: Option<&'a RunDirectory>,
    /// Whole rounds of the same plan; they are not repeated.
    pub earlier: Vec<Round>,
}

struct Runner<'a> {
    plan: &'a Plan,
    place: &'a Place,
    keep: Option<&'a RunDirectory>,
    interrupt: &'a Interrupt,
    on_step: &'a mut dyn FnMut(Step),
    stage: Stage<'a>,
    rounds: Vec<Round>,
    begun: clock::Instant,
    longest_round: Duration,
    stopped: Option<&'static str>,
    steps: u64,
}

/// Carries out a plan. Everything measured in whole rounds is in the answer, however it ended.
///
/// # Errors
/// A volume that cannot be opened, filled or closed for another reason than the end of the budget; results or keys that
/// cannot be noted on disk. The place is the caller's to clean, in every case.
pub async fn run(
    plan: &Plan,
    place: &Place,
    keep: Keep<'_>,
    interrupt: &Interrupt,
    on_step: &mut dyn FnMut(Step),
) -> Result<Confirmed> {
    let mut runner = Runner {
        plan,
        place,
        keep: keep.run,
        interrupt,
        on_step,
        stage: Stage::new(plan, place, interrupt),
        rounds: keep.earlier,
        begun: clock::now(),
        longest_round: Duration::ZERO,
        stopped: None,
        steps: 0,
    };
    let decided = runner.choose().await?;
    if runner.stopped.is_none() {
        runner.hold_out().await?;
    }
    let Runner { rounds, stopped, stage, .. } = runner;
    let mut confirmed = of_rounds(plan, rounds);
    confirmed.stopped = stopped.map(str::to_owned);
    confirmed.notices = stage.notices;
    if decided {
        let rounds = confirmed.losses.first().map_or(0, Vec::len);
        confirmed
            .notes
            .push(format!("after {rounds} of {} rounds more could not have changed the choice", plan.rounds));
    }
    Ok(confirmed)
}

impl Runner<'_> {
    /// All choosing rounds that are needed and possible. Answers whether it ended because it was decided.
    async fn choose(&mut self) -> Result<bool> {
        let slots = self.plan.slots();
        loop {
            let chosen: Vec<&Round> = self.rounds.iter().filter(|round| !round.hold_out).collect();
            let number = chosen.len() as u32;
            let losses = losses(self.plan, &chosen);
            if decide::is_decided(&losses, self.plan.wanted.seed) {
                return Ok(number < self.plan.rounds);
            }
            // A hold-out that was run for an earlier choice would no longer be one.
            if number >= self.plan.rounds || self.rounds.iter().any(|round| round.hold_out) {
                return Ok(false);
            }
            let all: Vec<usize> = (0..slots).collect();
            if !self.round(number, &all, false).await? {
                return Ok(false);
            }
        }
    }

    async fn hold_out(&mut self) -> Result<()> {
        let chosen: Vec<&Round> = self.rounds.iter().filter(|round| !round.hold_out).collect();
        let done = self.rounds.iter().any(|round| round.hold_out);
        let number = chosen.len() as u32;
        if let Some(best) = decide::best(&losses(self.plan, &chosen)).filter(|_| !done) {
            self.round(number, &[best], true).await?;
        }
        Ok(())
    }

    /// One round; false: it was not run whole, and why is noted.
    async fn round(&mut self, number: u32, slots: &[usize], hold_out: bool) -> Result<bool> {
        self.stopped = self.why_not(hold_out);
        if self.stopped.is_some() {
            return Ok(false);
        }
        let begun = clock::now();
        // The same order for the same round, also in a run that is resumed.
        let mut random = Random::new(self.plan.wanted.seed ^ u64::from(number + 1) << 32);
        let mut order: Vec<(usize, usize)> = Vec::new();
        for slot in slots {
            order.extend((0..self.plan.pieces.len()).map(|piece| (*slot, piece)));
        }
        random.shuffle(&mut order);
        let mut runs = Vec::new();
        for (slot, piece) in order {
            if self.begun.elapsed() > self.plan.wanted.max_time {
                self.stopped = Some("out of time");
                return Ok(false);
            }
            match self.one(slot, piece, number).await? {
                Some(run) => runs.push(run),
                None => return Ok(false),
            }
            self.tell(number, slot, piece, hold_out);
        }
        let round = Round { number, hold_out, runs };
        if let Some(run) = self.keep {
            run.note(&Record::Round(round.clone()))?;
            if let Some(budget) = self.place.budget() {
                run.note(&Record::Spent(budget.spent()))?;
            }
        }
        self.rounds.push(round);
        if !hold_out {
            self.longest_round = self.longest_round.max(begun.elapsed());
        }
        Ok(true)
    }

    /// What keeps the next round from being begun.
    fn why_not(&self, hold_out: bool) -> Option<&'static str> {
        let share = if hold_out { 1.0 / self.plan.slots() as f64 } else { 1.0 };
        let after = if hold_out { 0.0 } else { 1.0 / self.plan.slots() as f64 };
        let wanted = &self.plan.wanted;
        if self.interrupt.is_asked() {
            return Some("interrupted");
        }
        // Nothing is known of the first round but the plan, which fits.
        let needed = self.longest_round.as_secs_f64() * SLOWER * (share + after);
        if self.begun.elapsed().as_secs_f64() + needed > wanted.max_time.as_secs_f64() {
            return Some("out of time");
        }
        let budget = self.place.budget()?;
        let needed = self.plan.round_dollars * (share + after);
        let too_dear = !self.rounds.is_empty() && budget.cap().is_some_and(|cap| budget.dollars() + needed > cap);
        (too_dear || budget.is_exhausted()).then_some("out of money")
    }

    /// One run; nothing if it could not be ended.
    async fn one(&mut self, slot: usize, piece: usize, round: u32) -> Result<Option<OneRun>> {
        let place = self.place;
        let mut failure = None;
        let ran = tokio::select! {
            biased;
            end = place.ended() => Err(Some(end)),
            result = self.stage.one(slot, piece, round) => result.map_err(|error| {
                // Whatever failed because the place has ended failed for that reason.
                failure = Some(error);
                place.has_ended()
            }),
        };
        match ran {
            Ok(Some(run)) => return Ok(Some(run)),
            Ok(None) => self.stopped = Some("interrupted"),
            Err(Some(End::OutOfMoney)) => self.stopped = Some("out of money"),
            Err(Some(End::CannotNote(error))) => {
                return Err(error).context("the run ends here, and what it stored is deleted");
            }
            Err(None) => {
                let error = failure.unwrap_or_else(|| anyhow::anyhow!("it failed without a reason"));
                let configuration = self.plan.candidate(slot).configuration;
                return Err(
                    error.context(format!("configuration {configuration} on {}", self.plan.pieces[piece].tape.title))
                );
            }
        }
        Ok(None)
    }

    fn tell(&mut self, number: u32, slot: usize, piece: usize, hold_out: bool) {
        self.steps += 1;
        let what = if hold_out {
            "control".to_owned()
        } else if slot + 1 == self.plan.slots() {
            format!("round {}: noise", number + 1)
        } else {
            format!("round {}: configuration {}", number + 1, self.plan.candidate(slot).configuration)
        };
        let pieces = self.plan.pieces.len() as u64;
        let step = Step {
            done: self.steps,
            of: (u64::from(self.plan.rounds) * self.plan.slots() as u64 + 1) * pieces,
            what: format!("{what} on {}", self.plan.pieces[piece].tape.title),
            spent_dollars: self.place.budget().map_or(0.0, |budget| budget.dollars()),
        };
        (self.on_step)(step);
    }
}

/// For each candidate and choosing round.
fn losses(plan: &Plan, chosen: &[&Round]) -> Vec<Vec<f64>> {
    let of = |slot| chosen.iter().map(|round| decide::loss(plan, round, slot)).collect();
    (0..plan.wanted.candidates.len()).map(of).collect()
}

/// What whole rounds come to.
fn of_rounds(plan: &Plan, rounds: Vec<Round>) -> Confirmed {
    let chosen: Vec<&Round> = rounds.iter().filter(|round| !round.hold_out).collect();
    let candidates = 0..plan.wanted.candidates.len();
    let losses = losses(plan, &chosen);
    let best = decide::best(&losses);
    let measured = if chosen.is_empty() {
        vec![Vec::new(); plan.wanted.candidates.len()]
    } else {
        candidates.clone().map(|slot| decide::figures(plan, &chosen, slot)).collect()
    };
    let seconds = candidates
        .map(|slot| {
            let of_round =
                |round: &&Round| decide::figures(plan, &[round], slot).iter().map(|one| one.seconds).collect();
            chosen.iter().map(of_round).collect()
        })
        .collect();
    let named = |one: Difference| Difference { other: plan.wanted.candidates[one.other].configuration, ..one };
    let differences = best.map_or_else(Vec::new, |best| decide::differences(&losses, best, plan.wanted.seed));
    let hold_out = rounds.iter().find(|round| round.hold_out).zip(best).and_then(|(round, best)| {
        let ran = round.runs.iter().any(|run| run.slot == best);
        let logs: Vec<f64> = losses[best].iter().map(|loss| loss.ln()).collect();
        ran.then(|| decide::loss(plan, round, best) / crate::statistics::mean(&logs).exp())
    });
    let noise_floor = decide::noise_floor(plan, &chosen);
    let notes = notes(plan, &rounds);
    Confirmed {
        measured,
        seconds,
        losses,
        best,
        differences: differences.into_iter().map(named).collect(),
        noise_floor,
        hold_out,
        stopped: None,
        notes,
        notices: BTreeSet::new(),
        rounds,
    }
}

/// What happened besides, as sentences: results, not noise.
fn notes(plan: &Plan, rounds: &[Round]) -> Vec<String> {
    let runs: Vec<&OneRun> = rounds.iter().flat_map(|round| &round.runs).collect();
    let sum = |value: fn(&OneRun) -> u64| runs.iter().map(|run| value(run)).sum::<u64>();
    let configurations = |of: &dyn Fn(&OneRun) -> bool| {
        let found: BTreeSet<usize> =
            runs.iter().filter(|run| of(run)).map(|run| plan.candidate(run.slot).configuration).collect();
        found.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    };
    let mut notes = Vec::new();
    let throttled = sum(|run| run.ledger.store.throttled);
    if throttled > 0 {
        let which = configurations(&|run| run.ledger.store.throttled > 0);
        notes.push(format!(
            "the store answered {throttled} requests with 5xx (configurations {which}): it was asked for too much"
        ));
    }
    let retries = sum(|run| run.ledger.store.retries);
    if retries > 0 {
        let requests = sum(|run| run.ledger.store.gets + run.ledger.store.puts).max(1);
        let share = retries as f64 / requests as f64 * 100.0;
        notes.push(format!("{retries} requests were sent again ({share:.2} %)"));
    }
    let failures = sum(|run| run.measured.failures());
    if failures > 0 {
        let which = configurations(&|run| run.measured.failures() > 0);
        let first = runs.iter().find_map(|run| run.measured.first_failure.as_deref()).unwrap_or("unknown");
        notes.push(format!("{failures} operations failed (configurations {which}), the first: {first}"));
    }
    let busy = |run: &OneRun| run.cpu_share > BUSY;
    if runs.iter().any(|run| busy(run)) {
        let share = runs.iter().map(|run| run.cpu_share).fold(0.0, f64::max) * 100.0;
        let which = configurations(&busy);
        notes.push(format!(
            "this machine was busy ({share:.0} % of all cores, configurations {which}): it may have been the limit"
        ));
    }
    let lagged = |run: &OneRun| run.measured.lag.percentile(99.0).as_secs_f64() * 1e3 > LAG_MS;
    if runs.iter().any(|run| lagged(run)) {
        let which = configurations(&lagged);
        notes.push(format!(
            "operations started more than {LAG_MS} ms late (configurations {which}); the wait is in their latency"
        ));
    }
    notes
}
