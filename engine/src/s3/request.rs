//! A request as the client means it, before it is signed.

use bytes::Bytes;
use http::Method;

use super::sign::Header;
use super::url::Target;

/// A request, before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub target: Target,
    /// What it is about, for messages: `s3://bucket/key`.
    pub what: String,
    pub headers: Vec<Header>,
    pub body: Bytes,
    /// Multi-delete must carry one.
    pub content_md5: bool,
    /// The longest body that a success may have.
    pub max_body: usize,
}
