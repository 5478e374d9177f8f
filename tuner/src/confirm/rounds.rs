//! The rounds: all candidates in another order each time, one of them twice, until it is decided or the means end; then
//! the best once more, in a round that does not choose. Rounds that are to judge the model are all run, and the one that
//! was cut short is kept as well.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use s3b_engine::clock;
use s3b_scenarios::random::Random;

use super::once::Stage;
use super::{Chooser, Confirmed, OneRun, Plan, Purpose, Round, Step, decide};
use crate::interrupt::Interrupt;
use crate::outcome::{Difference, Figures, StoreLedger};
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
    /// The plan was made by an earlier sitting, within means of which that one has used some.
    pub resumed: bool,
}

struct Runner<'a> {
    plan: &'a Plan,
    place: &'a Place,
    keep: Option<&'a RunDirectory>,
    chooser: &'a Chooser<'a>,
    interrupt: &'a Interrupt,
    on_step: &'a mut dyn FnMut(Step),
    stage: Stage<'a>,
    rounds: Vec<Round>,
    unfinished: Option<Round>,
    begun: clock::Instant,
    resumed: bool,
    /// Of this sitting.
    longest_round: Duration,
    /// Of rounds that were there already.
    earlier_runs: u64,
    stopped: Option<String>,
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
    chooser: &Chooser<'_>,
    interrupt: &Interrupt,
    on_step: &mut dyn FnMut(Step),
) -> Result<Confirmed> {
    let earlier_runs = keep.earlier.iter().map(|round| round.runs.len() as u64).sum();
    let mut runner = Runner {
        plan,
        place,
        keep: keep.run,
        chooser,
        interrupt,
        on_step,
        stage: Stage::new(plan, place, interrupt),
        rounds: keep.earlier,
        unfinished: None,
        begun: clock::now(),
        resumed: keep.resumed,
        longest_round: Duration::ZERO,
        earlier_runs,
        stopped: None,
        steps: 0,
    };
    let decided = runner.all().await;
    // However it ended, what it did cost is known now.
    let noted = runner.note_spent(&StoreLedger::default());
    let decided = decided?;
    noted?;
    let Runner { rounds, unfinished, stopped, stage, .. } = runner;
    let mut confirmed = of_rounds(plan, chooser, rounds, unfinished);
    confirmed.stopped = stopped;
    confirmed.notices = stage.notices;
    if decided {
        let rounds = confirmed.losses.first().map_or(0, Vec::len);
        confirmed.notes.push(decide::why_decided(confirmed.losses.len(), rounds, plan.rounds));
    }
    Ok(confirmed)
}

impl Runner<'_> {
    async fn all(&mut self) -> Result<bool> {
        if self.plan.wanted.purpose == Purpose::Judge {
            return self.run_all().await;
        }
        let decided = self.choose().await?;
        if self.stopped.is_none() {
            self.hold_out().await?;
        }
        Ok(decided)
    }

    /// Notes what was issued so far and what may be issued next, so that a killed run counts too much, never too little.
    fn note_spent(&self, next: &StoreLedger) -> Result<()> {
        let (Some(run), Some(budget)) = (self.keep, self.place.budget()) else { return Ok(()) };
        run.note(&Record::Spent(budget.spent().plus(next)))
    }

    /// All choosing rounds that are needed and possible. Answers whether it ended because it was decided.
    async fn choose(&mut self) -> Result<bool> {
        let slots = self.plan.slots();
        loop {
            let chosen: Vec<&Round> = self.rounds.iter().filter(|round| !round.hold_out).collect();
            let number = chosen.len() as u32;
            let best = choice(self.plan, self.chooser, &chosen);
            if decide::is_decided(&losses(self.plan, &chosen), best, self.plan.wanted.seed) {
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

    /// Every round, as far as it is possible. Answers that nothing was decided.
    async fn run_all(&mut self) -> Result<bool> {
        let all: Vec<usize> = (0..self.plan.slots()).collect();
        while (self.rounds.len() as u32) < self.plan.rounds {
            if !self.round(self.rounds.len() as u32, &all, false).await? {
                break;
            }
        }
        Ok(false)
    }

    async fn hold_out(&mut self) -> Result<()> {
        let chosen: Vec<&Round> = self.rounds.iter().filter(|round| !round.hold_out).collect();
        let done = self.rounds.iter().any(|round| round.hold_out);
        let number = chosen.len() as u32;
        if let Some(best) = choice(self.plan, self.chooser, &chosen).filter(|_| !done) {
            self.round(number, &[best], true).await?;
        }
        Ok(())
    }

    /// One round; false: it was not run whole, and why is noted.
    async fn round(&mut self, number: u32, slots: &[usize], hold_out: bool) -> Result<bool> {
        self.stopped = self.why_not(slots, hold_out).map(str::to_owned);
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
            self.note_spent(&self.plan.most_of_run(slot, piece))?;
            match self.next(slot, piece, number, runs.is_empty()).await? {
                Some(run) => runs.push(run),
                None => {
                    self.unfinished = Some(Round { number, hold_out, runs });
                    return Ok(false);
                }
            }
            self.tell(number, slot, piece, hold_out);
        }
        let round = Round { number, hold_out, runs };
        if let Some(run) = self.keep {
            run.note(&Record::Round(round.clone()))?;
        }
        self.rounds.push(round);
        if !hold_out {
            self.longest_round = self.longest_round.max(begun.elapsed());
        }
        Ok(true)
    }

    /// The next run, if there is time. Runs that are to judge are worth something when one fails.
    async fn next(&mut self, slot: usize, piece: usize, round: u32, first: bool) -> Result<Option<OneRun>> {
        if self.begun.elapsed() > self.plan.wanted.max_time {
            self.stopped = Some("out of time".into());
            return Ok(None);
        }
        if self.plan.wanted.purpose == Purpose::Choose {
            return self.one(slot, piece, round).await;
        }
        match self.one(slot, piece, round).await {
            Err(error) if !(first && self.rounds.is_empty()) => {
                self.stopped = Some(format!("{error:#}"));
                Ok(None)
            }
            ran => ran,
        }
    }

    /// What keeps the next round from being begun.
    fn why_not(&self, slots: &[usize], hold_out: bool) -> Option<&'static str> {
        let wanted = &self.plan.wanted;
        let of_one = 1.0 / self.plan.slots() as f64;
        // A part of a round is worth nothing to a choice.
        let (share, after) = match (wanted.purpose, hold_out) {
            (Purpose::Judge, _) => (0.0, 0.0),
            (Purpose::Choose, true) => (of_one, 0.0),
            (Purpose::Choose, false) => (1.0, of_one),
        };
        if self.interrupt.is_asked() {
            return Some("interrupted");
        }
        // A fresh plan fits, so that nothing is asked of its first round.
        let unknown = self.resumed && self.longest_round.is_zero();
        let round_s = if unknown { self.plan.round_seconds } else { self.longest_round.as_secs_f64() };
        let needed = round_s * SLOWER * (share + after);
        if self.begun.elapsed().as_secs_f64() + needed > wanted.max_time.as_secs_f64() {
            return Some("out of time");
        }
        let budget = self.place.budget()?;
        // A fresh plan fits here as well: it has money for a round more than this asks for, the control's.
        let filling = self.plan.filling_dollars(slots, &self.stage.filled);
        let needed = self.plan.round_dollars * (share + after) + if share > 0.0 { filling } else { 0.0 };
        let too_dear = budget.cap().is_some_and(|cap| budget.dollars() + needed > cap);
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
            Ok(None) => self.stopped = Some("interrupted".into()),
            Err(Some(End::OutOfMoney)) => self.stopped = Some("out of money".into()),
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
        let holds_out = self.plan.wanted.purpose == Purpose::Choose;
        let step = Step {
            done: self.steps,
            of: ((u64::from(self.plan.rounds) * self.plan.slots() as u64 + u64::from(holds_out)) * pieces)
                .saturating_sub(self.earlier_runs),
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

/// For each candidate and case, over all these rounds; nothing without any.
fn measured(plan: &Plan, chosen: &[&Round]) -> Vec<Vec<Figures>> {
    let of = |slot| if chosen.is_empty() { Vec::new() } else { decide::figures(plan, chosen, slot) };
    (0..plan.wanted.candidates.len()).map(of).collect()
}

/// The candidate that these rounds would recommend.
fn choice(plan: &Plan, chooser: &Chooser<'_>, chosen: &[&Round]) -> Option<usize> {
    let noise = decide::noise_floor(plan, chosen);
    if chosen.is_empty() { None } else { chooser(&measured(plan, chosen), noise) }
}

/// What whole rounds come to.
fn of_rounds(plan: &Plan, chooser: &Chooser<'_>, rounds: Vec<Round>, unfinished: Option<Round>) -> Confirmed {
    let chosen: Vec<&Round> = rounds.iter().filter(|round| !round.hold_out).collect();
    let candidates = 0..plan.wanted.candidates.len();
    let losses = losses(plan, &chosen);
    let best = choice(plan, chooser, &chosen);
    let measured = measured(plan, &chosen);
    let by_round: Vec<Vec<Vec<Figures>>> =
        candidates.map(|slot| chosen.iter().map(|round| decide::figures(plan, &[round], slot)).collect()).collect();
    let each = |of: &dyn Fn(&[Figures]) -> Vec<f64>| -> Vec<Vec<Vec<f64>>> {
        by_round.iter().map(|rounds| rounds.iter().map(|cases| of(cases)).collect()).collect()
    };
    let seconds = each(&|cases| cases.iter().map(|one| one.seconds).collect());
    let case_losses = each(&|cases| decide::losses(plan, cases));
    let named = |one: Difference| Difference { other: plan.wanted.candidates[one.other].configuration, ..one };
    let differences = best.map_or_else(Vec::new, |best| decide::differences(&losses, best, plan.wanted.seed));
    let hold_out = rounds.iter().find(|round| round.hold_out).zip(best).and_then(|(round, best)| {
        let ran = round.runs.iter().any(|run| run.slot == best);
        let logs: Vec<f64> = losses[best].iter().map(|loss| loss.ln()).collect();
        ran.then(|| decide::loss(plan, round, best) / crate::statistics::mean(&logs).exp())
    });
    let noise_floor = decide::noise_floor(plan, &chosen);
    let unfinished = unfinished.filter(|_| plan.wanted.purpose == Purpose::Judge);
    let notes = notes(plan, rounds.iter().chain(&unfinished));
    Confirmed {
        measured,
        seconds,
        losses,
        case_losses,
        best,
        differences: differences.into_iter().map(named).collect(),
        noise_floor,
        hold_out,
        stopped: None,
        notes,
        notices: BTreeSet::new(),
        rounds,
        unfinished,
    }
}

/// What happened besides, as sentences: results, not noise.
fn notes<'a>(plan: &Plan, rounds: impl Iterator<Item = &'a Round>) -> Vec<String> {
    let runs: Vec<&OneRun> = rounds.flat_map(|round| &round.runs).collect();
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
