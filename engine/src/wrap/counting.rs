//! Counts requests, bytes and requests in flight. Changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use crate::stats::Counter;

/// What went through. A request counts when it starts, its bytes when it has succeeded.
#[derive(Debug, Default)]
pub struct Counts {
    pub gets: Counter,
    pub heads: Counter,
    pub puts: Counter,
    /// Single ones.
    pub deletes: Counter,
    pub bulk_deletes: Counter,
    /// Keys in bulk deletes.
    pub bulk_deleted_keys: Counter,
    pub lists: Counter,
    pub syncs: Counter,
    pub get_bytes: Counter,
    pub put_bytes: Counter,
    /// Requests (keys, in bulk deletes) that failed.
    pub errors: Counter,
    flight: Flight,
}

#[derive(Debug, Default)]
struct Flight {
    now: AtomicU64,
    gets_now: AtomicU64,
    most: AtomicU64,
    most_gets: AtomicU64,
}

/// One request in flight; also ends when its future is dropped.
struct InFlight {
    counts: Arc<Counts>,
    get: bool,
}

impl Counts {
    /// Requests of any kind, as a store bills them.
    pub fn requests(&self) -> u64 {
        [&self.gets, &self.heads, &self.puts, &self.deletes, &self.bulk_deletes, &self.lists]
            .map(Counter::get)
            .iter()
            .sum()
    }

    /// Requests begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.flight.now.load(SeqCst)
    }

    /// The most requests there were in flight at one time.
    pub fn most_in_flight(&self) -> u64 {
        self.flight.most.load(SeqCst)
    }

    /// The same of GETs alone.
    pub fn most_gets_in_flight(&self) -> u64 {
        self.flight.most_gets.load(SeqCst)
    }

    fn enter(self: &Arc<Self>, get: bool) -> InFlight {
        let now = self.flight.now.fetch_add(1, SeqCst) + 1;
        self.flight.most.fetch_max(now, SeqCst);
        if get {
            let gets = self.flight.gets_now.fetch_add(1, SeqCst) + 1;
            self.flight.most_gets.fetch_max(gets, SeqCst);
        }
        InFlight { counts: self.clone(), get }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counts.flight.now.fetch_sub(1, SeqCst);
        if self.get {
            self.counts.flight.gets_now.fetch_sub(1, SeqCst);
        }
    }
}

pub struct Counting {
    inner: Arc<dyn ObjectBackend>,
    counts: Arc<Counts>,
}

impl Counting {
    pub fn new(inner: Arc<dyn ObjectBackend>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Counts `request` from its first poll on, and what `done` makes of its success.
    fn count<T: Send + 'static>(
        &self,
        requests: fn(&Counts) -> &Counter,
        request: BoxFuture<'static, Result<T>>,
        done: impl FnOnce(&Counts, &T) + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let counts = self.counts.clone();
        Box::pin(async move {
            requests(&counts).increment();
            let _in_flight = counts.enter(std::ptr::eq(requests(&counts), &counts.gets));
            let answer = request.await;
            match &answer {
                Ok(value) => done(&counts, value),
                Err(_) => counts.errors.increment(),
            }
            answer
        })
    }
}

impl ObjectBackend for Counting {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let bytes = |counts: &Counts, got: &Got| {
            if let Got::Object(object) = got {
                counts.get_bytes.add(object.body.len() as u64);
            }
        };
        self.count(|counts| &counts.gets, self.inner.get(key, condition, max_len), bytes)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.count(|counts| &counts.heads, self.inner.head(key), |_, _| {})
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let len = body.len() as u64;
        let stored = self.inner.put(key, headers, body, condition);
        self.count(|counts| &counts.puts, stored, move |counts, _| counts.put_bytes.add(len))
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.count(|counts| &counts.deletes, self.inner.delete(key), |_, ()| {})
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let (counts, asked) = (self.counts.clone(), keys.len() as u64);
        let deleted = self.inner.delete_many(keys);
        Box::pin(async move {
            counts.bulk_deletes.increment();
            counts.bulk_deleted_keys.add(asked);
            let _in_flight = counts.enter(false);
            let answers = deleted.await;
            counts.errors.add(answers.iter().filter(|answer| answer.is_err()).count() as u64);
            answers
        })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.count(|counts| &counts.lists, self.inner.list(prefix, after), |_, _| {})
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.count(|counts| &counts.syncs, self.inner.sync(), |_, ()| {})
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::wrap::latency::{Delay, Delays, Latency};

    #[tokio::test(start_paused = true)]
    async fn requests_bytes_and_flights_are_counted() {
        let slow = Latency::new(
            Arc::new(Memory::new()),
            Delays::all(Delay::fixed(crate::settings::TestSettings::LONGEST_DELAY)),
            1,
        );
        let counting = Counting::new(Arc::new(slow));
        let counts = counting.counts();
        let put = |key| counting.put(key, ObjectHeaders::default(), vec![1; 10].into(), PutIf::Absent);
        let (first, second) = tokio::join!(put("a"), put("b"));
        assert!(first.is_ok() && second.is_ok() && put("a").await.is_err());
        drop(counting.get("a", GetIf::Always, 100));
        tokio::join!(counting.get("a", GetIf::Always, 100), counting.get("x", GetIf::Always, 100)).0.unwrap();
        counting.delete_many(vec!["a".into(), "b".into()]).await;
        counting.list("", "").await.unwrap();
        counting.head("a").await.unwrap();
        let found =
            [&counts.puts, &counts.put_bytes, &counts.gets, &counts.get_bytes, &counts.errors].map(Counter::get);
        assert_eq!(found, [3, 20, 2, 10, 1]);
        assert_eq!((counts.bulk_deletes.get(), counts.bulk_deleted_keys.get(), counts.requests()), (1, 2, 8));
        assert_eq!((counts.most_in_flight(), counts.most_gets_in_flight(), counts.in_flight()), (2, 2, 0));
    }
}
