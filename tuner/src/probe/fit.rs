//! From visits to a model, and how sure it is. Pure.
//!
//! **First byte and bandwidth.** One at a time, a request takes its service time and `size / bandwidth`: the line through
//! the medians of the sizes tells both. Service times are what is left of each request after its transfer; where the
//! transfer is most of it they hold the bandwidth's error too, so that the two together are what was measured. Where many
//! requests fill the link they wait for each other: such a cell begins with the service times of fewer, and
//! [`super::settle`] finds its own.
//! **The link** is what all connections together reach when more of them bring no more. Where more always brought more, the
//! number is a lower bound, and the file says so.

use crate::model::DiskRates;
use crate::model::settings::{
    Cell, CpuRates, Limits, Network, Operation, Origin, PERCENTS, Price, RateLimit, SCHEMA, SlowPeriods, StoreModel,
};
use crate::probe::plan::Planned;
use crate::probe::visit::Visit;
use crate::probe::work::with_work_of_requests;
use crate::statistics::{interval, median, quantile};

/// What the visits do not tell.
pub struct Known {
    pub name: String,
    pub place: String,
    pub when: String,
    pub price_class: String,
    pub connection_set_up_ms: f64,
    pub cpu: CpuRates,
    /// Limits the store publishes, where none was met.
    pub published: Limits,
}

pub struct Fitted {
    pub model: StoreModel,
    /// Above each cell.
    pub notes: Vec<String>,
    /// Above the file.
    pub head: Vec<String>,
}

/// Samples that bound a 99th percentile with 95 % confidence.
const ENOUGH_FOR_P99: usize = 299;
/// A link counts as full when the highest concurrency brought less than this times the one below.
const SATURATED: f64 = 1.1;
/// A cell whose bytes fill this share of the link says little about service times.
const CROWDED: f64 = 0.7;
/// In place of a bandwidth that nothing bounds: a body in no time at all would be no number.
const FASTEST_BYTES_PER_S: f64 = 1e11;

/// One direction.
struct Speed {
    connection: f64,
    link: f64,
    saturated: bool,
}

/// # Errors
/// GET or PUT never succeeded often enough to say anything.
pub fn fit(found: &[(Planned, Visit)], known: Known) -> Result<Fitted, String> {
    for needed in [Operation::Get, Operation::Put] {
        if !found.iter().any(|(cell, visit)| cell.operation == needed && visit.ms.len() > 1) {
            let why = found.iter().filter(|(cell, _)| cell.operation == needed);
            let why = why.filter_map(|(_, visit)| visit.first_error.clone()).next();
            let why = why.unwrap_or_else(|| "too little time or money".into());
            return Err(format!("not one {} was measured: {why}", needed.name()));
        }
    }
    let (up, down) = (speed(found, Operation::Put), speed(found, Operation::Get));
    let mut head = vec![
        format!("connection up {}; down {}", say_speed(up.connection), say_speed(down.connection)),
        format!("link up {}; down {}", say_link(&up), say_link(&down)),
    ];
    let limits =
        Limits { put: limit(found, true).or(known.published.put), get: limit(found, false).or(known.published.get) };
    head.push(say_throttling(found));
    let (mut service, mut notes) = (Vec::new(), Vec::new());
    for (cell, visit) in found {
        let speed = if cell.operation == Operation::Put { &up } else { &down };
        if let Some((mut fitted, note)) = fit_cell(cell, visit, speed) {
            if is_crowded(cell, visit, speed) {
                let fewer =
                    service.iter().rfind(|one: &&Cell| (one.operation, one.size) == (cell.operation, cell.size));
                let Some(fewer) = fewer else { continue };
                fitted.ms.clone_from(&fewer.ms);
            }
            service.push(fitted);
            notes.push(note);
        }
    }
    let failed: u64 = found.iter().map(|(_, visit)| visit.failed).sum();
    if let Some(error) = found.iter().find_map(|(_, visit)| visit.first_error.as_ref()) {
        head.push(format!("{failed} requests failed, the first: {error}"));
    }
    let network = Network {
        connection_set_up_ms: rounded(known.connection_set_up_ms),
        connection_up_bytes_per_s: up.connection.round(),
        connection_down_bytes_per_s: down.connection.round(),
        link_up_bytes_per_s: up.link.round(),
        link_down_bytes_per_s: down.link.round(),
    };
    let model = StoreModel {
        schema: SCHEMA.into(),
        name: known.name,
        percents: PERCENTS.to_vec(),
        origin: Origin { measured: true, place: known.place, when: known.when },
        price: Price { class: known.price_class, in_region: false },
        network,
        limits,
        slow_periods: SlowPeriods::default(),
        cpu: with_work_of_requests(known.cpu, found),
        disk: DiskRates::default(),
        service,
    };
    model.check().map_err(|error| format!("the numbers make no model: {error}"))?;
    Ok(Fitted { model, notes, head })
}

pub(super) fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

fn speed(found: &[(Planned, Visit)], operation: Operation) -> Speed {
    let own: Vec<&(Planned, Visit)> = found.iter().filter(|(cell, _)| cell.operation == operation).collect();
    let points: Vec<(f64, f64)> = own
        .iter()
        .filter(|(cell, _)| cell.concurrency == 1)
        .filter_map(|(cell, visit)| Some((cell.size as f64, median(&visit.ms)? / 1000.0)))
        .collect();
    let fastest = own.iter().map(|(_, visit)| visit.bytes_per_s()).fold(1.0, f64::max);
    // A slope that is lost in the noise: as fast as was ever seen.
    let connection = slope(&points).filter(|s| *s > 0.0).map_or(fastest, |s| (1.0 / s).min(FASTEST_BYTES_PER_S));
    let largest = own.iter().map(|(cell, _)| cell.size).max().unwrap_or(0);
    let saturated = own.iter().map(|(cell, _)| cell.size).filter(|size| *size * 8 >= largest).any(|size| {
        let mut ladder: Vec<&Visit> = own.iter().filter(|(cell, _)| cell.size == size).map(|(_, v)| v).collect();
        ladder.retain(|visit| visit.succeeded > 0);
        matches!(ladder[..], [.., below, top] if top.bytes_per_s() < below.bytes_per_s() * SATURATED)
    });
    // A link is never slower than one of its connections.
    Speed { connection, link: fastest.max(connection.min(fastest * 2.0)), saturated }
}

/// Seconds per byte, by least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (spread > 0.0).then(|| both / spread)
}

/// The rate that got through where the store refused the rest.
fn limit(found: &[(Planned, Visit)], writes: bool) -> Option<RateLimit> {
    let refused = found.iter().filter(|(cell, visit)| cell.operation.is_write() == writes && visit.throttled > 0);
    let per_s = refused.map(|(_, visit)| visit.requests_per_s()).fold(0.0, f64::max);
    (per_s > 1.0).then(|| RateLimit { per_s: per_s.round(), burst: per_s.round() })
}

fn say_speed(bytes_per_s: f64) -> String {
    format!("{:.1} MB/s", bytes_per_s / 1e6)
}

fn say_link(speed: &Speed) -> String {
    if speed.saturated {
        say_speed(speed.link)
    } else {
        format!("at least {} (it was never full)", say_speed(speed.link))
    }
}

fn say_throttling(found: &[(Planned, Visit)]) -> String {
    match found.iter().map(|(_, visit)| visit.throttled).sum::<u64>() {
        0 => "no request was refused with 503; limits, if any, are the published ones".into(),
        refused => format!("{refused} requests were refused with 503; limits are what got through then"),
    }
}

fn is_crowded(cell: &Planned, visit: &Visit, speed: &Speed) -> bool {
    let has_body = matches!(cell.operation, Operation::Get | Operation::Put);
    has_body && cell.concurrency > 1 && speed.saturated && visit.bytes_per_s() > CROWDED * speed.link
}

fn fit_cell(cell: &Planned, visit: &Visit, speed: &Speed) -> Option<(Cell, String)> {
    if visit.ms.is_empty() {
        return None;
    }
    let has_body = matches!(cell.operation, Operation::Get | Operation::Put);
    let transfer = if has_body { cell.size as f64 / speed.connection * 1000.0 } else { 0.0 };
    let service: Vec<f64> = visit.ms.iter().map(|ms| (ms - transfer).max(0.0)).collect();
    let at = |percent: f64| quantile(&service, percent / 100.0).map(rounded);
    let fitted = Cell {
        operation: cell.operation,
        size: if cell.operation == Operation::List { visit.bytes / visit.succeeded.max(1) } else { cell.size },
        concurrency: cell.concurrency,
        samples: service.len() as u64,
        ms: PERCENTS.iter().filter_map(|percent| at(*percent)).collect(),
    };
    let mut parts = vec![format!("{:.0} requests/s", visit.requests_per_s())];
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let found = interval(&service, 1, |values| quantile(values, share).unwrap_or(f64::NAN));
        parts.extend(found.map(|i| format!("{name} {:.2} ms (95 %: {:.2} to {:.2})", i.value, i.low, i.high)));
    }
    if service.len() < ENOUGH_FOR_P99 {
        parts.push(format!("too few for a p99, which takes {ENOUGH_FOR_P99}"));
    }
    Some((fitted, parts.join("; ")))
}

#[cfg(test)]
mod tests;
