//! Every request takes a time first: a fixed part and a random one, drawn from a seed. Requests do not wait for each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock;
use crate::error::Result;
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use crate::settings::TestSettings;

/// A time to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delay {
    pub fixed: Duration,
    pub spread: Spread,
}

/// The random part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Spread {
    #[default]
    None,
    /// From zero to this.
    Uniform(Duration),
    /// With this mean.
    Exponential(Duration),
    /// With this median; `sigma` 0.5 gives a 99th percentile of 3.2 medians, 1.0 one of 10.
    LogNormal { median: Duration, sigma: f64 },
}

/// The times of the kinds of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delays {
    /// GET and HEAD.
    pub get: Delay,
    pub put: Delay,
    /// DELETE, single and bulk.
    pub delete: Delay,
    pub list: Delay,
    /// Making a local directory durable.
    pub sync: Delay,
}

pub struct Latency {
    inner: Arc<dyn ObjectBackend>,
    delays: Delays,
    // Draws are made in the order of the calls, so that one seed is one story.
    rng: Mutex<StdRng>,
}

impl Delay {
    pub fn fixed(fixed: Duration) -> Self {
        Self { fixed, spread: Spread::None }
    }

    fn draw(&self, rng: &mut StdRng) -> Duration {
        // Never exactly zero, for the logarithm.
        let mut unit = || 1.0 - rng.random::<f64>();
        let random = match self.spread {
            Spread::None => Duration::ZERO,
            Spread::Uniform(longest) => longest.mul_f64(unit()),
            Spread::Exponential(mean) => mean.mul_f64(-unit().ln()),
            Spread::LogNormal { median, sigma } => {
                // Box and Muller.
                let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
                median.mul_f64((sigma * normal).exp())
            }
        };
        self.fixed + random
    }
}

impl Delays {
    /// The same for every kind.
    pub fn all(delay: Delay) -> Self {
        Self { get: delay, put: delay, delete: delay, list: delay, sync: Delay::default() }
    }

    /// `--test-delays`: anything up to 199 ms.
    pub fn of_test() -> Self {
        Self::all(Delay { fixed: Duration::ZERO, spread: Spread::Uniform(TestSettings::LONGEST_DELAY) })
    }
}

impl Latency {
    pub fn new(inner: Arc<dyn ObjectBackend>, delays: Delays, seed: u64) -> Self {
        Self { inner, delays, rng: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    fn after<T: Send + 'static>(&self, delay: Delay, request: BoxFuture<'static, T>) -> BoxFuture<'static, T> {
        let pause = delay.draw(&mut self.rng.lock());
        if pause.is_zero() {
            return request;
        }
        Box::pin(async move {
            clock::sleep(pause).await;
            request.await
        })
    }
}

impl ObjectBackend for Latency {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.after(self.delays.get, self.inner.get(key, condition, max_len))
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.after(self.delays.get, self.inner.head(key))
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.after(self.delays.put, self.inner.put(key, headers, body, condition))
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.after(self.delays.delete, self.inner.delete(key))
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.after(self.delays.delete, self.inner.delete_many(keys))
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.after(self.delays.list, self.inner.list(prefix, after))
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.after(self.delays.sync, self.inner.sync())
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn requests_side_by_side_wait_side_by_side() {
        let latency = Latency::new(Arc::new(Memory::new()), Delays::all(Delay::fixed(20 * MS)), 1);
        let start = clock::now();
        let (got, listed) = tokio::join!(latency.get("k", GetIf::Always, 1), latency.list("", ""));
        assert!(got.is_ok() && listed.is_ok());
        assert_eq!(clock::now() - start, 20 * MS);
    }

    #[test]
    fn a_seed_fixes_the_draws_and_they_have_their_mean() {
        let draws = |spread, seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let delay = Delay { fixed: 5 * MS, spread };
            (0..20_000).map(|_| delay.draw(&mut rng)).collect::<Vec<_>>()
        };
        for (spread, mean) in [
            (Spread::Uniform(20 * MS), 15.0),
            (Spread::Exponential(20 * MS), 25.0),
            (Spread::LogNormal { median: 20 * MS, sigma: 0.5 }, 27.66),
        ] {
            let drawn = draws(spread, 3);
            assert_eq!(drawn, draws(spread, 3));
            assert_ne!(drawn, draws(spread, 4));
            let found = drawn.iter().sum::<Duration>().as_secs_f64() * 1000.0 / drawn.len() as f64;
            assert!((found - mean).abs() < 0.5, "{spread:?}: {found}");
        }
    }
}
