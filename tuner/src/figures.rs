//! From what a simulation or a real run gave to the figures of an outcome.

use s3b_scenarios::OpKind;

use crate::measure::{Durations, KindMeasured, Measured};
use crate::model::Utilisation;
use crate::outcome::{Figures, HostLedger, KindFigures, Latency, Ledger, Limit};
use crate::simulate::Simulated;

/// Shares of the samples at which a distribution is drawn: closer together towards the tail.
const DRAWN: [f64; 21] = [
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999,
    1.0,
];

/// Below this share nothing is said to bind.
const BINDING: f64 = 0.05;

/// Of a simulation.
pub fn of_simulated(simulated: &Simulated) -> Figures {
    Figures {
        ledger: simulated.ledger,
        at_risk_bytes: simulated.at_risk_bytes,
        stored_bytes: simulated.stored_bytes,
        limits: simulated.utilisation.as_ref().map_or_else(Vec::new, limits),
        ..of_measured(&simulated.measured)
    }
}

/// Of a real run: times and host side only; the store's side is the caller's to add.
pub fn of_measured(measured: &Measured) -> Figures {
    let kind = |kind| kind_figures(measured.kind(kind));
    Figures {
        seconds: measured.elapsed.as_secs_f64(),
        drain_seconds: measured.drain.as_secs_f64(),
        read: kind(OpKind::Read),
        write: kind(OpKind::Write),
        flush: kind(OpKind::Flush),
        discard: kind(OpKind::Discard),
        lag_p99_ms: measured.lag.percentile(99.0).as_secs_f64() * 1e3,
        late: measured.late,
        ledger: Ledger { host: host_ledger(measured), ..Ledger::default() },
        runs: 1,
        ..Figures::default()
    }
}

fn kind_figures(measured: &KindMeasured) -> KindFigures {
    KindFigures {
        ops: measured.ops,
        bytes: measured.bytes,
        failed: measured.failed,
        latency: latency(&measured.latency),
        service: latency(&measured.service),
    }
}

fn latency(times: &Durations) -> Latency {
    let at = |percent: f64| times.percentile(percent).as_secs_f64() * 1e3;
    let drawn = || DRAWN.iter().map(|share| [at(share * 100.0), *share]).collect();
    Latency {
        count: times.count(),
        mean_ms: times.mean().as_secs_f64() * 1e3,
        p50_ms: at(50.0),
        p90_ms: at(90.0),
        p99_ms: at(99.0),
        p999_ms: at(99.9),
        max_ms: times.longest().as_secs_f64() * 1e3,
        cdf: if times.count() == 0 { Vec::new() } else { drawn() },
    }
}

fn host_ledger(measured: &Measured) -> HostLedger {
    let kind = |kind| measured.kind(kind);
    HostLedger {
        reads: kind(OpKind::Read).ops,
        read_bytes: kind(OpKind::Read).bytes,
        writes: kind(OpKind::Write).ops,
        write_bytes: kind(OpKind::Write).bytes,
        discards: kind(OpKind::Discard).ops,
        discard_bytes: kind(OpKind::Discard).bytes,
        flushes: kind(OpKind::Flush).ops,
    }
}

/// What binds, most first.
fn limits(used: &Utilisation) -> Vec<Limit> {
    let named = [
        ("link up", used.link_up),
        ("link down", used.link_down),
        ("connection up", used.connection_bound_up),
        ("connection down", used.connection_bound_down),
        ("PUT rate", used.put_rate),
        ("GET rate", used.get_rate),
    ];
    let mut limits: Vec<Limit> = named
        .into_iter()
        .filter(|(_, share)| *share >= BINDING)
        .map(|(name, share)| Limit { name: name.to_owned(), share })
        .collect();
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    limits
}
