//! Learning a store by asking it: a few thousand timed requests in a prefix of our own, and a model of what they showed.
//!
//! ```text
//! plan (what, how often, at most how dear) -> visits (closed loops) -> fit (a StoreModel, with how sure it is) -> settle (it answers the same)
//! ```
//!
//! Round by round, every cell in a random order; in the first round the concurrencies are climbed from below, and a
//! ladder is left where more at a time brings nothing. Never sends what might pass the cap, never deletes what it did not
//! write, reports what it has when it is stopped.

pub mod fit;
pub mod learn;
pub mod plan;
pub mod settle;
pub mod visit;
pub mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use s3b_engine::clock;
use s3b_scenarios::random::Random;

use self::plan::{HUGE, MEDIUM, Plan, Planned, SMALL};
use self::visit::{Asked, Ground, Visit};
use crate::interrupt::Interrupt;
use crate::model::Operation;
use crate::place::Place;
use crate::prices::Billing;
use crate::progress::ProgressLine;

/// Objects put in place at a time.
const FILLS_AT_A_TIME: usize = 16;

/// A ladder is left when a step up brings less than this share of the throughput before it ...
const NO_GAIN: f64 = 0.9;
/// ... or a 99th percentile so many times that of one at a time.
const EXPLODED: f64 = 20.0;

/// What bounds a probe.
pub struct Bounds {
    pub billing: Billing,
    /// Of all that is on the place's budget.
    pub max_dollars: f64,
    pub max_time: Duration,
    pub seed: u64,
}

/// What was found.
pub struct Findings {
    pub cells: Vec<(Planned, Visit)>,
    pub dollars: f64,
    pub interrupted: bool,
    pub out_of_time: bool,
    pub out_of_money: bool,
}

struct Prober<'a> {
    place: &'a Place,
    ground: Arc<Ground>,
    bounds: &'a Bounds,
    interrupt: &'a Interrupt,
    fills: BTreeMap<u64, u64>,
    found: Vec<(Planned, Visit)>,
    /// Ladders that were left, and the highest concurrency that still counts.
    left: BTreeMap<(Operation, u64), u32>,
    /// The next unused number of each ladder's keys.
    next: BTreeMap<(Operation, u64), u64>,
    out_of_money: bool,
}

/// Carries out a plan.
///
/// # Errors
/// The first objects cannot be put in place, or not a single request of a kind that a model needs succeeded.
pub async fn probe(place: &Place, plan: &Plan, bounds: &Bounds, interrupt: &Interrupt) -> Result<Findings> {
    let mut random = Random::new(bounds.seed);
    let mut body = vec![0; HUGE as usize];
    body.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&random.bits().to_le_bytes()));
    let ground = Ground { backend: place.objects(), prefix: format!("{}probe-", place.prefix()), body: body.into() };
    let ground = Arc::new(ground);
    let mut prober = Prober {
        place,
        ground,
        bounds,
        interrupt,
        fills: plan.fills.iter().copied().collect(),
        found: Vec::new(),
        left: BTreeMap::new(),
        next: BTreeMap::new(),
        out_of_money: false,
    };
    let deadline = clock::now() + bounds.max_time;
    prober.fill().await?;
    let mut progress = ProgressLine::counting("probe", plan.visits());
    let mut visits_left = plan.visits();
    let mut out_of_time = false;
    for round in 0..plan::ROUNDS {
        for cell in in_order(plan, round, &mut random) {
            visits_left -= 1;
            let rest = deadline.saturating_duration_since(clock::now());
            out_of_time |= rest.is_zero();
            if rest.is_zero() || interrupt.is_asked() {
                continue;
            }
            // Fast cells leave their time to slow ones.
            let share = (rest / (visits_left as u32 + 1) * 2).min(rest);
            prober.visit(&cell, share, round == 0).await;
            progress.step(|| cell.title());
        }
    }
    progress.finish();
    let dollars = prober.spent();
    let out_of_money = prober.out_of_money || place.budget().is_some_and(|budget| budget.is_exhausted());
    let interrupted = interrupt.is_asked();
    Ok(Findings { cells: prober.kept(), dollars, interrupted, out_of_time, out_of_money })
}

/// The visits of a round. The first climbs; deletes come after the PUTs, when there is something to delete.
fn in_order(plan: &Plan, round: u32, random: &mut Random) -> Vec<Planned> {
    let mut cells: Vec<Planned> = plan.cells.iter().filter(|cell| round < cell.rounds).cloned().collect();
    random.shuffle(&mut cells);
    cells.sort_by_key(|cell| {
        let step = if round == 0 { cell.concurrency } else { 0 };
        (cell.operation == Operation::BulkDelete, step, cell.operation == Operation::Delete)
    });
    cells
}

impl Prober<'_> {
    fn spent(&self) -> f64 {
        self.place.budget().map_or(0.0, |budget| budget.dollars())
    }

    async fn fill(&self) -> Result<()> {
        let objects = self.fills.iter().flat_map(|(size, count)| (0..*count).map(move |number| (*size, number)));
        let puts = stream::iter(objects).map(|(size, number)| async move {
            let key = self.ground.filled(size, number);
            self.ground.put(&key, size).await
        });
        let mut puts = std::pin::pin!(puts.buffer_unordered(FILLS_AT_A_TIME));
        while let Some(put) = puts.next().await {
            put.context("cannot put the first objects in place")?;
            if self.interrupt.is_asked() {
                bail!("interrupted before anything was measured");
            }
        }
        Ok(())
    }

    async fn visit(&mut self, cell: &Planned, at_most: Duration, climbing: bool) {
        if self.left.get(&cell.ladder()).is_some_and(|highest| cell.concurrency > *highest) {
            return;
        }
        if self.spent() + self.bounds.billing.dollars(&cell.slot_requests()) > self.bounds.max_dollars {
            self.out_of_money = true;
            return;
        }
        let next = self.next.entry(cell.ladder()).or_default();
        let numbers = *next..*next + cell.slot;
        *next += cell.slot;
        let (keys, numbers) = match cell.operation {
            Operation::Delete | Operation::BulkDelete => self.victims(cell),
            _ => (Vec::new(), numbers),
        };
        if numbers.is_empty() {
            return;
        }
        let fills = self.fills.get(&cell.size.max(SMALL)).copied().unwrap_or(1);
        let deadline = clock::now() + at_most;
        let asked = Asked { cell: cell.clone(), numbers, fills, keys, deadline };
        let visit = self.ground.visit(asked, self.interrupt).await;
        if climbing {
            self.judge(cell, &visit);
        }
        match self.found.iter_mut().find(|(known, _)| known == cell) {
            Some((_, known)) => known.add(visit),
            None => self.found.push((cell.clone(), visit)),
        }
    }

    /// Keys of small PUTs that nobody reads: each is deleted once.
    fn victims(&mut self, cell: &Planned) -> (Vec<String>, std::ops::Range<u64>) {
        let size = if cell.operation == Operation::Delete { SMALL } else { MEDIUM };
        let there = self.next.get(&(Operation::Put, size)).copied().unwrap_or(0);
        let each = cell.size.max(1);
        // The ladder's own count was moved on by a slot just now.
        let after = self.next.get(&cell.ladder()).copied().unwrap_or(0);
        let begin = (after - cell.slot) * each;
        let end = (after * each).min(there);
        let keys: Vec<String> =
            (begin..end.max(begin)).map(|number| self.ground.key(&format!("put-{size}"), number)).collect();
        let count = keys.len() as u64 / each;
        (keys, 0..count)
    }

    /// Whether going higher is worth anything.
    fn judge(&mut self, cell: &Planned, visit: &Visit) {
        let at_one = |found: &[(Planned, Visit)]| {
            let one = found.iter().find(|(known, _)| known.ladder() == cell.ladder() && known.concurrency == 1);
            one.and_then(|(_, visit)| crate::statistics::quantile(&visit.ms, 0.99))
        };
        let below = self
            .found
            .iter()
            .filter(|(known, _)| known.ladder() == cell.ladder() && known.concurrency < cell.concurrency);
        let best = below.map(|(_, visit)| visit.requests_per_s()).fold(0.0, f64::max);
        let slower = best > 0.0 && visit.requests_per_s() < best * NO_GAIN;
        let exploded = at_one(&self.found)
            .zip(crate::statistics::quantile(&visit.ms, 0.99))
            .is_some_and(|(one, now)| now > one * EXPLODED);
        if slower || exploded || visit.throttled > visit.succeeded / 10 {
            self.left.entry(cell.ladder()).or_insert(cell.concurrency);
        }
    }

    fn kept(self) -> Vec<(Planned, Visit)> {
        let mut found = self.found;
        found.retain(|(_, visit)| visit.succeeded + visit.throttled + visit.failed > 0);
        found.sort_by_key(|(cell, _)| (cell.operation, cell.size, cell.concurrency));
        found
    }
}
