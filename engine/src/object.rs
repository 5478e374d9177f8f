//! The contract below the object blocks: named objects with a few headers.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::etag::ETag;

/// Headers that travel with an object. Names are lower case on the way in and out.
///
/// Plain blocks have none but the content type, which backends may drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `Content-Type`; not kept by every backend.
    pub content_type: Option<&'static str>,
    /// `Content-Encoding`, as sent.
    pub content_encoding: Option<String>,
    /// `x-amz-meta-NAME: value`, without the `x-amz-meta-`, sorted by name.
    pub meta: Vec<(String, String)>,
    /// Never sent. The cells of a weightless block ([`crate::payload`]), whose body has the length that it would have
    /// and no meaning.
    pub stands_for: Option<Bytes>,
}

impl ObjectHeaders {
    /// The value of one metadata header, by its lower-case name without `x-amz-meta-`.
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.meta.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What an object must look like for a GET to answer with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetIf {
    Always,
    /// `If-Match`: otherwise [`Got::Mismatch`].
    Matches(ETag),
    /// `If-None-Match`: otherwise [`Got::NotModified`].
    Differs(ETag),
}

/// What must be there for a PUT to happen; otherwise an error of kind [`Conflict`](crate::error::ErrorKind::Conflict).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutIf {
    Always,
    /// `If-None-Match: *`: create only. Some servers ignore it silently.
    Absent,
}

/// The answer to a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Object(Object),
    /// No such key. A missing bucket is an error, never this.
    Absent,
    /// 304: it still has the ETag given with [`GetIf::Differs`].
    NotModified,
    /// 412: it has not the ETag given with [`GetIf::Matches`].
    Mismatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub body: Bytes,
    pub headers: ObjectHeaders,
    pub etag: Option<ETag>,
}

/// The answer to a HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    pub headers: ObjectHeaders,
    pub etag: Option<ETag>,
    pub len: u64,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Keys in byte order.
    pub keys: Vec<String>,
    /// Whether keys after the last one remain.
    pub truncated: bool,
}

/// Named objects. One call is one request (plus what the S3 client must repeat at once: a re-signed
/// request after clock skew or expired credentials). Patience lives in [`crate::retry`], above this.
pub trait ObjectBackend: Send + Sync + 'static {
    /// Reads an object of at most `max_len` bytes; a longer one is [`Corrupt`](crate::error::ErrorKind::Corrupt).
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>>;

    /// `None` when there is no such key.
    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>>;

    /// Stores an object whole. The server (or the file system) never shows a part of it.
    /// Answers the ETag where the store gave one.
    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>>;

    /// Deletes a key; an absent one is a success.
    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>>;

    /// Deletes up to 1000 keys in one request where the backend can; one answer per key, in order.
    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>>;

    /// One page (up to 1000) of the keys that start with `prefix` and sort after `after`.
    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>>;

    /// Makes completed PUTs and DELETEs survive a power loss. Object stores do so by themselves.
    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What a person would call this place, for messages: `s3://bucket` or a path.
    fn describe(&self) -> String;
}
