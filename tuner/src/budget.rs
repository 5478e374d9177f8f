//! A cap on what a run may spend, counted from what is issued: a wrapper that refuses what might pass it.
//!
//! A request is charged before it is sent, at the most that it can cost: a GET with the largest body it may answer, a
//! PUT with its body, a listing with the longest page, a HEAD with what is asked to be sure that nothing is there. When the
//! answer is known to be smaller the rest is given back; a request that failed or was
//! abandoned stays charged as a whole, since nobody knows what went over the wire. Everything that passes through is one
//! attempt, so repetitions are charged like the first. DELETEs are free and never refused: cleaning up must always be
//! possible. Once refused, all that costs is refused: a run ends, it does not limp.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::error::{Error, ErrorKind, Result};
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use tokio::sync::watch;

use crate::outcome::{PriceTable, StoreLedger};
use crate::prices::{Billing, Reader};

/// Keys of one page of a listing at most.
const PAGE_KEYS: u64 = 1000;
/// XML of a listing around the entries, or of an error.
const DOCUMENT_BYTES: u64 = 1 << 10;
/// XML of an entry without its key: time, ETag, size, class and checksum have 290 bytes in S3's answers.
const ENTRY_BYTES: u64 = 300;
/// What our names have behind the user's prefix is shorter.
const NAME_BYTES: u64 = 100;
/// What a HEAD may send besides itself: a GET whose error says that the key is absent, and not the bucket, and a listing
/// where that error is empty. None of it where the object is there.
const TO_BE_SURE: StoreLedger =
    StoreLedger { gets: 1, lists: 1, get_bytes: 2 * DOCUMENT_BYTES + ENTRY_BYTES + NAME_BYTES, ..StoreLedger::ZERO };

/// Bytes of a page of a listing at most, of so many keys of ours behind the user's `prefix`.
fn page_bytes(prefix: &str, keys: u64) -> u64 {
    DOCUMENT_BYTES + keys.min(PAGE_KEYS) * (ENTRY_BYTES + in_url(prefix) + NAME_BYTES)
}

/// Length as listings encode a name.
fn in_url(name: &str) -> u64 {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(byte);
    name.bytes().map(|byte| if plain(&byte) { 1 } else { 3 }).sum()
}

/// What counted requests are charged with at most, where a listing has `keys` of ours behind the user's `prefix`.
pub fn at_most(counted: &StoreLedger, prefix: &str, keys: u64) -> StoreLedger {
    let listed = StoreLedger { get_bytes: counted.lists * page_bytes(prefix, keys), ..StoreLedger::ZERO };
    counted.plus(&listed).plus(&TO_BE_SURE.times(counted.heads as f64))
}

/// Shared by all backends of a run.
pub struct Budget {
    prices: PriceTable,
    reader: Reader,
    /// `None`: counts only.
    cap: Option<f64>,
    /// Locked only to add numbers.
    spent: Mutex<StoreLedger>,
    refused: watch::Sender<bool>,
}

impl Budget {
    /// At most `cap` dollars at these prices.
    pub fn new(prices: PriceTable, reader: Reader, cap: Option<f64>) -> Arc<Self> {
        Arc::new(Self { prices, reader, cap, spent: Mutex::default(), refused: watch::Sender::new(false) })
    }

    /// At most `cap` dollars of what a place bills; nothing where it is free.
    pub fn of(billing: &Billing, cap: f64) -> Option<Arc<Self>> {
        let prices = billing.prices.clone()?;
        Some(Self::new(prices, billing.reader, Some(cap)))
    }

    /// Counts what an earlier part of the same run has spent.
    pub fn charge_earlier(&self, spent: &StoreLedger) {
        self.with(|all| *all = all.plus(spent));
    }

    /// What was issued; of bodies still under way, the most they can be.
    pub fn spent(&self) -> StoreLedger {
        self.with(|spent| *spent)
    }

    pub fn dollars(&self) -> f64 {
        self.prices.dollars(&self.spent(), self.reader)
    }

    pub fn cap(&self) -> Option<f64> {
        self.cap
    }

    /// Whether something was refused.
    pub fn is_exhausted(&self) -> bool {
        *self.refused.borrow()
    }

    /// Returns when something is refused.
    pub async fn exhausted(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.refused.subscribe().wait_for(|refused| *refused).await;
    }

    fn with<T>(&self, change: impl FnOnce(&mut StoreLedger) -> T) -> T {
        change(&mut self.spent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks and charges under one lock: of many at once, none slips through.
    ///
    /// # Errors
    /// It might pass the cap.
    pub fn charge(&self, most: &StoreLedger) -> Result<()> {
        let refused = self.with(|spent| {
            let then = spent.plus(most);
            let too_dear = self.cap.is_some_and(|cap| self.prices.dollars(&then, self.reader) > cap);
            let free = self.prices.dollars(most, self.reader) <= 0.0;
            let refused = !free && (too_dear || self.is_exhausted());
            if !refused {
                *spent = then;
            }
            refused
        });
        if !refused {
            return Ok(());
        }
        self.refused.send_replace(true);
        let cap = self.cap.unwrap_or_default();
        // Not a kind that heals by waiting: patience above would wait for ever.
        let text = format!("the next request might pass the cap of ${cap}; to go on, allow --max-cost={}", cap * 2.0);
        Err(Error::new(ErrorKind::Denied, text))
    }

    /// What was charged and not needed.
    fn give_back(&self, rest: &StoreLedger) {
        self.with(|spent| *spent = spent.since(rest));
    }

    fn give_back_bytes(&self, get_bytes: u64) {
        self.give_back(&StoreLedger { get_bytes, ..StoreLedger::ZERO });
    }
}

/// See the module.
pub struct Budgeted {
    inner: Arc<dyn ObjectBackend>,
    budget: Arc<Budget>,
}

impl Budgeted {
    pub fn new(inner: Arc<dyn ObjectBackend>, budget: Arc<Budget>) -> Self {
        Self { inner, budget }
    }

    /// Charges at the call, before anything can be sent; `send` is not called if that is refused.
    fn paid<T: Send + 'static>(
        &self,
        most: StoreLedger,
        send: impl FnOnce(&dyn ObjectBackend) -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        match self.budget.charge(&most) {
            Ok(()) => send(&*self.inner),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl ObjectBackend for Budgeted {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let most = StoreLedger { gets: 1, get_bytes: max_len as u64, ..StoreLedger::default() };
        let got = self.paid(most, |inner| inner.get(key, condition, max_len));
        let budget = self.budget.clone();
        Box::pin(async move {
            let got = got.await?;
            let came = if let Got::Object(object) = &got { object.body.len() } else { 0 };
            budget.give_back_bytes(max_len.saturating_sub(came) as u64);
            Ok(got)
        })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let most = StoreLedger { heads: 1, ..TO_BE_SURE };
        let info = self.paid(most, |inner| inner.head(key));
        let budget = self.budget.clone();
        Box::pin(async move {
            let info = info.await?;
            if info.is_some() {
                budget.give_back(&TO_BE_SURE);
            }
            Ok(info)
        })
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let most = StoreLedger { puts: 1, put_bytes: body.len() as u64, ..StoreLedger::default() };
        self.paid(most, |inner| inner.put(key, headers, body, condition))
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.paid(StoreLedger { deletes: 1, deleted_keys: 1, ..StoreLedger::default() }, |inner| inner.delete(key))
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let most = StoreLedger { deletes: 1, deleted_keys: keys.len() as u64, ..StoreLedger::default() };
        self.budget.with(|spent| *spent = spent.plus(&most));
        self.inner.delete_many(keys)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let most = page_bytes(prefix, PAGE_KEYS);
        let charged = StoreLedger { lists: 1, get_bytes: most, ..StoreLedger::ZERO };
        let page = self.paid(charged, |inner| inner.list(prefix, after));
        let budget = self.budget.clone();
        Box::pin(async move {
            let page = page.await?;
            let came: u64 = page.keys.iter().map(|key| ENTRY_BYTES + in_url(key)).sum();
            budget.give_back_bytes(most.saturating_sub(DOCUMENT_BYTES + came));
            Ok(page)
        })
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
    use futures::future::join_all;
    use s3b_engine::memory::Memory;

    use super::*;

    fn budgeted(cap: f64) -> (Arc<Memory>, Arc<Budget>, Budgeted) {
        let memory = Arc::new(Memory::new());
        let budget = Budget::new(PriceTable::standard(), Reader::Outside, Some(cap));
        (memory.clone(), budget.clone(), Budgeted::new(memory, budget))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_never_pass_the_cap() {
        // 100 PUTs at half a thousandth of a cent each.
        let (memory, budget, backend) = budgeted(100.0 * 0.005 / 1000.0 + 1e-9);
        let backend = Arc::new(backend);
        let puts = (0..1000).map(|n| {
            let backend = backend.clone();
            tokio::spawn(async move {
                let body = Bytes::from_static(b"x");
                backend.put(&format!("k{n}"), ObjectHeaders::default(), body, PutIf::Always).await
            })
        });
        let results = join_all(puts).await;
        let refused = results.iter().filter(|result| matches!(result, Ok(Err(error)) if !error.is_transient())).count();
        assert_eq!((memory.keys().len(), refused), (100, 900));
        assert!(budget.is_exhausted() && budget.dollars() <= budget.cap().unwrap());
        budget.exhausted().await;
        assert!(backend.list("", "").await.is_err(), "nothing that costs goes on");
        let key = memory.keys().remove(0);
        backend.delete(&key).await.unwrap();
        assert!(backend.delete_many(memory.keys()).await.iter().all(Result::is_ok), "cleaning up does");
        assert!(memory.keys().is_empty());
    }

    #[tokio::test]
    async fn a_get_is_charged_as_large_as_it_may_be_until_it_is_known() {
        let (memory, budget, backend) = budgeted(0.1);
        memory.insert("k", ObjectHeaders::default(), vec![0; 1000]);
        backend.get("k", GetIf::Always, 1 << 20).await.unwrap();
        backend.get("absent", GetIf::Always, 1 << 20).await.unwrap();
        assert_eq!((budget.spent().gets, budget.spent().get_bytes), (2, 1000));
        // Two gigabytes out of the region would cost more than ten cents.
        let error = backend.get("k", GetIf::Always, 2 << 30).await.unwrap_err();
        assert!(error.message().contains("--max-cost"), "{error}");
        assert_eq!(budget.spent().gets, 2, "what was refused was not sent");
    }

    #[tokio::test]
    async fn listings_and_heads_are_charged_with_all_that_they_may_send() {
        let (memory, budget, backend) = budgeted(0.1);
        for n in 0..1200 {
            memory.insert(&format!("k {n:04}"), ObjectHeaders::default(), vec![0; 10]);
        }
        backend.head("k 0000").await.unwrap().unwrap();
        assert_eq!(budget.spent(), StoreLedger { heads: 1, ..StoreLedger::ZERO });
        assert!(backend.head("absent").await.unwrap().is_none());
        let spent = budget.spent();
        assert_eq!((spent.heads, spent.gets, spent.lists), (2, 1, 1));
        assert!(spent.get_bytes <= at_most(&StoreLedger { heads: 1, ..StoreLedger::ZERO }, "", 1).get_bytes);
        assert_eq!(backend.list("k", "").await.unwrap().keys.len(), 1000);
        // A blank has three bytes in a listing.
        assert_eq!(budget.spent().since(&spent).get_bytes, 1024 + 1000 * (300 + 8));
        let page = at_most(&StoreLedger { lists: 1, ..StoreLedger::ZERO }, "", 1000).get_bytes;
        assert!(page > 1024 + 1000 * 308);
        // One page more would pass this cap, by its bytes alone.
        let request = StoreLedger { lists: 1, ..StoreLedger::ZERO };
        let poor = Budget::new(
            PriceTable::standard(),
            Reader::Outside,
            Some(budget.prices.dollars(&request, Reader::Outside)),
        );
        let poor = Budgeted::new(memory, poor);
        assert!(poor.list("k", "").await.unwrap_err().message().contains("--max-cost"));
    }

    #[tokio::test]
    async fn a_failed_get_stays_charged() {
        let (memory, budget, backend) = budgeted(1.0);
        memory.insert("k", ObjectHeaders::default(), vec![0; 1000]);
        backend.get("k", GetIf::Always, 10).await.unwrap_err();
        assert_eq!(budget.spent().get_bytes, 10);
    }
}
