//! Objects in this process: for tests, simulations and the tuner.
//!
//! Adds nothing to the contract and never waits, fails or draws a random number: the same calls in the
//! same order give the same answers, ETags included. Keeps what the bodies of weightless blocks stand for.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, Object, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

/// Keys in one page of a listing, as in S3.
const PAGE: usize = 1000;

/// Cloning shares the objects.
#[derive(Clone, Default)]
pub struct Memory {
    // One short lock: every call is a map operation and no body is ever copied.
    shared: Arc<Mutex<Objects>>,
}

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    /// Number of PUTs so far; the ETag of each object. Hashing bodies would dominate a simulation.
    puts: u64,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// All objects in the order of their keys.
    pub fn objects(&self) -> Vec<(String, Object)> {
        self.shared.lock().by_key.iter().map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    pub fn keys(&self) -> Vec<String> {
        self.shared.lock().by_key.keys().cloned().collect()
    }

    /// Of all bodies.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.lock().by_key.values().map(|object| object.body.len() as u64).sum()
    }

    pub fn object(&self, key: &str) -> Option<Object> {
        self.shared.lock().by_key.get(key).cloned()
    }

    /// Another program's PUT.
    pub fn insert(&self, key: &str, headers: ObjectHeaders, body: impl Into<Bytes>) -> ETag {
        self.shared.lock().put(key, headers, body.into())
    }

    /// Another program's DELETE. Says whether there was such a key.
    pub fn remove(&self, key: &str) -> bool {
        self.shared.lock().by_key.remove(key).is_some()
    }
}

impl Objects {
    fn put(&mut self, key: &str, mut headers: ObjectHeaders, body: Bytes) -> ETag {
        // They may be a cache's buffer, to be written again once it is stored.
        headers.stands_for = headers.stands_for.map(|cells| Bytes::copy_from_slice(&cells));
        self.puts += 1;
        let etag = ETag((u128::from(self.puts) | 0xe7a9 << 112).to_be_bytes());
        let object = Object { body, headers, etag: Some(etag) };
        match self.by_key.get_mut(key) {
            Some(old) => *old = object,
            None => drop(self.by_key.insert(key.to_owned(), object)),
        }
        etag
    }

    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> Result<Got> {
        let Some(object) = self.by_key.get(key) else {
            return Ok(Got::Absent);
        };
        match condition {
            GetIf::Matches(etag) if object.etag != Some(etag) => return Ok(Got::Mismatch),
            GetIf::Differs(etag) if object.etag == Some(etag) => return Ok(Got::NotModified),
            _ => {}
        }
        if object.body.len() > max_len {
            return Err(Error::corrupt(format!(
                "object {key} has {} bytes, at most {max_len} were expected",
                object.body.len()
            )));
        }
        Ok(Got::Object(object.clone()))
    }

    fn list(&self, prefix: &str, after: &str) -> ListPage {
        let start = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        let mut found = self
            .by_key
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix));
        let keys = found.by_ref().take(PAGE).cloned().collect();
        ListPage { keys, truncated: found.next().is_some() }
    }
}

// Effects happen when the future is first polled, as a request goes out when it is awaited.
impl ObjectBackend for Memory {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (shared, key) = (self.shared.clone(), key.to_owned());
        Box::pin(async move { shared.lock().get(&key, condition, max_len) })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let (shared, key) = (self.shared.clone(), key.to_owned());
        Box::pin(async move {
            Ok(shared.lock().by_key.get(&key).map(|object| ObjectInfo {
                headers: object.headers.clone(),
                etag: object.etag,
                len: object.body.len() as u64,
            }))
        })
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (shared, key) = (self.shared.clone(), key.to_owned());
        Box::pin(async move {
            let mut objects = shared.lock();
            if condition == PutIf::Absent && objects.by_key.contains_key(&key) {
                return Err(Error::new(ErrorKind::Conflict, format!("object {key} exists already")));
            }
            Ok(Some(objects.put(&key, headers, body)))
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        let (shared, key) = (self.shared.clone(), key.to_owned());
        Box::pin(async move {
            shared.lock().by_key.remove(&key);
            Ok(())
        })
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let mut objects = shared.lock();
            keys.iter()
                .map(|key| {
                    objects.by_key.remove(key);
                    Ok(())
                })
                .collect()
        })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let (shared, prefix, after) = (self.shared.clone(), prefix.to_owned(), after.to_owned());
        Box::pin(async move { Ok(shared.lock().list(&prefix, &after)) })
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
