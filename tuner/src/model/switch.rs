//! A model around a local backend, switched on for what is measured only.
//!
//! Never changes an answer; switched off it is not there.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result as Checked;
use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

use super::settings::StoreModel;
use super::store::ModelStore;
use super::utilisation::Utilisation;

pub struct Switched {
    fast: Arc<dyn ObjectBackend>,
    /// Nothing: switched off. Locked only to look or to replace.
    slow: RwLock<Option<ModelStore>>,
    model: StoreModel,
    dilate: u32,
}

impl Switched {
    /// Switched off.
    ///
    /// # Errors
    /// What is wrong with the model.
    pub fn new(inner: Arc<dyn ObjectBackend>, model: StoreModel) -> Checked<Self> {
        Self::dilated(inner, model, 1)
    }

    /// Switched off; on a clock that is this much slower than the model's time.
    ///
    /// # Errors
    /// What is wrong with the model, or a `dilate` of 0.
    pub fn dilated(inner: Arc<dyn ObjectBackend>, model: StoreModel, dilate: u32) -> Checked<Self> {
        // Makes one, since that checks all there is to check.
        ModelStore::new(inner.clone(), &model, 0, dilate)?;
        Ok(Self { fast: inner, slow: RwLock::new(None), model, dilate })
    }

    /// What the model was used for since it was switched on; nothing while it is off.
    pub fn utilisation(&self) -> Option<Utilisation> {
        self.slow.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(ModelStore::utilisation)
    }

    /// Requests take their time from now on, drawn afresh from a seed: runs with the same seed meet the same weather.
    pub fn switch_on(&self, seed: u64) {
        let slow = ModelStore::new(self.fast.clone(), &self.model, seed, self.dilate);
        *self.slow.write().unwrap_or_else(PoisonError::into_inner) = Some(slow.expect("checked when this was made"));
    }

    pub fn is_on(&self) -> bool {
        self.slow.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Requests pass at the backend's own speed.
    pub fn switch_off(&self) {
        *self.slow.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with<T>(&self, call: impl FnOnce(&dyn ObjectBackend) -> T) -> T {
        match self.slow.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(slow) => call(slow),
            None => call(&*self.fast),
        }
    }
}

impl ObjectBackend for Switched {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.with(|inner| inner.get(key, condition, max_len))
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.with(|inner| inner.head(key))
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        self.with(|inner| inner.put(key, headers, body, condition))
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.with(|inner| inner.delete(key))
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.with(|inner| inner.delete_many(keys))
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.with(|inner| inner.list(prefix, after))
    }

    fn describe(&self) -> String {
        format!("{} behind {}", self.fast.describe(), self.model.describe())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3b_engine::clock;
    use s3b_engine::memory::Memory;

    use super::*;
    use crate::model::shipped;

    #[tokio::test(start_paused = true)]
    async fn it_has_the_speed_it_names_and_none_when_off() {
        let model = shipped::standard().with_first_byte_ms(100.0);
        let switched = Switched::new(Arc::new(Memory::new()), model).unwrap();
        switched.switch_on(1);
        let mut times = Vec::new();
        for key in 0..1000 {
            let start = clock::now();
            switched.head(&key.to_string()).await.unwrap();
            times.push(start.elapsed().as_millis());
        }
        times.sort_unstable();
        assert!((95..=105).contains(&times[500]) && (270..=370).contains(&times[990]), "{} {}", times[500], times[990]);
        let put = |len| switched.put("k", ObjectHeaders::default(), Bytes::from(vec![1; len]), PutIf::Always);
        let start = clock::now();
        put(85_000_000).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "85 MB at 85 MB/s");
        let start = clock::now();
        switched.sync().await.unwrap();
        switched.switch_off();
        put(85_000_000).await.unwrap();
        assert!(start.elapsed().is_zero());
    }
}
