//! A model of an object store's speed around any backend: time to the first byte, bandwidth of a connection, and of
//! the link that all connections share.
//!
//! Adds waiting, never changes an answer. Latencies are drawn from a skewed distribution by a seed, one draw a
//! request. It can be switched off while a run prepares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::clock::{self, Instant};
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use s3b_scenarios::random::Random;
use serde::Serialize;

/// The numbers of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ModelSettings {
    /// Median time to the first byte of an answer.
    pub latency_us: u64,
    /// Bytes per second of one connection.
    pub connection_bytes_per_s: u64,
    /// Bytes per second of all connections together, each direction.
    pub link_bytes_per_s: u64,
    pub seed: u64,
}

impl Default for ModelSettings {
    /// S3 STANDARD from a machine in its region with a 1 Gbit/s link: 30 ms is the fast end of the 30-200 ms that
    /// first bytes take; a connection moves 85-90 MB/s.
    fn default() -> Self {
        Self { latency_us: 30_000, connection_bytes_per_s: 85_000_000, link_bytes_per_s: 125_000_000, seed: 1 }
    }
}

impl ModelSettings {
    pub fn describe(&self) -> String {
        format!(
            "a model of S3 (first byte {} ms in the median, {} MB/s a connection, {} MB/s a link)",
            self.latency_us as f64 / 1e3,
            self.connection_bytes_per_s / 1_000_000,
            self.link_bytes_per_s / 1_000_000
        )
    }
}

/// Out of 1024 requests, how many take how much of the median: p10 0.8, p90 1.5, p99 3, the slowest 6. The shape of
/// published S3 latency curves, not a measurement of anybody's bucket.
const SPREAD: [(u64, u64, u64); 6] =
    [(0, 70, 80), (102, 80, 100), (512, 100, 150), (922, 150, 300), (1014, 300, 600), (1024, 600, 600)];

pub struct Model {
    inner: Arc<dyn ObjectBackend>,
    shared: Arc<Shared>,
}

struct Shared {
    settings: ModelSettings,
    on: AtomicBool,
    /// Locked only to draw a number or book time.
    state: Mutex<State>,
}

struct State {
    random: Random,
    upload_free: Option<Instant>,
    download_free: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

impl Model {
    /// Switched on.
    pub fn new(inner: Arc<dyn ObjectBackend>, settings: ModelSettings) -> Self {
        let state = State { random: Random::new(settings.seed), upload_free: None, download_free: None };
        Self { inner, shared: Arc::new(Shared { settings, on: AtomicBool::new(true), state: Mutex::new(state) }) }
    }

    /// Off, requests pass at the backend's own speed.
    pub fn switch(&self, on: bool) {
        self.shared.on.store(on, Ordering::Relaxed);
    }

    /// Waits as a request that sends or gets this many bytes would; `direction` is that of its body.
    fn delayed<T: Send + 'static>(
        &self,
        answer: BoxFuture<'static, T>,
        bytes: impl FnOnce(&T) -> u64 + Send + 'static,
        direction: Direction,
    ) -> BoxFuture<'static, T> {
        let shared = self.shared.clone();
        Box::pin(async move {
            if !shared.on.load(Ordering::Relaxed) {
                return answer.await;
            }
            let begin = clock::now();
            let answer = answer.await;
            let end = shared.book(begin, bytes(&answer), direction);
            clock::sleep_until(end).await;
            answer
        })
    }
}

impl Shared {
    /// When a request begun at `begin` ends.
    fn book(&self, begin: Instant, bytes: u64, direction: Direction) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let draw = state.random.below(1024);
        let percent = percent_of_median(draw);
        let first_byte = Duration::from_micros(self.settings.latency_us * percent / 100);
        let on_connection = transfer(bytes, self.settings.connection_bytes_per_s);
        let on_link = transfer(bytes, self.settings.link_bytes_per_s);
        // Bodies pass the link one after the other; what waits for the link does not wait for latency as well.
        let free = match direction {
            Direction::Up => &mut state.upload_free,
            Direction::Down => &mut state.download_free,
        };
        let through = free.map_or(begin, |free| free.max(begin)) + on_link;
        *free = Some(through);
        (begin + on_connection).max(through) + first_byte
    }
}

/// Linear between the corners of [`SPREAD`].
fn percent_of_median(draw: u64) -> u64 {
    let upper = SPREAD.iter().position(|(at, ..)| *at > draw).unwrap_or(SPREAD.len() - 1);
    let ((from, low, high), (to, ..)) = (SPREAD[upper - 1], SPREAD[upper]);
    low + (high - low) * (draw - from) / (to - from)
}

fn transfer(bytes: u64, bytes_per_s: u64) -> Duration {
    Duration::from_nanos((u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_s.max(1))) as u64)
}

impl ObjectBackend for Model {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let bytes = |answer: &Result<Got>| match answer {
            Ok(Got::Object(object)) => object.body.len() as u64,
            _ => 0,
        };
        self.delayed(self.inner.get(key, condition, max_len), bytes, Direction::Down)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.delayed(self.inner.head(key), |_| 0, Direction::Down)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let bytes = body.len() as u64;
        self.delayed(self.inner.put(key, headers, body, condition), move |_| bytes, Direction::Up)
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.delayed(self.inner.delete(key), |_| 0, Direction::Up)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.delayed(self.inner.delete_many(keys), |_| 0, Direction::Up)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.delayed(self.inner.list(prefix, after), |_| 0, Direction::Down)
    }

    /// Nothing: what S3 acknowledged is durable. The local disk behind the model is not what is measured.
    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn describe(&self) -> String {
        format!("{} behind {}", self.inner.describe(), self.shared.settings.describe())
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use s3b_engine::memory::Memory;

    use super::*;

    const BLOCK: usize = 1_000_000;

    fn model(latency_ms: u64) -> Model {
        let settings = ModelSettings {
            latency_us: latency_ms * 1000,
            connection_bytes_per_s: 10_000_000,
            link_bytes_per_s: 40_000_000,
            ..ModelSettings::default()
        };
        Model::new(Arc::new(Memory::new()), settings)
    }

    fn put(model: &Model, key: usize) -> BoxFuture<'static, Result<Option<ETag>>> {
        model.put(&key.to_string(), ObjectHeaders::default(), Bytes::from(vec![1; BLOCK]), PutIf::Always)
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_and_the_link_have_their_speeds() {
        let model = model(0);
        let start = clock::now();
        put(&model, 0).await.unwrap();
        assert_eq!(start.elapsed().as_millis(), 100, "1 MB at 10 MB/s");
        let start = clock::now();
        join_all((0..40).map(|key| put(&model, key))).await;
        assert_eq!(start.elapsed().as_millis(), 1000, "40 MB over a link of 40 MB/s");
        model.switch(false);
        let start = clock::now();
        put(&model, 0).await.unwrap();
        assert!(start.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn latencies_have_the_promised_median_and_tail() {
        let model = model(100);
        let mut times = Vec::new();
        for key in 0..2000 {
            let start = clock::now();
            model.head(&key.to_string()).await.unwrap();
            times.push(start.elapsed().as_millis());
        }
        times.sort_unstable();
        assert!((97..=105).contains(&times[1000]), "median {}", times[1000]);
        assert!((250..=400).contains(&times[1980]), "p99 {}", times[1980]);
        assert!(times[0] >= 70 && times[1999] <= 600, "{} to {}", times[0], times[1999]);
    }
}
