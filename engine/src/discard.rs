//! A backend without memory (`--test-discard`): PUTs succeed and are forgotten, everything is absent.
//! For measuring what lies above; never for data.

use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

#[derive(Debug, Default)]
pub struct Discard {
    puts: AtomicU64,
}

impl Discard {
    pub fn new() -> Self {
        Self::default()
    }
}

impl ObjectBackend for Discard {
    fn get(&self, _key: &str, _condition: GetIf, _max_len: usize) -> BoxFuture<'static, Result<Got>> {
        Box::pin(ready(Ok(Got::Absent)))
    }

    fn head(&self, _key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        Box::pin(ready(Ok(None)))
    }

    fn put(
        &self,
        _key: &str,
        _headers: ObjectHeaders,
        _body: Bytes,
        _condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        // Callers may insist on an ETag; what they do with it is answered "absent" later.
        let number = self.puts.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(ready(Ok(Some(ETag(u128::from(number).to_be_bytes())))))
    }

    fn delete(&self, _key: &str) -> BoxFuture<'static, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        Box::pin(ready(keys.iter().map(|_| Ok(())).collect()))
    }

    fn list(&self, _prefix: &str, _after: &str) -> BoxFuture<'static, Result<ListPage>> {
        Box::pin(ready(Ok(ListPage::default())))
    }

    fn describe(&self) -> String {
        "discarded".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_kept() {
        let discard = Discard::new();
        let etag = discard.put("k", ObjectHeaders::default(), Bytes::from_static(b"x"), PutIf::Always).await.unwrap();
        assert!(etag.is_some_and(|etag| !etag.is_zero_block()));
        assert_eq!(discard.get("k", GetIf::Always, 10).await.unwrap(), Got::Absent);
        assert_eq!(discard.list("", "").await.unwrap(), ListPage::default());
        assert!(discard.delete_many(vec!["k".into(), "l".into()]).await.iter().all(Result::is_ok));
    }
}
