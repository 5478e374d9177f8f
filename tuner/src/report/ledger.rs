//! The ledger as lines of a table, and the bill that follows from it. The page and `explain` show the same.

use super::columns::runs;
use super::numbers::{bytes, count, percent};
use crate::outcome::{Figures, Ledger, Outcome, PriceTable, StoreLedger};

/// A label and what it says of a ledger.
pub type Line = (&'static str, fn(&Ledger) -> String);

pub struct Part {
    pub name: &'static str,
    pub lines: &'static [Line],
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { percent(part as f64 / whole as f64) }
}

fn times(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{:.2}", part as f64 / whole as f64) }
}

pub const PARTS: [Part; 3] = [
    Part {
        name: "host",
        lines: &[
            ("reads", |one| count(one.host.reads)),
            ("read bytes", |one| bytes(one.host.read_bytes)),
            ("writes", |one| count(one.host.writes)),
            ("written bytes", |one| bytes(one.host.write_bytes)),
            ("discards", |one| count(one.host.discards)),
            ("flushes", |one| count(one.host.flushes)),
        ],
    },
    Part {
        name: "cache, in blocks",
        lines: &[
            ("read hits", |one| count(one.cache.read_hits)),
            ("read misses", |one| count(one.cache.read_misses)),
            ("hit ratio", |one| share(one.cache.read_hits, one.cache.read_hits + one.cache.read_misses)),
            ("merge reads", |one| count(one.cache.merge_reads)),
            ("read ahead", |one| count(one.cache.read_ahead)),
            ("read ahead in vain", |one| {
                share(one.cache.read_ahead.saturating_sub(one.cache.read_ahead_used), one.cache.read_ahead)
            }),
            ("stores", |one| count(one.cache.stores)),
            ("forced by flushes", |one| one.cache.forced_by_flush().map_or("-".into(), percent)),
            ("coalesced writes", |one| count(one.cache.coalesced)),
            ("zero reads", |one| count(one.cache.zero_reads)),
            ("zero writes", |one| count(one.cache.zero_writes)),
            ("evictions", |one| count(one.cache.evictions)),
            ("waits for room", |one| count(one.cache.pressure_waits)),
        ],
    },
    Part {
        name: "store",
        lines: &[
            ("PUT", |one| count(one.store.puts)),
            ("GET", |one| count(one.store.gets)),
            ("HEAD", |one| count(one.store.heads)),
            ("LIST", |one| count(one.store.lists)),
            ("DELETE", |one| format!("{} of {} keys", count(one.store.deletes), count(one.store.deleted_keys))),
            ("bytes up", |one| bytes(one.store.put_bytes)),
            ("bytes down", |one| bytes(one.store.get_bytes)),
            ("header bytes", |one| bytes(one.store.header_bytes)),
            ("up / written", |one| times(one.store.put_bytes, one.host.write_bytes)),
            ("down / read", |one| times(one.store.get_bytes, one.host.read_bytes)),
            ("503, retries, errors", |one| {
                format!("{}, {}, {}", count(one.store.throttled), count(one.store.retries), count(one.store.errors))
            }),
        ],
    },
];

/// Over all workloads, each once.
pub fn sum(figures: &[Figures]) -> Ledger {
    figures.iter().fold(Ledger::default(), |all, one| all.zip(&one.ledger, |sum, more| sum + more))
}

/// Dollars a month. The requests follow from the ledger and the prices; the rest of the sum is transfer and storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    pub puts: f64,
    pub gets: f64,
    pub rest: f64,
}

impl Bill {
    pub fn total(&self) -> f64 {
        self.puts + self.gets + self.rest
    }
}

/// Seconds of a month of 730 hours.
const MONTH: f64 = 730.0 * 3600.0;

pub fn bill(outcome: &Outcome, configuration: usize) -> Bill {
    let total = outcome.configurations[configuration].summary.dollars_per_month.max(0.0);
    let (mut puts, mut gets) = (0.0, 0.0);
    for (run, workload) in runs(outcome, configuration).iter().zip(&outcome.workloads) {
        // Pooled runs: the ledger and the seconds are then sums or means alike.
        let rounds = if run.seconds > 0.0 { MONTH / run.seconds * workload.weight } else { 0.0 };
        let (put, get) = requests(&outcome.prices, &run.ledger.store);
        puts += put * rounds;
        gets += get * rounds;
    }
    // A total that was made in another way than by weights is kept; the parts keep their proportion.
    let scale = if puts + gets > total { total / (puts + gets) } else { 1.0 };
    Bill { puts: puts * scale, gets: gets * scale, rest: (total - (puts + gets) * scale).max(0.0) }
}

/// Dollars for PUT and LIST, and for GET and HEAD.
fn requests(prices: &PriceTable, store: &StoreLedger) -> (f64, f64) {
    (
        (store.puts + store.lists) as f64 * prices.put_per_1000 / 1000.0,
        (store.gets + store.heads) as f64 * prices.get_per_1000 / 1000.0,
    )
}
