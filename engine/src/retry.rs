//! Patience: repeats what may heal by itself, over any backend.
//!
//! Pauses grow exponentially with full jitter (each is drawn from zero to the current ceiling), are never shorter than
//! a server's Retry-After, and add up to at most `max_pause`: the last one is cut to fit, then comes one last attempt.
//! Never repeats an error that waiting does not mend. Counts retries, their pauses, and stale answers.
//!
//! **In doubt.** A PUT that failed may have been applied. Repeating it is harmless, except for a create-only PUT, which then
//! meets its own object and is told that there is one. So after an attempt in doubt a conflict is looked into: if the
//! object that stands there has our body and metadata, the PUT succeeded, else the conflict is real. (Two writers of
//! byte-identical objects cannot be told apart; the mount lock, which uses this, puts its owner and a random token in.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use crate::settings::RetrySettings;
use crate::stats::Stats;

/// A server that asks for more than this many longest backoffs has a broken clock.
const MOST_BACKOFFS_OF_PATIENCE: u32 = 10;

/// An [`ObjectBackend`] that retries. Cheap to clone.
#[derive(Clone)]
pub struct Retrying {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Arc<dyn ObjectBackend>,
    settings: RetrySettings,
    stats: Arc<Stats>,
    /// Where jitter comes from; seeded, so that a simulation can be run twice.
    random: Mutex<StdRng>,
}

impl Retrying {
    /// With jitter that no other machine has.
    pub fn new(inner: Arc<dyn ObjectBackend>, settings: RetrySettings, stats: Arc<Stats>) -> Self {
        Self::with_random(inner, settings, stats, rand::make_rng())
    }

    /// With jitter that is the same in every run.
    pub fn with_seed(inner: Arc<dyn ObjectBackend>, settings: RetrySettings, stats: Arc<Stats>, seed: u64) -> Self {
        Self::with_random(inner, settings, stats, StdRng::seed_from_u64(seed))
    }

    fn with_random(inner: Arc<dyn ObjectBackend>, settings: RetrySettings, stats: Arc<Stats>, random: StdRng) -> Self {
        Self { shared: Arc::new(Shared { inner, settings, stats, random: Mutex::new(random) }) }
    }
}

/// The pauses of one call.
struct Pauses {
    /// The next pause is at most this, before Retry-After.
    ceiling: Duration,
    spent: Duration,
}

impl Shared {
    fn pauses(&self) -> Pauses {
        Pauses { ceiling: self.settings.initial_pause.min(self.settings.longest_backoff), spent: Duration::ZERO }
    }

    /// Pauses before another attempt; `false`: patience is at its end.
    async fn pause(&self, pauses: &mut Pauses, error: &Error) -> bool {
        let left = self.settings.max_pause.map_or(Duration::MAX, |most| most.saturating_sub(pauses.spent));
        if left.is_zero() {
            return false;
        }
        let jittered = self.random.lock().random_range(Duration::ZERO..=pauses.ceiling);
        let asked = error.retry_after().unwrap_or_default();
        let most_asked = self.settings.longest_backoff.saturating_mul(MOST_BACKOFFS_OF_PATIENCE);
        let pause = jittered.max(asked.min(most_asked)).min(left);
        pauses.ceiling = self.next_ceiling(pauses.ceiling);
        pauses.spent += pause;
        self.stats.http.num_retries.increment();
        self.stats.http.total_retry_delay.add(pause);
        tracing::debug!("trying again in {pause:?}: {error}");
        clock::sleep(pause).await;
        true
    }

    /// Doubled. After an initial pause of zero (try again at once) the next one is a small share of the longest, so
    /// that nothing spins.
    fn next_ceiling(&self, ceiling: Duration) -> Duration {
        let longest = match self.settings.longest_backoff {
            Duration::ZERO => RetrySettings::default().longest_backoff,
            longest => longest,
        };
        let least = longest / 128;
        ceiling.saturating_mul(2).clamp(least, longest)
    }

    async fn retry<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pauses = self.pauses();
        loop {
            match attempt().await {
                Err(error) if error.is_transient() => {
                    if !self.pause(&mut pauses, &error).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// An object that is not the expected one may be an older copy, and so may one that is absent: that heals.
    async fn get(&self, key: &str, condition: GetIf, max_len: usize) -> Result<Got> {
        let again = AtomicBool::new(false);
        self.retry(async || {
            if again.swap(true, Relaxed) {
                self.stats.http.get_retries.increment();
            }
            match self.inner.get(key, condition, max_len).await? {
                Got::Mismatch | Got::Absent if matches!(condition, GetIf::Matches(_)) => {
                    self.stats.http.stale.increment();
                    Err(Error::new(
                        ErrorKind::Stale,
                        format!(
                            "GET {key} in {}: the store answers with other content than was last written; is another \
                             mount writing here?",
                            self.inner.describe()
                        ),
                    ))
                }
                got => Ok(got),
            }
        })
        .await
    }

    async fn put(&self, key: &str, headers: ObjectHeaders, body: Bytes, condition: PutIf) -> Result<Option<ETag>> {
        let in_doubt = AtomicBool::new(false);
        let result = self
            .retry(async || {
                let result = self.inner.put(key, headers.clone(), body.clone(), condition).await;
                if result.as_ref().err().is_some_and(Error::is_transient) {
                    in_doubt.store(true, Relaxed);
                }
                result
            })
            .await;
        match result {
            Err(conflict)
                if in_doubt.load(Relaxed) && condition == PutIf::Absent && conflict.kind() == ErrorKind::Conflict =>
            {
                self.is_it_ours(key, &headers, &body).await?.ok_or(conflict)
            }
            result => result,
        }
    }

    /// The ETag, if the object that stands there is what we meant to create.
    async fn is_it_ours(&self, key: &str, headers: &ObjectHeaders, body: &Bytes) -> Result<Option<Option<ETag>>> {
        match self.get(key, GetIf::Always, body.len()).await {
            Ok(Got::Object(object)) => {
                let same = object.body == *body
                    && object.headers.meta == headers.meta
                    && object.headers.content_encoding == headers.content_encoding;
                Ok(same.then_some(object.etag))
            }
            // Longer than ours.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Repeats for the keys that failed only.
    async fn delete_many(&self, keys: Vec<String>) -> Vec<Result<()>> {
        let mut answers = self.inner.delete_many(keys.clone()).await;
        let mut pauses = self.pauses();
        loop {
            let transient = |answer: &Result<()>| answer.as_ref().err().is_some_and(Error::is_transient);
            let failed: Vec<usize> = (0..keys.len()).filter(|i| answers.get(*i).is_some_and(transient)).collect();
            let patient = failed.iter().filter_map(|i| answers[*i].as_ref().err()).max_by_key(|e| e.retry_after());
            let Some(error) = patient.cloned() else {
                return answers;
            };
            if !self.pause(&mut pauses, &error).await {
                return answers;
            }
            let again = failed.iter().map(|i| keys[*i].clone()).collect();
            for (i, answer) in failed.into_iter().zip(self.inner.delete_many(again).await) {
                answers[i] = answer;
            }
        }
    }
}

impl ObjectBackend for Retrying {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.get(&key, condition, max_len).await })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.retry(|| shared.inner.head(&key)).await })
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.put(&key, headers, body, condition).await })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.retry(|| shared.inner.delete(&key)).await })
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.delete_many(keys).await })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let (shared, prefix, after) = (self.shared.clone(), prefix.to_string(), after.to_string());
        Box::pin(async move { shared.retry(|| shared.inner.list(&prefix, &after)).await })
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.shared.inner.sync()
    }

    fn describe(&self) -> String {
        self.shared.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::clock::Instant;
    use crate::object::Object;

    /// Answers from a script, and notes when it was asked. An empty script answers with success.
    #[derive(Default)]
    struct Scripted {
        gets: Mutex<VecDeque<Result<Got>>>,
        puts: Mutex<VecDeque<Result<Option<ETag>>>>,
        deletes: Mutex<VecDeque<Vec<Result<()>>>>,
        asked: Mutex<Vec<(Instant, String)>>,
    }

    impl Scripted {
        fn note(&self, what: String) {
            self.asked.lock().push((clock::now(), what));
        }

        fn calls(&self) -> Vec<String> {
            self.asked.lock().iter().map(|(_, what)| what.clone()).collect()
        }

        /// Milliseconds between one attempt and the next.
        fn pauses(&self) -> Vec<u64> {
            self.asked.lock().windows(2).map(|two| (two[1].0 - two[0].0).as_millis() as u64).collect()
        }
    }

    impl ObjectBackend for Scripted {
        fn get(&self, key: &str, _: GetIf, _: usize) -> BoxFuture<'static, Result<Got>> {
            self.note(format!("get {key}"));
            let answer = self.gets.lock().pop_front().unwrap_or(Ok(Got::Absent));
            Box::pin(std::future::ready(answer))
        }
        fn head(&self, _: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
            Box::pin(std::future::ready(Ok(None)))
        }
        fn put(&self, key: &str, _: ObjectHeaders, _: Bytes, _: PutIf) -> BoxFuture<'static, Result<Option<ETag>>> {
            self.note(format!("put {key}"));
            let answer = self.puts.lock().pop_front().unwrap_or(Ok(None));
            Box::pin(std::future::ready(answer))
        }
        fn delete(&self, _: &str) -> BoxFuture<'static, Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
            self.note(format!("delete {}", keys.join(" ")));
            let answers = self.deletes.lock().pop_front().unwrap_or_else(|| keys.iter().map(|_| Ok(())).collect());
            Box::pin(std::future::ready(answers))
        }
        fn list(&self, _: &str, _: &str) -> BoxFuture<'static, Result<ListPage>> {
            Box::pin(std::future::ready(Ok(ListPage::default())))
        }
        fn describe(&self) -> String {
            "a script".into()
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn settings(initial: u64, most: Option<u64>) -> RetrySettings {
        RetrySettings {
            initial_pause: ms(initial),
            max_pause: most.map(ms),
            longest_backoff: ms(30_000),
            ..RetrySettings::default()
        }
    }

    fn retrying(settings: RetrySettings, seed: u64) -> (Arc<Scripted>, Retrying, Arc<Stats>) {
        let (script, stats) = (Arc::<Scripted>::default(), Arc::<Stats>::default());
        (script.clone(), Retrying::with_seed(script, settings, stats.clone(), seed), stats)
    }

    fn down() -> Error {
        Error::transient("down")
    }

    async fn get(backend: &Retrying) -> Result<Got> {
        backend.get("k", GetIf::Always, 1).await
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_jitter_and_add_up_to_the_most() {
        for seed in 0..50 {
            let (script, backend, stats) = retrying(settings(200, Some(30_000)), seed);
            script.gets.lock().extend((0..1000).map(|_| Err(down())));
            assert_eq!(get(&backend).await.unwrap_err().kind(), ErrorKind::Transient);
            let pauses = script.pauses();
            for (n, pause) in pauses.iter().enumerate() {
                // Timers tick in whole milliseconds.
                assert!(*pause <= (200 << n.min(20)).min(30_000) + 1, "pause {n} of {pauses:?}");
            }
            let total = stats.http.total_retry_delay.get();
            assert!(total <= ms(30_000) && total > ms(29_999), "{total:?}");
            assert_eq!(stats.http.num_retries.get(), pauses.len() as u64);
            assert!((7..40).contains(&pauses.len()), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_pauses_the_same() {
        let mut stories = Vec::new();
        for seed in [1, 1, 2] {
            let (script, backend, _) = retrying(settings(200, Some(5_000)), seed);
            script.gets.lock().extend((0..1000).map(|_| Err(down())));
            get(&backend).await.unwrap_err();
            stories.push(script.pauses());
        }
        assert_eq!(stories[0], stories[1]);
        assert_ne!(stories[0], stories[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_patience_is_one_attempt_and_endless_patience_goes_on() {
        let (script, backend, _) = retrying(settings(200, Some(0)), 1);
        script.gets.lock().push_back(Err(down()));
        get(&backend).await.unwrap_err();
        assert_eq!(script.calls().len(), 1);

        let (script, backend, _) = retrying(settings(200, None), 1);
        script.gets.lock().extend((0..500).map(|_| Err(down())));
        assert_eq!(get(&backend).await.unwrap(), Got::Absent);
        assert_eq!(script.calls().len(), 501);
        assert!(script.pauses().iter().all(|pause| *pause <= 30_001));
    }

    #[tokio::test(start_paused = true)]
    async fn an_initial_pause_of_zero_does_not_spin() {
        let (script, backend, _) = retrying(settings(0, Some(30_000)), 1);
        script.gets.lock().extend((0..1000).map(|_| Err(down())));
        get(&backend).await.unwrap_err();
        assert_eq!(script.pauses()[0], 0);
        assert!(script.calls().len() < 40, "{:?}", script.pauses());
    }

    #[tokio::test(start_paused = true)]
    async fn a_servers_wish_is_honoured_within_bounds() {
        let wish = |seconds: u64| Err(down().with_retry_after(Some(ms(seconds * 1000))));
        let (script, backend, _) = retrying(settings(200, None), 1);
        script.gets.lock().extend([wish(17), wish(100_000)]);
        get(&backend).await.unwrap();
        assert_eq!(script.pauses(), [17_000, 300_000]);

        let (script, backend, _) = retrying(settings(200, Some(5_000)), 1);
        script.gets.lock().extend([wish(17), wish(17)]);
        get(&backend).await.unwrap_err();
        assert_eq!(script.pauses(), [5_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_reported_at_once() {
        for kind in [ErrorKind::Denied, ErrorKind::NoBucket, ErrorKind::Redirect, ErrorKind::Corrupt, ErrorKind::Failed]
        {
            let (script, backend, _) = retrying(settings(200, None), 1);
            script.gets.lock().push_back(Err(Error::new(kind, "no")));
            assert_eq!(get(&backend).await.unwrap_err().kind(), kind);
            assert_eq!(script.calls().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_answer_is_retried_then_an_error() {
        let (script, backend, stats) = retrying(settings(200, Some(1_000)), 1);
        let get = || backend.get("k", GetIf::Matches(ETag([7; 16])), 1);
        script.gets.lock().extend([Ok(Got::Mismatch), Ok(Got::Absent), Ok(Got::NotModified)]);
        assert_eq!(get().await.unwrap(), Got::NotModified);
        assert_eq!(stats.http.stale.get(), 2);
        script.gets.lock().extend((0..100).map(|_| Ok(Got::Mismatch)));
        assert_eq!(get().await.unwrap_err().kind(), ErrorKind::Stale);
    }

    #[tokio::test(start_paused = true)]
    async fn a_create_in_doubt_recognises_its_own_object() {
        let object = |body: &'static str| {
            let (headers, etag) = (ObjectHeaders::default(), Some(ETag([7; 16])));
            Ok(Got::Object(Object { body: Bytes::from_static(body.as_bytes()), headers, etag }))
        };
        let conflict = || Err(Error::new(ErrorKind::Conflict, "412"));
        let put = |backend: &Retrying| {
            backend.put("lock", ObjectHeaders::default(), Bytes::from_static(b"mine"), PutIf::Absent)
        };
        let (script, backend, _) = retrying(settings(200, None), 1);
        script.puts.lock().extend([Err(down()), conflict()]);
        script.gets.lock().push_back(object("mine"));
        assert_eq!(put(&backend).await.unwrap(), Some(ETag([7; 16])));
        assert_eq!(script.calls(), ["put lock", "put lock", "get lock"]);

        let (script, backend, _) = retrying(settings(200, None), 1);
        script.puts.lock().extend([Err(down()), conflict()]);
        script.gets.lock().push_back(object("another's"));
        assert_eq!(put(&backend).await.unwrap_err().kind(), ErrorKind::Conflict);

        // Without doubt there is nothing to look into.
        let (script, backend, _) = retrying(settings(200, None), 1);
        script.puts.lock().push_back(conflict());
        assert_eq!(put(&backend).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(script.calls(), ["put lock"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_keys_that_failed_are_deleted_again() {
        let (script, backend, _) = retrying(settings(200, Some(30_000)), 1);
        let denied = || Err(Error::new(ErrorKind::Denied, "no"));
        script.deletes.lock().extend([vec![Ok(()), Err(down()), denied(), Err(down())], vec![Ok(()), Err(down())]]);
        let keys = ["a", "b", "c", "d"].map(String::from).to_vec();
        let kinds: Vec<_> = backend.delete_many(keys).await.into_iter().map(|a| a.err().map(|e| e.kind())).collect();
        assert_eq!(kinds, [None, None, Some(ErrorKind::Denied), None]);
        assert_eq!(script.calls(), ["delete a b c d", "delete b d", "delete d"]);
    }
}
