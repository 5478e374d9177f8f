//! The store of a story: objects that survive crashes, and on top of them latency, faults and a record of all requests.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::memory::Memory;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use s3b_engine::wrap::{Delay, Delays, FaultControl, FaultRates, Faults, Latency, Spread};

/// More requests than any story needs: something goes round in circles.
const MOST_EVENTS: usize = 200_000;

/// What happened, in order, with virtual times in microseconds.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    pub fn add(&self, text: String) {
        let mut events = self.0.lock();
        events.push(text);
        assert!(events.len() < MOST_EVENTS, "the engine runs in circles: {:?}", &events[MOST_EVENTS - 20..]);
    }

    pub fn tail(&self, count: usize) -> Vec<String> {
        let events = self.0.lock();
        events[events.len().saturating_sub(count)..].to_vec()
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Writes down every request, its answer, and when.
struct Recording {
    inner: Arc<dyn ObjectBackend>,
    events: Events,
    start: Instant,
}

impl Recording {
    fn record<T: Send + 'static>(
        &self,
        request: String,
        call: BoxFuture<'static, T>,
        told: impl FnOnce(&T) -> String + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let (events, start) = (self.events.clone(), self.start);
        Box::pin(async move {
            events.add(format!("{} {request}", (clock::now() - start).as_micros()));
            let answer = call.await;
            events.add(format!("{} {request}: {}", (clock::now() - start).as_micros(), told(&answer)));
            answer
        })
    }
}

fn outcome<T>(answer: &Result<T>) -> String {
    match answer {
        Ok(_) => "ok".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// Bodies of blocks are reproducible; those of token and superblock hold random numbers.
fn fingerprint(key: &str, body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    if !key.contains("s3b") {
        body.hash(&mut hasher);
    }
    hasher.finish()
}

impl ObjectBackend for Recording {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let told = |got: &Result<Got>| match got {
            Ok(Got::Object(object)) => format!("{} bytes", object.body.len()),
            other => outcome(other),
        };
        self.record(format!("get {key} {condition:?}"), self.inner.get(key, condition, max_len), told)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.record(format!("head {key}"), self.inner.head(key), outcome)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let request = format!("put {key} {:x}", fingerprint(key, &body));
        self.record(request, self.inner.put(key, headers, body, condition), outcome)
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.record(format!("delete {key}"), self.inner.delete(key), outcome)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let request = format!("delete {keys:?}");
        self.record(request, self.inner.delete_many(keys), |answers| answers.iter().map(outcome).collect())
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.record(format!("list {prefix} {after}"), self.inner.list(prefix, after), outcome)
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.record("sync".into(), self.inner.sync(), outcome)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The backend of one life, and the switch of its faults, which are off.
pub fn troubled(
    objects: &Memory,
    slowest: Duration,
    seed: u64,
    events: &Events,
) -> (Arc<dyn ObjectBackend>, Arc<FaultControl>) {
    let delay = Delay { fixed: Duration::ZERO, spread: Spread::Uniform(slowest) };
    let slow = Latency::new(Arc::new(objects.clone()), Delays::all(delay), seed);
    let faults = Faults::new(Arc::new(slow), FaultRates::default(), seed);
    let control = faults.control();
    let recording = Recording { inner: Arc::new(faults), events: events.clone(), start: clock::now() };
    (Arc::new(recording), control)
}

/// The same objects, apart from the original.
pub fn copy_of(objects: &Memory) -> Memory {
    let copy = Memory::new();
    for (key, object) in objects.objects() {
        copy.insert(&key, object.headers, object.body);
    }
    copy
}

/// What an operator does after a crash: the token of the dead mount goes.
pub fn remove_token(objects: &Memory) {
    for key in objects.keys() {
        if key.contains("mounted") {
            objects.remove(&key);
        }
    }
}
