//! Requests fail, by a seed or on command: before they did anything, after they did it (so the caller is in doubt), for
//! good, or all of them during an outage; and reads answer with what was there before. Never damages an object.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

mod control;

pub use control::{FaultControl, FaultRates};

pub struct Faults {
    inner: Arc<dyn ObjectBackend>,
    control: Arc<FaultControl>,
}

impl Faults {
    pub fn new(inner: Arc<dyn ObjectBackend>, rates: FaultRates, seed: u64) -> Self {
        Self { inner, control: Arc::new(FaultControl::new(rates, seed)) }
    }

    pub fn control(&self) -> Arc<FaultControl> {
        self.control.clone()
    }

    fn read<T: Send + 'static>(&self, request: BoxFuture<'static, Result<T>>) -> BoxFuture<'static, Result<T>> {
        let control = self.control.clone();
        Box::pin(async move {
            control.before(false)?;
            let answer = request.await;
            control.after()?;
            answer
        })
    }

    /// One answer for all `keys`.
    fn change<T: Send + 'static>(
        &self,
        keys: Vec<String>,
        request: BoxFuture<'static, T>,
    ) -> BoxFuture<'static, Result<T>> {
        let (control, inner) = (self.control.clone(), self.inner.clone());
        Box::pin(async move {
            control.before(true)?;
            if control.rates().stale > 0.0 {
                for key in keys {
                    if let Ok(got) = inner.get(&key, GetIf::Always, usize::MAX / 2).await {
                        let previous = if let Got::Object(object) = got { Some(object) } else { None };
                        control.remember(key, previous);
                    }
                }
            }
            let answer = request.await;
            control.after()?;
            Ok(answer)
        })
    }
}

impl ObjectBackend for Faults {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (control, key_text) = (self.control.clone(), key.to_owned());
        let request = self.inner.get(key, condition, max_len);
        self.read(Box::pin(async move {
            match control.stale(&key_text, condition) {
                Some(stale) => Ok(stale),
                None => request.await,
            }
        }))
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.read(self.inner.head(key))
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let stored = self.change(vec![key.to_owned()], self.inner.put(key, headers, body, condition));
        Box::pin(async move { stored.await? })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        let deleted = self.change(vec![key.to_owned()], self.inner.delete(key));
        Box::pin(async move { deleted.await? })
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let asked = keys.len();
        let deleted = self.change(keys.clone(), self.inner.delete_many(keys));
        Box::pin(async move { deleted.await.unwrap_or_else(|error| vec![Err(error); asked]) })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.read(self.inner.list(prefix, after))
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.read(self.inner.sync())
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::memory::Memory;

    fn faults(rates: FaultRates) -> (Memory, Faults, Arc<FaultControl>) {
        let memory = Memory::new();
        let faults = Faults::new(Arc::new(memory.clone()), rates, 7);
        let control = faults.control();
        (memory, faults, control)
    }

    async fn put(faults: &Faults, key: &str, body: &'static str) -> Result<Option<ETag>> {
        faults.put(key, ObjectHeaders::default(), body.into(), PutIf::Always).await
    }

    #[tokio::test]
    async fn before_has_no_effect_and_after_has_one() {
        let (memory, all, control) = faults(FaultRates { before: 1.0, ..Default::default() });
        assert!(put(&all, "k", "x").await.unwrap_err().is_transient());
        assert_eq!(memory.keys(), [""; 0]);
        control.set_rates(FaultRates { after: 1.0, ..Default::default() });
        assert!(put(&all, "k", "x").await.is_err());
        assert_eq!(memory.keys(), ["k"]);
        assert!(all.delete_many(vec!["k".into(), "l".into()]).await.iter().all(Result::is_err));
        assert_eq!(memory.keys(), [""; 0]);
        assert_eq!(control.injected.get(), 3);
    }

    #[tokio::test]
    async fn the_seed_decides_and_the_share_is_right() {
        let mut stories = Vec::new();
        for _ in 0..2 {
            let (_, some, _) = faults(FaultRates::of_test(0.05));
            let mut story = Vec::new();
            for _ in 0..4000 {
                story.push(some.head("k").await.is_err());
            }
            let failed = story.iter().filter(|failed| **failed).count();
            assert!((150..250).contains(&failed), "{failed}");
            stories.push(story);
        }
        assert_eq!(stories[0], stories[1]);
    }

    #[tokio::test]
    async fn stale_reads_answer_as_the_older_object_would() {
        let (_, all, control) = faults(FaultRates { stale: 1.0, ..Default::default() });
        put(&all, "k", "old").await.unwrap();
        assert_eq!(all.get("k", GetIf::Always, 9).await.unwrap(), Got::Absent);
        let new = put(&all, "k", "new").await.unwrap().unwrap();
        let Got::Object(stale) = all.get("k", GetIf::Always, 9).await.unwrap() else { panic!() };
        assert_eq!(stale.body, "old");
        assert_eq!(all.get("k", GetIf::Matches(new), 9).await.unwrap(), Got::Mismatch);
        assert_eq!(all.get("k", GetIf::Differs(stale.etag.unwrap()), 9).await.unwrap(), Got::NotModified);
        control.set_rates(FaultRates::default());
        assert!(matches!(all.get("k", GetIf::Matches(new), 9).await.unwrap(), Got::Object(_)));
    }

    #[tokio::test]
    async fn outages_and_refusals_end_when_they_are_switched_off() {
        let (_, all, control) = faults(FaultRates::default());
        control.set_outage(true);
        assert!(all.list("", "").await.unwrap_err().is_transient());
        control.set_outage(false);
        control.refuse_writes(Some(ErrorKind::Denied));
        assert_eq!(put(&all, "k", "x").await.unwrap_err().kind(), ErrorKind::Denied);
        assert!(all.head("k").await.is_ok());
        control.refuse_writes(None);
        put(&all, "k", "x").await.unwrap();
    }
}
