//! What will run, how often, and what it costs at worst; known before the first paid request.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::{Settings, SurveyMode};

use super::cut::{self, Piece};
use super::pool::{Part, pool};
use super::wear::Wear;
use super::{Candidate, Purpose, Wanted};
use crate::budget::at_most;
use crate::machine::machine_memory;
use crate::outcome::run::WindowInfo;
use crate::outcome::{Figures, Ledger, StoreLedger};
use crate::place::CLAIMING;
use crate::simulate::{self, Job, Simulated};

/// Real runs may need so many times the requests that were simulated: repetitions, another interleaving.
const SAFETY: f64 = 1.5;
/// Rounds that the windows are cut for, the hold-out included; more are run where there is time.
const ROUNDS_CUT_FOR: u32 = 5;
/// The share of the time that operations may take; the rest is for opening, priming and cleaning.
const SHARE_FOR_RUNS: f64 = 0.7;
/// Shorter runs show little but how a run starts.
const LEAST_SECONDS: f64 = 2.0;
/// Of opening and closing one volume: superblock, mount token, looking at what is there; each doubled.
/// Only volumes without a superblock are listed, and these are empty here.
pub const OPENING: StoreLedger = StoreLedger {
    gets: 16,
    heads: 4,
    puts: 6,
    lists: 10,
    deletes: 4,
    deleted_keys: 4,
    get_bytes: 64 << 10,
    put_bytes: 4 << 10,
    ..StoreLedger::ZERO
};
/// Objects of a volume besides its blocks: superblock, mount token.
const OTHER_KEYS: u64 = 2;
/// Seconds for opening and closing a volume, and for each block put in place or read in before a run, 16 at a time.
const OPENING_SECONDS: f64 = 0.5;
const SECONDS_PER_BLOCK: f64 = 0.03 / 16.0;

/// A volume that is filled before it is first used.
#[derive(Clone)]
pub struct Setup {
    /// Of the volume in the place.
    pub volume: String,
    /// Places among the candidates of those that use it, the first first.
    pub candidates: Vec<usize>,
    pub piece: usize,
    pub blocks: u64,
    /// At worst.
    pub most: StoreLedger,
}

/// See the module.
pub struct Plan {
    /// Without the candidates that were left out.
    pub wanted: Wanted,
    /// Indices of configurations that money or time do not suffice for.
    pub left_out: Vec<usize>,
    pub pieces: Vec<Piece>,
    /// For each case.
    pub idle_seconds: Vec<f64>,
    pub setups: Vec<Setup>,
    /// For each candidate and case, what the model says of the very pieces that run; times are meaningless without one.
    pub predicted: Vec<Vec<Figures>>,
    /// Rounds at most; where they are to choose, one hold-out round comes on top.
    pub rounds: u32,
    /// At worst, for all.
    pub most: StoreLedger,
    pub dollars: f64,
    /// At worst, of one round.
    pub round_dollars: f64,
    /// At worst, of one run of each candidate over each piece, without filling its volume.
    pub runs: Vec<Vec<StoreLedger>>,
    pub seconds: f64,
    pub round_seconds: f64,
}

/// Makes the plan. Sends nothing; simulates each candidate over each piece once.
///
/// # Errors
/// Settings that no volume can be opened with, or bounds in which not even the first candidate fits: names them and
/// values that work. Also when `stop` is set.
pub fn plan(mut wanted: Wanted, stop: &AtomicBool) -> Result<Plan> {
    if wanted.candidates.is_empty() || wanted.cases.is_empty() {
        bail!("nothing to confirm: name at least one configuration and one workload");
    }
    wanted.candidates.iter_mut().for_each(|candidate| without_survey(&mut candidate.settings));
    let budget_s = budget_seconds(&wanted);
    let memory = machine_memory();
    let (mut pieces, mut idle_seconds) = (Vec::new(), Vec::new());
    for (number, case) in wanted.cases.iter().enumerate() {
        let budget_s = case.budget_seconds.unwrap_or(budget_s);
        let cut = cut::cut(number, case, &wanted.candidates, budget_s, memory, wanted.seed)?;
        pieces.extend(cut.pieces);
        idle_seconds.push(cut.idle_seconds);
    }
    let simulated = simulate_all(&wanted, &pieces, stop)?;
    let mut left_out = Vec::new();
    let mut kept: Vec<usize> = (0..wanted.candidates.len()).collect();
    let setups = loop {
        let costs = Costs::of(&wanted, &pieces, &simulated, &kept)?;
        let rounds = costs.rounds(&wanted);
        if rounds > 0 {
            break (costs, rounds);
        }
        let last = kept.iter().rposition(|n| *n != 0 && Some(*n) != wanted.keep);
        let Some(last) = last.filter(|_| wanted.purpose == Purpose::Choose) else {
            return Err(costs.too_dear(&wanted));
        };
        left_out.push(wanted.candidates[kept.remove(last)].configuration);
    };
    let (costs, rounds) = setups;
    let predicted = kept.iter().map(|n| predict(&wanted, &pieces, &idle_seconds, &simulated[*n])).collect();
    let of_kept = |starts: &[simulate::Start]| kept.iter().map(|n| starts[*n].clone()).collect();
    pieces.iter_mut().for_each(|piece| piece.starts = of_kept(&piece.starts));
    wanted.keep = wanted.keep.and_then(|keep| kept.iter().position(|n| *n == keep));
    wanted.candidates = kept.iter().map(|n| wanted.candidates[*n].clone()).collect();
    let (most, in_all) = (costs.all(&wanted, rounds), rounds_in_all(&wanted, rounds));
    Ok(Plan {
        left_out,
        pieces,
        idle_seconds,
        predicted,
        rounds,
        most,
        dollars: wanted.prices.dollars(&most, wanted.reader),
        round_dollars: wanted.prices.dollars(&costs.round, wanted.reader),
        seconds: costs.setup_seconds + f64::from(in_all) * costs.round_seconds,
        round_seconds: costs.round_seconds,
        setups: costs.setups,
        runs: costs.runs,
        wanted,
    })
}

impl Plan {
    /// The windows of a workload; empty: all of it runs.
    pub fn windows(&self, case: usize) -> Vec<WindowInfo> {
        let pieces = self.pieces.iter().filter(|piece| piece.case == case);
        pieces.filter_map(|piece| piece.window.as_ref().map(WindowInfo::from)).collect()
    }

    /// Configurations that run each round, the A/A twin included.
    pub fn slots(&self) -> usize {
        self.wanted.candidates.len() + 1
    }

    /// The candidate that runs in a slot.
    pub fn candidate(&self, slot: usize) -> &Candidate {
        &self.wanted.candidates[if slot + 1 == self.slots() { 0 } else { slot }]
    }

    /// What one run may issue at worst, also if its volume is filled first.
    pub fn most_of_run(&self, slot: usize, piece: usize) -> StoreLedger {
        let candidate = if slot + 1 == self.slots() { 0 } else { slot };
        let setups = self.setups.iter().filter(|setup| setup.piece == piece).map(|setup| &setup.most);
        let filling = setups.max_by_key(|most| most.puts).copied().unwrap_or_default();
        self.runs[candidate][piece].plus(&filling)
    }

    /// Dollars at worst to fill the volumes that these slots use, without those in `filled`.
    pub fn filling_dollars(&self, slots: &[usize], filled: &BTreeSet<String>) -> f64 {
        let twin = self.slots() - 1;
        let used =
            |setup: &&Setup| slots.iter().any(|slot| setup.candidates.contains(if *slot == twin { &0 } else { slot }));
        let missing = self.setups.iter().filter(|setup| !filled.contains(&setup.volume)).filter(used);
        let most = missing.fold(StoreLedger::ZERO, |sum, setup| sum.plus(&setup.most));
        self.wanted.prices.dollars(&most, self.wanted.reader)
    }

    /// What a person reads before anything is spent.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let blocks: u64 = self.setups.iter().map(|setup| setup.blocks).sum();
        let _ = writeln!(
            text,
            "{}: {} configurations and a second run of the first (noise), {}",
            if self.wanted.purpose == Purpose::Choose { "confirming" } else { "judging the model" },
            self.wanted.candidates.len(),
            match self.wanted.purpose {
                Purpose::Choose => format!("up to {} rounds and one more that does not choose", self.rounds),
                Purpose::Judge => format!("{} rounds", self.rounds),
            }
        );
        for (number, case) in self.wanted.cases.iter().enumerate() {
            let pieces: Vec<&Piece> = self.pieces.iter().filter(|piece| piece.case == number).collect();
            let ops: u64 = pieces.iter().map(|piece| piece.tape.summary.ops()).sum();
            let what = match pieces.iter().filter(|piece| piece.window.is_some()).count() {
                0 => "all of it".to_owned(),
                1 => "1 window that stands for it".to_owned(),
                windows => format!("{windows} windows that stand for it"),
            };
            let _ = writeln!(text, "  {}: {what}, {ops} operations", case.tape.title);
        }
        let _ = writeln!(
            text,
            "  about {:.0} s; put in place first: {blocks} blocks; left out for lack of money or time: {}",
            self.seconds,
            self.left_out.len()
        );
        let most = &self.most;
        let _ = writeln!(
            text,
            "  at worst {} PUT, {} GET, {} LIST and HEAD, {} MiB up, {} MiB down: ${:.4} (each round ${:.4}){}",
            most.puts,
            most.gets,
            most.lists + most.heads,
            most.put_bytes >> 20,
            most.get_bytes >> 20,
            self.dollars,
            self.round_dollars,
            match self.wanted.max_dollars {
                Some(cap) => format!("; never more than ${cap}"),
                None => "; this store costs nothing".into(),
            }
        );
        text
    }
}

/// A survey is a mount's, not a workload's: here its listings would only blur the costs.
fn without_survey(settings: &mut Settings) {
    if settings.zero_map.survey == SurveyMode::Auto {
        settings.zero_map.survey = SurveyMode::Off;
    }
}

/// Seconds for one run of one case.
fn budget_seconds(wanted: &Wanted) -> f64 {
    let runs = f64::from(wanted.most_rounds.clamp(1, ROUNDS_CUT_FOR - 1) + 1) * (wanted.candidates.len() + 1) as f64;
    let seconds = wanted.max_time.as_secs_f64() * SHARE_FOR_RUNS / runs / wanted.cases.len() as f64;
    (seconds - OPENING_SECONDS).max(LEAST_SECONDS)
}

/// For each candidate and piece.
fn simulate_all(wanted: &Wanted, pieces: &[Piece], stop: &AtomicBool) -> Result<Vec<Vec<Simulated>>> {
    let mut jobs = Vec::new();
    for (n, candidate) in wanted.candidates.iter().enumerate() {
        for piece in pieces {
            let mut job = Job::new(candidate.settings.clone(), piece.tape.clone());
            job.pace = wanted.cases[piece.case].pace;
            job.store.clone_from(&wanted.model);
            job.seed = wanted.seed;
            job.start = piece.starts[n].clone();
            jobs.push(job);
        }
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut results = simulate::many(&jobs, threads, &mut |_| {}, stop).into_iter();
    let mut simulated = Vec::new();
    for _ in &wanted.candidates {
        let mut row = Vec::new();
        for piece in pieces {
            let result = results.next().flatten().context("interrupted while planning")?;
            row.push(result.with_context(|| format!("simulating {}", piece.tape.title))?);
        }
        simulated.push(row);
    }
    Ok(simulated)
}

fn predict(wanted: &Wanted, pieces: &[Piece], idle_seconds: &[f64], simulated: &[Simulated]) -> Vec<Figures> {
    let of_case = |(number, case): (usize, &super::Case)| {
        let parts: Vec<Part<'_>> = pieces
            .iter()
            .zip(simulated)
            .filter(|(piece, _)| piece.case == number)
            .map(|(piece, one)| Part {
                piece,
                measured: &one.measured,
                ledger: &one.ledger,
                at_risk_bytes: one.at_risk_bytes,
            })
            .collect();
        let stored = pieces.iter().zip(simulated).filter(|(piece, _)| piece.case == number);
        let stored_bytes = stored.map(|(_, one)| one.stored_bytes).max().unwrap_or(0);
        Figures { stored_bytes, ..pool(&parts, 1, case.pace, idle_seconds[number]) }
    };
    wanted.cases.iter().enumerate().map(of_case).collect()
}

/// What a choice of candidates costs at worst.
struct Costs {
    setups: Vec<Setup>,
    setup: StoreLedger,
    setup_seconds: f64,
    round: StoreLedger,
    round_seconds: f64,
    /// For each candidate and piece.
    runs: Vec<Vec<StoreLedger>>,
}

impl Costs {
    fn of(wanted: &Wanted, pieces: &[Piece], simulated: &[Vec<Simulated>], kept: &[usize]) -> Result<Self> {
        let mut costs = Self {
            setups: Vec::new(),
            setup: CLAIMING,
            setup_seconds: 0.0,
            round: StoreLedger::ZERO,
            round_seconds: 0.0,
            runs: Vec::new(),
        };
        for (place, n) in kept.iter().enumerate() {
            // The first runs twice in each round.
            let times = if place == 0 { 2.0 } else { 1.0 };
            let mut runs = Vec::new();
            for (number, piece) in pieces.iter().enumerate() {
                let one = &simulated[*n][number];
                costs.fill(wanted, place, *n, (number, piece))?;
                let primed = primed(&one.ledger, piece, *n);
                let settings = &wanted.candidates[*n].settings;
                let (mends, keys) = mends(settings, piece)?;
                // Filling opens the volume as well.
                let opened = if mends.puts > 0 { 2.0 } else { 1.0 };
                let prefix = &settings.volume.prefix;
                let mut run = at_most(&OPENING.times(opened), prefix, OTHER_KEYS);
                add(&mut run, &at_most(&one.ledger.store, prefix, keys), SAFETY);
                add(&mut run, &primed, SAFETY);
                add(&mut run, &mends, SAFETY);
                add(&mut costs.round, &run, times);
                runs.push(run);
                let blocks = (primed.gets + mends.puts) as f64 * SECONDS_PER_BLOCK;
                let expected = one.measured.elapsed.as_secs_f64() + blocks + OPENING_SECONDS * opened;
                costs.round_seconds += expected * times;
            }
            costs.runs.push(runs);
        }
        Ok(costs)
    }

    /// Charges for filling a volume, unless another candidate shares it.
    fn fill(&mut self, wanted: &Wanted, place: usize, n: usize, (number, piece): (usize, &Piece)) -> Result<()> {
        let (settings, device_starts) = piece.tape.fit(&wanted.candidates[n].settings)?;
        let block_size = settings.volume.block_size.unwrap_or(0);
        let geometry = Geometry::new(block_size, settings.volume.size.unwrap_or(0))?;
        let blocks = piece.tape.found_blocks(geometry, &device_starts)?.count();
        let volume = super::once::volume_name(&settings, number);
        if blocks == 0 {
            return Ok(());
        }
        if let Some(shared) = self.setups.iter_mut().find(|setup| setup.volume == volume) {
            shared.candidates.push(place);
            return Ok(());
        }
        let stored = StoreLedger { puts: blocks, put_bytes: blocks * block_size, ..StoreLedger::ZERO };
        let mut most = at_most(&OPENING, &settings.volume.prefix, OTHER_KEYS);
        add(&mut most, &stored, SAFETY);
        self.setup = self.setup.plus(&most);
        self.setup_seconds += OPENING_SECONDS + blocks as f64 * SECONDS_PER_BLOCK;
        self.setups.push(Setup { volume, candidates: vec![place], piece: number, blocks, most });
        Ok(())
    }

    /// With so many rounds, and the hold-out.
    fn all(&self, wanted: &Wanted, rounds: u32) -> StoreLedger {
        let mut all = self.setup;
        add(&mut all, &self.round, f64::from(rounds_in_all(wanted, rounds)));
        all
    }

    fn dollars_and_seconds(&self, wanted: &Wanted, rounds: u32) -> (f64, f64) {
        let dollars = wanted.prices.dollars(&self.all(wanted, rounds), wanted.reader);
        (dollars, self.setup_seconds + f64::from(rounds_in_all(wanted, rounds)) * self.round_seconds)
    }

    /// The rounds that fit; 0: not even the fewest that are worth anything.
    fn rounds(&self, wanted: &Wanted) -> u32 {
        let fits = |rounds: &u32| {
            let (dollars, seconds) = self.dollars_and_seconds(wanted, *rounds);
            wanted.max_dollars.is_none_or(|cap| dollars <= cap) && seconds <= wanted.max_time.as_secs_f64()
        };
        (least_rounds(wanted)..=wanted.most_rounds.max(1)).rev().find(fits).unwrap_or(0)
    }

    fn too_dear(&self, wanted: &Wanted) -> anyhow::Error {
        let (dollars, seconds) = self.dollars_and_seconds(wanted, least_rounds(wanted));
        let mut need = Vec::new();
        if let Some(cap) = wanted.max_dollars.filter(|cap| dollars > *cap) {
            need.push(format!("--max-cost {cap} is too little, --max-cost {:.2} works", dollars + 0.01));
        }
        if seconds > wanted.max_time.as_secs_f64() {
            let given = wanted.max_time.as_secs();
            need.push(format!("--max-time {given}s is too little, --max-time {:.0}s works", seconds.ceil() + 1.0));
        }
        let need = need.join("; ");
        match wanted.purpose {
            Purpose::Choose => anyhow::anyhow!(
                "not even one round and its control can be run: {need}; or --sim-only, which sends nothing"
            ),
            Purpose::Judge => anyhow::anyhow!(
                "{} rounds of {} configurations cannot be run: {need}; or fewer of them",
                wanted.most_rounds,
                wanted.candidates.len()
            ),
        }
    }
}

/// The hold-out comes on top of the rounds that choose.
fn rounds_in_all(wanted: &Wanted, rounds: u32) -> u32 {
    match wanted.purpose {
        Purpose::Choose => rounds + 1,
        Purpose::Judge => rounds,
    }
}

/// One round may choose; a judgement that was asked for is not made of less.
fn least_rounds(wanted: &Wanted) -> u32 {
    match wanted.purpose {
        Purpose::Choose => 1,
        Purpose::Judge => wanted.most_rounds.max(1),
    }
}

/// What puts a volume back as it was, before a run that is not the first on it, and the most keys it ever has.
fn mends(settings: &Settings, piece: &Piece) -> Result<(StoreLedger, u64)> {
    let (settings, device_starts) = piece.tape.fit(settings)?;
    let block_size = settings.volume.block_size.unwrap_or(0);
    let geometry = Geometry::new(block_size, settings.volume.size.unwrap_or(0))?;
    let found = piece.tape.found_blocks(geometry, &device_starts)?;
    let wear = Wear::of(piece, geometry, &device_starts, &found)?;
    let keys = found.count() + wear.made.count() + OTHER_KEYS;
    Ok((wear.requests(block_size), keys))
}

/// The requests that put the cache into its state, never simulated: each resident block is read.
fn primed(ledger: &Ledger, piece: &Piece, n: usize) -> StoreLedger {
    let start = &piece.starts[n];
    let bytes = start.resident.iter().map(|(_, len)| len).sum();
    // Dirty blocks are stored while it runs, and may be stored before it begins as well.
    let dirty = start.dirty.len() as u64;
    let put_bytes = start.dirty.iter().map(|(_, len)| len).sum();
    let read_ahead = ledger.cache.read_ahead;
    StoreLedger {
        gets: start.resident.len() as u64 + read_ahead,
        get_bytes: bytes,
        puts: dirty,
        put_bytes,
        ..StoreLedger::ZERO
    }
}

fn add(all: &mut StoreLedger, one: &StoreLedger, times: f64) {
    *all = all.plus(&one.times(times));
}
