//! A backend that takes the time of a model, around any backend that holds the objects.
//!
//! For virtual time above all: one future per request, no task, no allocation but that future, one timer where nothing is
//! crowded and two or three where the link is full; deterministic from its seed on a single-threaded runtime. It works in
//! real time too. Adds time and 503s, never changes what the inner backend answers; keeps no content.
//!
//! A request's life: counted, let through or refused by the rate limit (a refusal takes a service time as well); a
//! connection taken or opened; for a PUT its body carried up, then the service time, then the inner PUT; for the others
//! the service time, then the body carried down. A GET reads when it is sent, a PUT takes effect when it is answered.
//!
//! Beyond the runtime's own 0.6 us for a timer, a request costs about 0.5 us of CPU with 256 in flight on a free link,
//! and about 0.9 us and a second timer on a full one.
//!
//! Link sharing is exact ([`super::link`]); what is left is the timer's tick: every wait ends up to 1 ms of the runtime's
//! clock late, that is up to 1 us of the model's under `dilate` 1000.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use anyhow::{Result as Checked, ensure};
use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::{Error, Result};
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

use super::link::{Link, Look};
use super::settings::{Operation, StoreModel};
use super::tables::Tables;
use super::utilisation::{Flight, Utilisation, utilisation};
use super::weather::{Draws, Gate, Slowness, key_number};

/// Idle connections are dropped after this, as the engine's client does.
const IDLE_CONNECTION_S: f64 = 15.0;
/// And kept at most.
const IDLE_CONNECTIONS: usize = 128;

/// Bytes of a listing per key, XML around it.
const LISTED_KEY_BYTES: usize = 300;

/// The backend. Cloning shares everything.
#[derive(Clone)]
pub struct ModelStore {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn ObjectBackend>,
    tables: Tables,
    model: StoreModel,
    set_up_s: f64,
    epoch: Instant,
    dilate: f64,
    // One short lock: every step of a request is a few map and heap operations, far below a microsecond.
    state: Mutex<State>,
}

struct State {
    draws: Draws,
    slowness: Slowness,
    puts: Gate,
    gets: Gate,
    up: Link,
    down: Link,
    flight: Flight,
    /// When each idle connection became so; the last is taken first.
    idle: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Up,
    Down,
}

impl ModelStore {
    /// `dilate`: how many of the runtime's seconds one of the model's takes (1 in real time).
    ///
    /// # Errors
    /// What is wrong with the model, or a `dilate` of 0.
    pub fn new(inner: Arc<dyn ObjectBackend>, model: &StoreModel, seed: u64, dilate: u32) -> Checked<Self> {
        model.check()?;
        ensure!(dilate > 0, "dilate = 0: time would stand still; the least is 1");
        let network = &model.network;
        let state = State {
            draws: Draws::new(seed),
            slowness: Slowness::new(model.slow_periods.clone(), seed),
            puts: Gate::new(model.limits.put),
            gets: Gate::new(model.limits.get),
            up: Link::new(network.link_up_bytes_per_s, network.connection_up_bytes_per_s),
            down: Link::new(network.link_down_bytes_per_s, network.connection_down_bytes_per_s),
            flight: Flight::default(),
            idle: Vec::new(),
        };
        let shared = Shared {
            inner,
            tables: Tables::new(model),
            set_up_s: network.connection_set_up_ms / 1000.0,
            model: model.clone(),
            epoch: clock::now(),
            dilate: f64::from(dilate),
            state: Mutex::new(state),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Since it was made.
    pub fn utilisation(&self) -> Utilisation {
        let now = self.shared.now();
        let mut poked = Vec::new();
        let mut state = self.shared.lock();
        state.up.catch_up(now, &mut poked);
        state.down.catch_up(now, &mut poked);
        state.flight.count(now);
        let (used, gates) = ([state.up.used(), state.down.used()], [state.puts.used(), state.gets.used()]);
        let found = utilisation(now, &self.shared.model, &state.flight, used, gates);
        drop(state);
        poked.into_iter().for_each(Waker::wake);
        found
    }
}

impl State {
    fn link(&mut self, direction: Direction) -> &mut Link {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// Whether a new connection had to be opened.
    fn connect(&mut self, now: f64) -> bool {
        match self.idle.pop() {
            Some(since) if now - since <= IDLE_CONNECTION_S => false,
            // Those below it have been idle for longer.
            _ => {
                self.idle.clear();
                true
            }
        }
    }
}

/// What a request has met when it was sent.
struct Passage {
    shared: Arc<Shared>,
    operation: Operation,
    /// Seconds of the model's time, connection included.
    started: f64,
    in_flight: u32,
    luck: f64,
    slow_factor: f64,
    refused: bool,
    /// When it was answered; its connection can be used again.
    ended: Option<f64>,
    /// The latest time known: asking the clock costs more than all else that is done at an answer.
    latest: f64,
}

impl Shared {
    /// Seconds of the model's time.
    fn now(&self) -> f64 {
        clock::now().saturating_duration_since(self.epoch).as_secs_f64() / self.dilate
    }

    fn at(&self, seconds: f64) -> Instant {
        self.epoch + Duration::from_secs_f64(seconds * self.dilate)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(self: Arc<Self>, operation: Operation, key_number: u64) -> Passage {
        let now = self.now();
        let mut state = self.lock();
        let luck = state.draws.luck(key_number);
        let slow_factor = state.slowness.factor(now);
        let gate = if operation.is_write() { &mut state.puts } else { &mut state.gets };
        let refused = !gate.pass(now);
        let new_connection = state.connect(now);
        let in_flight = state.flight.begin(now, slow_factor > 1.0, new_connection);
        let set_up = if new_connection { self.set_up_s } else { 0.0 };
        drop(state);
        let started = now + set_up;
        let (ended, latest) = (None, now);
        Passage { shared: self, operation, started, in_flight, luck, slow_factor, refused, ended, latest }
    }
}

impl Passage {
    fn service_s(&self, size: u64) -> f64 {
        self.shared.tables.service_s(self.operation, size, self.in_flight, self.luck) * self.slow_factor
    }

    async fn until(&mut self, seconds: f64) {
        if seconds > self.latest {
            clock::sleep_until(self.shared.at(seconds)).await;
            self.latest = seconds;
        }
    }

    /// The time of a request without a body, and of one that is refused.
    async fn serve(&mut self, size: u64) {
        self.until(self.started + self.service_s(size)).await;
    }

    /// Returns when a body that begins at `begin` has been carried, and `then` seconds have passed.
    async fn carry(&mut self, direction: Direction, begin: f64, bytes: usize, then: f64) {
        if bytes == 0 {
            return self.until(begin + then).await;
        }
        let ended = Carried::new(&self.shared, direction, begin, bytes as f64, then).end().await;
        self.latest = self.latest.max(ended);
        if then > 0.0 {
            self.until(ended + then).await;
        }
    }

    async fn refuse<T>(mut self) -> Result<T> {
        self.serve(0).await;
        let refusal = self.refusal();
        self.end(Err(refusal))
    }

    fn refusal(&self) -> Error {
        let (kind, place) = (self.operation.name(), self.shared.inner.describe());
        Error::transient(format!("{kind} in {place}: 503 SlowDown (the model's request-rate limit)"))
    }

    /// Answered: the connection stays.
    fn end<T>(mut self, answer: T) -> T {
        self.ended = Some(self.latest);
        answer
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(|| self.shared.now());
        let mut state = self.shared.lock();
        state.flight.end(now);
        if self.ended.is_some() && state.idle.len() < IDLE_CONNECTIONS {
            state.idle.push(now);
        }
    }
}

/// A body on its link, until dropped.
struct Carried<'a> {
    shared: &'a Shared,
    direction: Direction,
    id: u32,
    forgotten: bool,
}

impl<'a> Carried<'a> {
    fn new(shared: &'a Shared, direction: Direction, begin: f64, bytes: f64, then: f64) -> Self {
        let id = shared.lock().link(direction).add(begin, bytes, then);
        Self { shared, direction, id, forgotten: false }
    }

    /// Returns at its end, and says when that was.
    async fn end(mut self) -> f64 {
        let shared = self.shared;
        let mut until = None;
        loop {
            let look = poll_fn(|context| match self.look(context.waker()) {
                Look::At(at) if until == Some(at) => Poll::Pending,
                Look::WhenPoked if until.is_none() => Poll::Pending,
                look => Poll::Ready(look),
            });
            let alarm = async {
                match until {
                    Some(at) => clock::sleep_until(shared.at(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                look = look => match look {
                    Look::Ended(at) => return at,
                    Look::At(at) => until = Some(at),
                    Look::WhenPoked => until = None,
                },
                () = alarm => until = None,
            }
        }
    }

    fn look(&mut self, waker: &Waker) -> Look {
        let now = self.shared.now();
        let mut poked = Vec::new();
        let look = self.shared.lock().link(self.direction).look(self.id, now, waker, &mut poked);
        self.forgotten = matches!(look, Look::Ended(_));
        // Not under the lock: a waker may do anything.
        poked.into_iter().for_each(Waker::wake);
        look
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        if self.forgotten {
            return;
        }
        let now = self.shared.now();
        let mut poked = Vec::new();
        self.shared.lock().link(self.direction).remove(self.id, now, &mut poked);
        poked.into_iter().for_each(Waker::wake);
    }
}

impl ObjectBackend for ModelStore {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (shared, number) = (self.shared.clone(), key_number(Operation::Get, key));
        let got = shared.inner.get(key, condition, max_len);
        Box::pin(async move {
            let mut passage = shared.send(Operation::Get, number);
            if passage.refused {
                return passage.refuse().await;
            }
            let got = got.await;
            let len = match &got {
                Ok(Got::Object(object)) => object.body.len(),
                _ => 0,
            };
            let first_byte = passage.started + passage.service_s(len as u64);
            passage.carry(Direction::Down, first_byte, len, 0.0).await;
            passage.end(got)
        })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let (shared, number) = (self.shared.clone(), key_number(Operation::Head, key));
        let info = shared.inner.head(key);
        Box::pin(async move {
            let mut passage = shared.send(Operation::Head, number);
            if passage.refused {
                return passage.refuse().await;
            }
            passage.serve(0).await;
            let answer = info.await;
            passage.end(answer)
        })
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (shared, number, len) = (self.shared.clone(), key_number(Operation::Put, key), body.len());
        let stored = shared.inner.put(key, headers, body, condition);
        Box::pin(async move {
            let mut passage = shared.send(Operation::Put, number);
            if passage.refused {
                return passage.refuse().await;
            }
            let service = passage.service_s(len as u64);
            passage.carry(Direction::Up, passage.started, len, service).await;
            let answer = stored.await;
            passage.end(answer)
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        let (shared, number) = (self.shared.clone(), key_number(Operation::Delete, key));
        let deleted = shared.inner.delete(key);
        Box::pin(async move {
            let mut passage = shared.send(Operation::Delete, number);
            if passage.refused {
                return passage.refuse().await;
            }
            passage.serve(0).await;
            let answer = deleted.await;
            passage.end(answer)
        })
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let first = keys.first().map_or("", String::as_str);
        let (shared, number, count) = (self.shared.clone(), key_number(Operation::BulkDelete, first), keys.len());
        let deleted = shared.inner.delete_many(keys);
        Box::pin(async move {
            let mut passage = shared.send(Operation::BulkDelete, number);
            passage.serve(count as u64).await;
            let answer = if passage.refused { vec![Err(passage.refusal()); count] } else { deleted.await };
            passage.end(answer)
        })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let start = if after.is_empty() { prefix } else { after };
        let (shared, number) = (self.shared.clone(), key_number(Operation::List, start));
        let page = shared.inner.list(prefix, after);
        Box::pin(async move {
            let mut passage = shared.send(Operation::List, number);
            if passage.refused {
                return passage.refuse().await;
            }
            let page = page.await;
            let keys = page.as_ref().map_or(0, |page| page.keys.len());
            let first_byte = passage.started + passage.service_s(keys as u64);
            passage.carry(Direction::Down, first_byte, keys * LISTED_KEY_BYTES, 0.0).await;
            passage.end(page)
        })
    }

    // A sync costs nothing: what a store has acknowledged is durable, and a local disk behind the model is not what
    // is measured.

    fn describe(&self) -> String {
        format!("{} behind {}", self.shared.inner.describe(), self.shared.model.describe())
    }
}

#[cfg(test)]
mod tests;
