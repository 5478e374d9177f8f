//! A wrapper that notes every key stored through it, so that a run can delete exactly what it wrote.
//!
//! A key is noted before its PUT is sent (on disk too, where the run keeps a log there): a PUT that seems to have failed
//! may have been applied all the same. What was never noted is never deleted, whatever a listing shows. Cleaning first
//! refuses further PUTs and waits for those under way, so that none arrives after its own deletion.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::clock;
use s3b_engine::error::{Error, ErrorKind, Result};
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use tokio::sync::watch;

use crate::runs::keys::KeyLog;

/// Keys in one delete request, as many as S3 takes.
const DELETE_BATCH: usize = 1000;

/// Cleaning waits no longer for PUTs under way: longer than any store lets one take.
const LONGEST_PUT: Duration = Duration::from_secs(120);

pub struct Journal {
    inner: Arc<dyn ObjectBackend>,
    /// The same store, for cleaning up: patient, and not counted.
    cleaner: Arc<dyn ObjectBackend>,
    shared: Arc<Shared>,
}

/// What PUTs under way share with the journal.
struct Shared {
    /// Locked only to look at, insert, copy or remove keys.
    state: Mutex<State>,
    /// PUTs under way.
    flying: watch::Sender<usize>,
    log: Option<KeyLog>,
    /// Why the log takes no more keys.
    failure: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct State {
    /// Stored, perhaps.
    written: BTreeSet<String>,
    /// On disk.
    noted: BTreeSet<String>,
    sealed: bool,
}

/// A PUT under way; also ends when its future is dropped.
struct Flight(Arc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.flying.send_modify(|flying| *flying -= 1);
    }
}

/// What cleaning up did.
#[derive(Debug, Default)]
pub struct Cleaned {
    pub deleted: u64,
    /// Keys that could not be deleted, and the first reason.
    pub left: u64,
    pub first_error: Option<String>,
}

impl Cleaned {
    /// Says on stderr what is left behind, if anything.
    pub fn report(&self) {
        if let Some(error) = &self.first_error {
            eprintln!("{} objects could not be deleted and are left behind, the first: {error}", self.left);
        }
    }
}

/// Deletes these keys, and no others; `gone` is told of each that is deleted.
pub async fn delete_all(store: &dyn ObjectBackend, keys: &BTreeSet<String>, mut gone: impl FnMut(&str)) -> Cleaned {
    let keys: Vec<&String> = keys.iter().collect();
    let mut cleaned = Cleaned::default();
    for batch in keys.chunks(DELETE_BATCH) {
        let results = store.delete_many(batch.iter().map(|key| (*key).clone()).collect()).await;
        for (key, result) in batch.iter().zip(results) {
            match result {
                Ok(()) => {
                    cleaned.deleted += 1;
                    gone(key);
                }
                Err(error) => {
                    cleaned.left += 1;
                    cleaned.first_error.get_or_insert_with(|| format!("{key}: {error}"));
                }
            }
        }
    }
    cleaned
}

impl Journal {
    pub fn new(inner: Arc<dyn ObjectBackend>, cleaner: Arc<dyn ObjectBackend>) -> Self {
        Self::with_log(inner, cleaner, None)
    }

    /// `log`: where keys are noted on disk, and those that are noted there already; these are cleaned up as well.
    pub fn with_log(
        inner: Arc<dyn ObjectBackend>,
        cleaner: Arc<dyn ObjectBackend>,
        log: Option<(KeyLog, BTreeSet<String>)>,
    ) -> Self {
        let (log, earlier) = log.map_or((None, BTreeSet::new()), |(log, earlier)| (Some(log), earlier));
        let state = State { noted: earlier.clone(), written: earlier, sealed: false };
        let shared =
            Shared { state: Mutex::new(state), flying: watch::Sender::new(0), log, failure: watch::Sender::new(None) };
        Self { inner, cleaner, shared: Arc::new(shared) }
    }

    /// Notes keys on disk that are going to be stored, so that their PUTs need not wait for it.
    ///
    /// # Errors
    /// The log's.
    pub async fn announce(&self, keys: Vec<String>) -> Result<()> {
        self.shared.note(keys).await
    }

    /// Why keys can no longer be noted on disk, and so nothing can be stored any more.
    pub fn failure(&self) -> Option<Error> {
        self.shared.failure.borrow().clone()
    }

    /// Returns when keys can no longer be noted on disk.
    pub async fn failed(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.shared.failure.subscribe().wait_for(Option::is_some).await;
    }

    /// Deletes all that was written and is not known to be deleted. Nothing is stored here afterwards.
    pub async fn clean(&self) -> Cleaned {
        self.shared.with(|state| state.sealed = true);
        let mut flying = self.shared.flying.subscribe();
        // Over time, cleaning is tried all the same; an error of the channel is impossible while `self` lives.
        let _ = clock::timeout(LONGEST_PUT, flying.wait_for(|flying| *flying == 0)).await;
        let keys = self.written();
        delete_all(&*self.cleaner, &keys, |key| {
            self.shared.with(|state| state.written.remove(key));
        })
        .await
    }

    /// Keys that may be in the store.
    pub fn written(&self) -> BTreeSet<String> {
        self.shared.with(|state| state.written.clone())
    }
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn note(&self, mut keys: Vec<String>) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        self.with(|state| keys.retain(|key| !state.noted.contains(key)));
        if keys.is_empty() {
            return Ok(());
        }
        let noted = log.note(keys.clone()).await;
        match &noted {
            Ok(()) => self.with(|state| state.noted.extend(keys)),
            Err(error) => {
                self.failure.send_replace(Some(error.clone()));
            }
        }
        noted
    }

    /// Lets a PUT begin, unless what there is has been cleaned up.
    fn begin(self: &Arc<Self>, key: &str) -> Result<Flight> {
        self.with(|state| {
            if state.sealed {
                return Err(Error::new(ErrorKind::Closed, format!("PUT {key}: this run has ended and is cleaned up")));
            }
            state.written.insert(key.to_owned());
            self.flying.send_modify(|flying| *flying += 1);
            Ok(Flight(self.clone()))
        })
    }
}

impl ObjectBackend for Journal {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.inner.get(key, condition, max_len)
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.inner.head(key)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (inner, shared, key) = (self.inner.clone(), self.shared.clone(), key.to_owned());
        Box::pin(async move {
            let _flight = shared.begin(&key)?;
            shared.note(vec![key.clone()]).await?;
            inner.put(&key, headers, body, condition).await
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.inner.delete(key)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.inner.delete_many(keys)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.inner.list(prefix, after)
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.sync()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use s3b_engine::memory::Memory;

    use super::*;

    #[tokio::test]
    async fn only_what_was_written_is_deleted() {
        let memory = Arc::new(Memory::new());
        memory.put("theirs", ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always).await.unwrap();
        let journal = Journal::new(memory.clone(), memory.clone());
        for n in 0..2500 {
            let put =
                journal.put(&format!("ours-{n}"), ObjectHeaders::default(), Bytes::from_static(b"y"), PutIf::Always);
            put.await.unwrap();
        }
        journal.delete("ours-7").await.unwrap();
        let cleaned = journal.clean().await;
        assert_eq!((cleaned.deleted, cleaned.left), (2500, 0));
        assert_eq!(memory.list("", "").await.unwrap().keys, ["theirs"]);
        assert_eq!(journal.clean().await.deleted, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn cleaning_waits_for_what_is_under_way_and_lets_nothing_follow() {
        use s3b_engine::wrap::latency::{Delay, Delays, Latency};

        let memory = Arc::new(Memory::new());
        let slow = Latency::new(memory.clone(), Delays::all(Delay::fixed(Duration::from_secs(5))), 1);
        let journal = Arc::new(Journal::new(Arc::new(slow), memory.clone()));
        let put = |key: &str| journal.put(key, ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always);
        let under_way = tokio::spawn(put("a"));
        tokio::task::yield_now().await;
        assert_eq!(journal.clean().await.deleted, 1);
        under_way.await.unwrap().unwrap();
        assert_eq!(put("b").await.unwrap_err().kind(), ErrorKind::Closed);
        assert!(memory.keys().is_empty(), "{:?}", memory.keys());
    }

    #[tokio::test]
    async fn a_key_is_on_disk_before_its_put_can_have_happened() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::new());
        let log = Some((KeyLog::open(dir.path()).unwrap(), ["earlier".to_owned()].into()));
        let journal = Journal::with_log(memory.clone(), memory.clone(), log);
        let put = |key: &str| journal.put(key, ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always);
        journal.announce(vec!["b".into(), "c".into()]).await.unwrap();
        put("a").await.unwrap();
        put("b").await.unwrap();
        assert_eq!(crate::runs::keys::read(dir.path()).unwrap().into_iter().collect::<String>(), "abc");
        assert_eq!(journal.written().into_iter().collect::<Vec<_>>(), ["a", "b", "earlier"], "not what was announced");
    }

    #[tokio::test]
    async fn a_refused_put_is_cleaned_up_too() {
        let memory = Arc::new(Memory::new());
        let journal = Journal::new(memory.clone(), memory);
        let put = |condition| journal.put("k", ObjectHeaders::default(), Bytes::new(), condition);
        put(PutIf::Always).await.unwrap();
        put(PutIf::Absent).await.unwrap_err();
        assert_eq!(journal.clean().await.deleted, 1);
    }
}
