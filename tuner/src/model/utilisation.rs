//! What the parts of a model were used for: which limit binds. Pure.

use serde::Serialize;

use super::link::Used;
use super::settings::{RateLimit, StoreModel};
use super::weather::GateUse;

/// What the model's parts were used for, so that an answer can name the limit that binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Utilisation {
    /// Seconds of the model's time since it was made.
    pub seconds: f64,
    pub requests: u64,
    /// On average over the time.
    pub in_flight_mean: f64,
    pub in_flight_most: u32,
    pub connections_opened: u64,
    /// Bytes carried, as a share of what the link could have carried. 0 to 1, as all shares here.
    pub link_up: f64,
    pub link_down: f64,
    /// Share of the time in which the link set the speed of transfers.
    pub link_full_up: f64,
    pub link_full_down: f64,
    /// Share of the time in which there were transfers and each moved as fast as one connection can.
    pub connection_bound_up: f64,
    pub connection_bound_down: f64,
    /// Requests as a share of what the limit lets through; 0 without a limit.
    pub put_rate: f64,
    pub get_rate: f64,
    /// Share of the time in which a request would have been refused.
    pub put_rate_shut: f64,
    pub get_rate_shut: f64,
    /// Requests answered with 503.
    pub throttled_puts: u64,
    pub throttled_gets: u64,
    /// Share of the requests that were sent in a slow period.
    pub slow_requests: f64,
}

/// Requests sent and not yet answered, and how many there were.
#[derive(Default)]
pub struct Flight {
    now: u32,
    most: u32,
    /// Integral of `now` over time, and up to when.
    flown_s: f64,
    until: f64,
    requests: u64,
    slow: u64,
    opened: u64,
}

impl Flight {
    /// One more is sent. Answers how many are under way, this one included.
    pub fn begin(&mut self, now: f64, slow: bool, new_connection: bool) -> u32 {
        self.count(now);
        self.requests += 1;
        self.slow += u64::from(slow);
        self.opened += u64::from(new_connection);
        self.now += 1;
        self.most = self.most.max(self.now);
        self.now
    }

    pub fn end(&mut self, now: f64) {
        self.count(now);
        self.now -= 1;
    }

    /// Counts up to `now`.
    pub fn count(&mut self, now: f64) {
        self.flown_s += f64::from(self.now) * (now - self.until).max(0.0);
        self.until = self.until.max(now);
    }
}

/// What `model` was used for up to `now`, in seconds of its time since it began.
pub fn utilisation(now: f64, model: &StoreModel, flight: &Flight, used: [Used; 2], gates: [GateUse; 2]) -> Utilisation {
    let share = |part: f64| if now > 0.0 { part / now } else { 0.0 };
    let ([up, down], [puts, gets]) = (used, gates);
    let rate = |asked: u64, refused: u64, limit: Option<RateLimit>| {
        limit.map_or(0.0, |limit| share((asked - refused) as f64 / limit.per_s))
    };
    Utilisation {
        seconds: now,
        requests: flight.requests,
        in_flight_mean: share(flight.flown_s),
        in_flight_most: flight.most,
        connections_opened: flight.opened,
        link_up: share(up.bytes / model.network.link_up_bytes_per_s),
        link_down: share(down.bytes / model.network.link_down_bytes_per_s),
        link_full_up: share(up.full_s),
        link_full_down: share(down.full_s),
        connection_bound_up: share(up.busy_s - up.full_s),
        connection_bound_down: share(down.busy_s - down.full_s),
        put_rate: rate(puts.asked, puts.refused, model.limits.put),
        get_rate: rate(gets.asked, gets.refused, model.limits.get),
        put_rate_shut: share(puts.shut_s),
        get_rate_shut: share(gets.shut_s),
        throttled_puts: puts.refused,
        throttled_gets: gets.refused,
        slow_requests: if flight.requests > 0 { flight.slow as f64 / flight.requests as f64 } else { 0.0 },
    }
}
