//! A wrapper that notes every key stored through it, so that a run can delete exactly what it wrote.
//!
//! A key is noted before its PUT is sent: a PUT that seems to have failed may have been applied all the same. What
//! was never noted is never deleted, whatever a listing shows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

/// Keys in one delete request, as many as S3 takes.
const DELETE_BATCH: usize = 1000;

pub struct Journal {
    inner: Arc<dyn ObjectBackend>,
    /// The same store, for cleaning up: patient, and not counted.
    cleaner: Arc<dyn ObjectBackend>,
    /// In key order. Locked only to insert, copy or remove keys.
    written: Mutex<BTreeSet<String>>,
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

impl Journal {
    pub fn new(inner: Arc<dyn ObjectBackend>, cleaner: Arc<dyn ObjectBackend>) -> Self {
        Self { inner, cleaner, written: Mutex::default() }
    }

    /// Deletes all that was written and is not known to be deleted.
    pub async fn clean(&self) -> Cleaned {
        let keys: Vec<String> = self.keys(|written| written.iter().cloned().collect());
        let mut cleaned = Cleaned::default();
        for batch in keys.chunks(DELETE_BATCH) {
            let results = self.cleaner.delete_many(batch.to_vec()).await;
            for (key, result) in batch.iter().zip(results) {
                match result {
                    Ok(()) => {
                        cleaned.deleted += 1;
                        self.keys(|written| written.remove(key));
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

    fn keys<T>(&self, change: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        change(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
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
        self.keys(|written| written.insert(key.to_owned()));
        self.inner.put(key, headers, body, condition)
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
