//! Which fault comes next: shares drawn from a seed, and switches. Does no I/O.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::error::{Error, ErrorKind, Result};
use crate::object::{GetIf, Got, Object};
use crate::stats::Counter;

/// Shares of requests, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Fail without effect.
    pub before: f64,
    /// Take effect and fail.
    pub after: f64,
    /// Of GETs: answer with the object before the last PUT or DELETE.
    pub stale: f64,
}

impl FaultRates {
    /// `--test-errors=P`: half of the failures have taken effect.
    pub fn of_test(share: f64) -> Self {
        Self { before: share / 2.0, after: share / 2.0, stale: 0.0 }
    }
}

/// The switches, for a test to hold on to.
pub struct FaultControl {
    rng: Mutex<StdRng>,
    rates: Mutex<FaultRates>,
    outage: AtomicBool,
    refusal: Mutex<Option<ErrorKind>>,
    /// What each changed key held before; kept while stale reads are on.
    previous: Mutex<BTreeMap<String, Option<Object>>>,
    /// Faults so far.
    pub injected: Counter,
}

impl FaultControl {
    pub(super) fn new(rates: FaultRates, seed: u64) -> Self {
        Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            rates: Mutex::new(rates),
            outage: AtomicBool::new(false),
            refusal: Mutex::new(None),
            previous: Mutex::default(),
            injected: Counter::default(),
        }
    }

    /// Nothing gets through, and what is under way loses its answer.
    pub fn set_outage(&self, on: bool) {
        self.outage.store(on, SeqCst);
    }

    /// From now on; set them before the first write for stale reads of it.
    pub fn set_rates(&self, rates: FaultRates) {
        *self.rates.lock() = rates;
    }

    /// Every PUT and DELETE fails with this, until it is taken back with `None`.
    pub fn refuse_writes(&self, kind: Option<ErrorKind>) {
        *self.refusal.lock() = kind;
    }

    pub(super) fn rates(&self) -> FaultRates {
        *self.rates.lock()
    }

    fn drawn(&self, share: f64) -> bool {
        let hit = share > 0.0 && self.rng.lock().random::<f64>() < share;
        if hit {
            self.injected.increment();
        }
        hit
    }

    fn down(&self) -> Result<()> {
        if self.outage.load(SeqCst) { Err(Error::transient("injected fault: outage")) } else { Ok(()) }
    }

    pub(super) fn before(&self, write: bool) -> Result<()> {
        self.down()?;
        if let Some(kind) = write.then(|| *self.refusal.lock()).flatten() {
            return Err(Error::new(kind, "injected fault: refused"));
        }
        if self.drawn(self.rates().before) {
            return Err(Error::transient("injected fault: not done"));
        }
        Ok(())
    }

    pub(super) fn after(&self) -> Result<()> {
        self.down()?;
        if self.drawn(self.rates().after) { Err(Error::transient("injected fault: answer lost")) } else { Ok(()) }
    }

    /// What a key held before the change that is about to happen.
    pub(super) fn remember(&self, key: String, previous: Option<Object>) {
        self.previous.lock().insert(key, previous);
    }

    /// What a stale read answers, if this one is to be stale.
    pub(super) fn stale(&self, key: &str, condition: GetIf) -> Option<Got> {
        let previous = self.previous.lock().get(key).cloned()?;
        if !self.drawn(self.rates().stale) {
            return None;
        }
        let etag = previous.as_ref().and_then(|object| object.etag);
        Some(match (previous, condition) {
            (None, _) => Got::Absent,
            (Some(_), GetIf::Matches(expected)) if etag != Some(expected) => Got::Mismatch,
            (Some(_), GetIf::Differs(known)) if etag == Some(known) => Got::NotModified,
            (Some(object), _) => Got::Object(object),
        })
    }
}
