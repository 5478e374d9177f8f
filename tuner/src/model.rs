//! A model of S3's speed around a local backend, made of the engine's own wrappers: time to the first byte, bandwidth
//! of a connection, and of the link that all connections share.
//!
//! Adds waiting, never changes an answer. It is switched on for what is measured only. A sync costs nothing: what S3
//! has acknowledged is durable, and the local disk behind the model is not what is measured.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use s3b_engine::wrap::{Bandwidth, Delay, Delays, Latency, Speeds, Spread};

/// The numbers of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSettings {
    /// Median time to the first byte of an answer.
    pub latency: Duration,
    /// Bytes per second of one connection.
    pub connection_bytes_per_s: u64,
    /// Bytes per second of all connections together, each direction.
    pub link_bytes_per_s: u64,
}

/// The 99th percentile is 2.5 medians: a calm hour of S3, not a measurement of anybody's bucket.
const SIGMA: f64 = 0.4;

impl Default for ModelSettings {
    /// S3 STANDARD from a machine in its region with a 1 Gbit/s link: 30 ms is the fast end of the 30-200 ms that
    /// first bytes take; a connection moves 85-90 MB/s.
    fn default() -> Self {
        let latency = Duration::from_millis(30);
        Self { latency, connection_bytes_per_s: 85_000_000, link_bytes_per_s: 125_000_000 }
    }
}

impl ModelSettings {
    pub fn describe(&self) -> String {
        format!(
            "a model of S3 (first byte {:?} in the median, {} MB/s a connection, {} MB/s a link)",
            self.latency,
            self.connection_bytes_per_s / 1_000_000,
            self.link_bytes_per_s / 1_000_000
        )
    }

    fn delays(&self) -> Delays {
        let delay = Delay { fixed: Duration::ZERO, spread: Spread::LogNormal { median: self.latency, sigma: SIGMA } };
        Delays { get: delay, put: delay, delete: delay, list: delay, sync: Delay::default() }
    }

    fn speeds(&self) -> Speeds {
        let (one, all) = (Some(self.connection_bytes_per_s), Some(self.link_bytes_per_s));
        Speeds { up: one, down: one, total_up: all, total_down: all }
    }
}

pub struct Model {
    fast: Arc<dyn ObjectBackend>,
    /// Nothing: switched off. Locked only to look or to replace.
    slow: RwLock<Option<Arc<dyn ObjectBackend>>>,
    settings: ModelSettings,
}

impl Model {
    /// Switched off.
    pub fn new(inner: Arc<dyn ObjectBackend>, settings: ModelSettings) -> Self {
        Self { fast: inner, slow: RwLock::new(None), settings }
    }

    /// Requests take their time from now on, drawn afresh from a seed: runs with the same seed meet the same weather,
    /// as far as they send the same requests.
    pub fn switch_on(&self, seed: u64) {
        let latency = Latency::new(self.fast.clone(), self.settings.delays(), seed);
        let slow = Arc::new(Bandwidth::new(Arc::new(latency), self.settings.speeds()));
        *self.slow.write().unwrap_or_else(PoisonError::into_inner) = Some(slow);
    }

    /// Requests pass at the backend's own speed.
    pub fn switch_off(&self) {
        *self.slow.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn inner(&self) -> Arc<dyn ObjectBackend> {
        let slow = self.slow.read().unwrap_or_else(PoisonError::into_inner);
        slow.as_ref().unwrap_or(&self.fast).clone()
    }
}

impl ObjectBackend for Model {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.inner().get(key, condition, max_len)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.inner().head(key)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.inner().put(key, headers, body, condition)
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.inner().delete(key)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.inner().delete_many(keys)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.inner().list(prefix, after)
    }

    fn describe(&self) -> String {
        format!("{} behind {}", self.fast.describe(), self.settings.describe())
    }
}

#[cfg(test)]
mod tests {
    use s3b_engine::clock;
    use s3b_engine::memory::Memory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_has_the_speed_it_names_and_none_when_off() {
        let settings = ModelSettings { latency: Duration::from_millis(100), ..ModelSettings::default() };
        let model = Model::new(Arc::new(Memory::new()), settings);
        model.switch_on(1);
        let mut times = Vec::new();
        for key in 0..1000 {
            let start = clock::now();
            model.head(&key.to_string()).await.unwrap();
            times.push(start.elapsed().as_millis());
        }
        times.sort_unstable();
        assert!((90..=110).contains(&times[500]) && (200..=320).contains(&times[990]), "{} {}", times[500], times[990]);
        let put = |len| model.put("k", ObjectHeaders::default(), Bytes::from(vec![1; len]), PutIf::Always);
        let start = clock::now();
        put(85_000_000).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "85 MB at 85 MB/s");
        let start = clock::now();
        model.sync().await.unwrap();
        model.switch_off();
        put(85_000_000).await.unwrap();
        assert!(start.elapsed().is_zero());
    }
}
