//! The S3 backend: named objects in a bucket, over HTTP.
//!
//! Adds signatures, checksums, speed limits, and the reading of what servers really answer. Never retries what may
//! heal by waiting (that is [`crate::retry`]), never takes a missing bucket for a missing object, never follows a
//! redirect (it would leave with our signature), never buffers more of a body than the caller allows.
//!
//! **What a 404 means** is decided by the code in its body. A HEAD has no body, so a HEAD's 404 is confirmed by a GET of
//! the key's first byte, whose 404 has one (HEADs are rare: a few at mount). A GET's or DELETE's 404 without any body
//! is confirmed by listing one key. A 404 with a body that is no S3 error (a proxy's page) is an error, not a hole.

mod client;
mod connections;
pub mod credentials;
mod delete_many;
mod exchange;
mod flow;
mod list;
mod questions;
mod reply;
mod request;
mod sign;
mod url;
mod xml;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::{Method, StatusCode};

pub use self::credentials::{Credentials, Surroundings};
pub use self::questions::BucketAnswer;
pub use self::url::{check_key, check_prefix};

use self::exchange::{Http, content_length};
use self::list::ListVersion;
use self::reply::{ErrorBody, Reply};
use self::request::Request;
use self::sign::{Header, header};
use self::url::{Endpoint, Target};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, Object, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};
use crate::settings::S3Settings;
use crate::stats::Stats;

/// 1000 keys of 1 KiB, each byte percent-encoded, with as much again around them.
const MAX_LISTING: usize = 8 << 20;
/// The answer to a PUT or DELETE is an error document at most.
const MAX_DOCUMENT: usize = 64 << 10;
/// Single deletes at a time, for servers without multi-delete.
const PARALLEL_DELETES: usize = 16;

/// A bucket. Cloning shares connections and clock skew.
#[derive(Clone)]
pub struct S3Backend {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    http: Http,
    stats: Arc<Stats>,
    /// Every PUT has these.
    put_headers: Vec<Header>,
    storage_class: Option<Header>,
    /// The server knows no version 2 listing.
    list_v1: AtomicBool,
    /// The server knows no multi-delete.
    single_deletes: AtomicBool,
}

impl S3Backend {
    /// Opens nothing yet: the first request does. Call [`S3Backend::check_bucket`] to fail early.
    ///
    /// # Errors
    /// `Config`, naming the option.
    pub fn new(bucket: &str, settings: &S3Settings, credentials: Credentials, stats: Arc<Stats>) -> Result<Self> {
        let endpoint = Endpoint::new(bucket, settings)?;
        let (put_headers, storage_class) = setting_headers(settings)?;
        let http = Http::new(&endpoint, settings, credentials, stats.clone())?;
        let (list_v1, single_deletes) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Shared { endpoint, http, stats, put_headers, storage_class, list_v1, single_deletes };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// One cheap signed request that shows, in seconds, what no waiting would mend: a bucket that does not exist or lives
    /// elsewhere, keys that are not accepted, a clock that is wrong. Fetches a role's keys too.
    pub async fn check_bucket(&self) -> Result<()> {
        self.shared.list_page("", "", true).await.map(drop)
    }
}

/// What the settings add to every PUT (and, the storage class, to every DELETE, as s3backer does).
fn setting_headers(settings: &S3Settings) -> Result<(Vec<Header>, Option<Header>)> {
    let given = |flag: &str, name: &'static str, value: &Option<String>| match value.as_deref() {
        None | Some("") => Ok(None),
        Some(value) if http::HeaderValue::from_str(value).is_ok() && value.is_ascii() => Ok(Some(header(name, value))),
        Some(value) => Err(Error::config(format!("{flag}={value:?}: a header cannot carry it; use plain ASCII"))),
    };
    let storage_class = given("--storage-class", "x-amz-storage-class", &settings.storage_class)?;
    let sse = given("--sse", "x-amz-server-side-encryption", &settings.sse)?;
    let key_id = given("--sse-key-id", "x-amz-server-side-encryption-aws-kms-key-id", &settings.sse_key_id)?;
    if key_id.is_some() && !settings.sse.as_deref().is_some_and(|sse| sse.starts_with("aws:kms")) {
        return Err(Error::config("--sse-key-id is for --sse=aws:kms; give that too"));
    }
    let acl = given("--access-type", "x-amz-acl", &settings.access_type)?;
    Ok(([acl, sse, key_id, storage_class.clone()].into_iter().flatten().collect(), storage_class))
}

/// What a 404 turned out to be.
enum Missing {
    Key,
    Other(Error),
}

impl Shared {
    fn place(&self) -> String {
        format!("s3://{}", self.endpoint.bucket())
    }

    fn request(&self, method: Method, key: &str, max_body: usize) -> Result<Request> {
        let what = format!("{}/{key}", self.place());
        let target = self.endpoint.object(key).map_err(|error| error.context(format!("{method} {what}")))?;
        Ok(Request { method, target, what, headers: Vec::new(), body: Bytes::new(), content_md5: false, max_body })
    }

    fn bucket_request(&self, method: Method, target: Target) -> Request {
        let (headers, body) = (Vec::new(), Bytes::new());
        Request { method, target, what: self.place(), headers, body, content_md5: false, max_body: MAX_LISTING }
    }

    async fn get(&self, key: &str, condition: GetIf, max_len: usize) -> Result<Got> {
        let mut request = self.request(Method::GET, key, max_len)?;
        match condition {
            GetIf::Always => {}
            GetIf::Matches(etag) => request.headers.push(header("if-match", etag.to_header())),
            GetIf::Differs(etag) => request.headers.push(header("if-none-match", etag.to_header())),
        }
        let started = clock::now();
        let reply = self.http.exchange(&request).await?;
        let http = &self.stats.http;
        let got = match (reply.status, condition) {
            (StatusCode::OK, _) => {
                if matches!(condition, GetIf::Differs(_)) {
                    http.mismatch.increment();
                }
                let (headers, etag) = (reply.object_headers(), reply.etag());
                Got::Object(Object { body: reply.body, headers, etag })
            }
            (StatusCode::NOT_MODIFIED, GetIf::Differs(_)) => {
                http.verified.increment();
                Got::NotModified
            }
            (StatusCode::PRECONDITION_FAILED, GetIf::Matches(_)) => Got::Mismatch,
            (StatusCode::NOT_FOUND, _) => match self.missing(&request, &reply).await {
                Missing::Key => Got::Absent,
                Missing::Other(error) => return Err(error),
            },
            _ => return Err(reply.error(&request, &self.stats)),
        };
        http.gets.increment();
        http.get_time.add(clock::now() - started);
        if let Got::Object(object) = &got {
            http.get_bytes.add(object.body.len() as u64);
        }
        Ok(got)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let request = self.request(Method::HEAD, key, 0)?;
        let mut reply = self.http.exchange(&request).await?;
        if matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.explain_head(&request, &reply).await?;
            reply = self.http.exchange(&request).await?;
        }
        match reply.status {
            StatusCode::OK => {
                self.stats.http.heads.increment();
                let len = content_length(&reply.headers)
                    .ok_or_else(|| Error::failed(format!("HEAD {}: no Content-Length in the answer", request.what)))?;
                Ok(Some(ObjectInfo { headers: reply.object_headers(), etag: reply.etag(), len }))
            }
            StatusCode::NOT_FOUND => {
                self.confirm_absent(key).await?;
                self.stats.http.heads.increment();
                Ok(None)
            }
            _ => Err(reply.error(&request, &self.stats)),
        }
    }

    /// A HEAD's 404 says nothing; the GET of one byte says why.
    async fn confirm_absent(&self, key: &str) -> Result<()> {
        let mut request = self.request(Method::GET, key, MAX_DOCUMENT)?;
        request.headers.push(header("range", "bytes=0-0"));
        let reply = self.http.exchange(&request).await?;
        match reply.status {
            StatusCode::NOT_FOUND => match self.missing(&request, &reply).await {
                Missing::Key => Ok(()),
                Missing::Other(error) => Err(error),
            },
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(Error::transient(format!("HEAD {}: the object appeared meanwhile", request.what)))
            }
            _ => Err(reply.error(&request, &self.stats)),
        }
    }

    /// A refused HEAD has no code either. A listing's refusal names the cause; its success may have healed it (the
    /// clock's offset learnt, expired keys replaced), so that the HEAD is worth another try.
    async fn explain_head(&self, request: &Request, reply: &Reply) -> Result<()> {
        match self.list_page("", "", true).await {
            Ok(_) => Ok(()),
            Err(cause) => {
                let error = reply.error(request, &self.stats);
                let explains = cause.kind() == error.kind() || reply.status == StatusCode::BAD_REQUEST;
                Err(if explains { cause.context(format!("HEAD {}", request.what)) } else { error })
            }
        }
    }

    /// Decides on the code, as the module's head says.
    async fn missing(&self, request: &Request, reply: &Reply) -> Missing {
        if ErrorBody::of(reply).code == "NoSuchKey" {
            return Missing::Key;
        }
        if !reply.body.is_empty() {
            return Missing::Other(reply.error(request, &self.stats));
        }
        match self.list_page("", "", true).await {
            Ok(_) => Missing::Key,
            Err(error) => Missing::Other(error.context(format!("{} {}: 404", request.method, request.what))),
        }
    }

    async fn put(&self, key: &str, headers: ObjectHeaders, body: Bytes, condition: PutIf) -> Result<Option<ETag>> {
        let mut request = self.request(Method::PUT, key, MAX_DOCUMENT)?;
        request.headers = self.put_headers.clone();
        if let Some(content_type) = headers.content_type {
            request.headers.push(header("content-type", content_type));
        }
        if let Some(encoding) = headers.content_encoding {
            request.headers.push(header("content-encoding", encoding));
        }
        if condition == PutIf::Absent {
            request.headers.push(header("if-none-match", "*"));
        }
        for (name, value) in headers.meta {
            request.headers.push((format!("x-amz-meta-{name}").into(), value));
        }
        let sent = body.len() as u64;
        request.body = body;
        let started = clock::now();
        let reply = self.http.exchange(&request).await?;
        if !reply.status.is_success() {
            return Err(reply.error(&request, &self.stats));
        }
        if let Some(error) = reply.hidden_error(&request, &self.stats) {
            return Err(error);
        }
        let http = &self.stats.http;
        http.puts.increment();
        http.put_bytes.add(sent);
        http.put_time.add(clock::now() - started);
        Ok(reply.etag())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let mut request = self.request(Method::DELETE, key, MAX_DOCUMENT)?;
        request.headers.extend(self.storage_class.clone());
        let started = clock::now();
        let reply = self.http.exchange(&request).await?;
        match reply.status {
            status if status.is_success() => {
                if let Some(error) = reply.hidden_error(&request, &self.stats) {
                    return Err(error);
                }
            }
            StatusCode::NOT_FOUND => match self.missing(&request, &reply).await {
                Missing::Key => {}
                Missing::Other(error) => return Err(error),
            },
            _ => return Err(reply.error(&request, &self.stats)),
        }
        self.stats.http.deletes.increment();
        self.stats.http.delete_time.add(clock::now() - started);
        Ok(())
    }

    async fn delete_many(&self, keys: Vec<String>) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(keys.len());
        for batch in keys.chunks(delete_many::MAX_KEYS) {
            answers.extend(self.delete_batch(batch).await);
        }
        answers
    }

    async fn delete_batch(&self, keys: &[String]) -> Vec<Result<()>> {
        let can = |key: &String| delete_many::can_name(key) && check_key(key).is_ok();
        if keys.len() == 1 || self.single_deletes.load(Relaxed) || !keys.iter().all(can) {
            return self.delete_singly(keys).await;
        }
        match self.post_delete(keys).await {
            Ok(Some(answers)) => answers,
            Ok(None) => {
                self.single_deletes.store(true, Relaxed);
                tracing::info!("{} knows no multi-delete; deleting one by one", self.place());
                self.delete_singly(keys).await
            }
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn delete_singly(&self, keys: &[String]) -> Vec<Result<()>> {
        let deletes: Vec<_> = keys.iter().map(|key| self.delete(key)).collect();
        stream::iter(deletes).buffered(PARALLEL_DELETES).collect().await
    }

    /// `None`: the server knows no such request.
    async fn post_delete(&self, keys: &[String]) -> Result<Option<Vec<Result<()>>>> {
        let mut request = self.bucket_request(Method::POST, self.endpoint.delete_many());
        request.headers.push(header("content-type", "application/xml"));
        request.body = delete_many::document(keys).into();
        request.content_md5 = true;
        let reply = self.http.exchange(&request).await?;
        if matches!(reply.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            return Ok(None);
        }
        if !reply.status.is_success() {
            return Err(reply.error(&request, &self.stats));
        }
        if let Some(answers) = delete_many::answers(&reply, keys, &self.place()) {
            self.stats.http.bulk_deletes.increment();
            return Ok(Some(answers));
        }
        Err(reply.hidden_error(&request, &self.stats).unwrap_or_else(|| not_s3(&request)))
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<ListPage> {
        let page = self.list_page(prefix, after, false).await?;
        page.check(prefix, after, &self.place())
    }

    async fn list_page(&self, prefix: &str, after: &str, one: bool) -> Result<list::RawPage> {
        if self.list_v1.load(Relaxed) {
            return self.list_as(ListVersion::V1, prefix, after, one).await;
        }
        match self.list_as(ListVersion::V2, prefix, after, one).await {
            // An old server takes no notice of version 2's parameters, hence not of where to start.
            Ok(page) if page.is_v2 || !page.ignored(after) => Ok(page),
            Ok(_) => self.list_without_v2(prefix, after, one).await,
            Err(error) if error.kind() == ErrorKind::Failed => {
                self.list_without_v2(prefix, after, one).await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_without_v2(&self, prefix: &str, after: &str, one: bool) -> Result<list::RawPage> {
        let page = self.list_as(ListVersion::V1, prefix, after, one).await?;
        self.list_v1.store(true, Relaxed);
        Ok(page)
    }

    async fn list_as(&self, version: ListVersion, prefix: &str, after: &str, one: bool) -> Result<list::RawPage> {
        let target = self.endpoint.list(&list::query(version, prefix, after, one));
        let request = self.bucket_request(Method::GET, target);
        let reply = self.http.exchange(&request).await?;
        if reply.status != StatusCode::OK {
            return Err(reply.error(&request, &self.stats).context("listing"));
        }
        if let Some(page) = list::parse(&reply, prefix) {
            self.stats.http.lists.increment();
            return Ok(page);
        }
        Err(reply.hidden_error(&request, &self.stats).unwrap_or_else(|| not_s3(&request)))
    }
}

fn not_s3(request: &Request) -> Error {
    Error::failed(format!("{} {}: the answer is not S3's; is --base-url an S3 server?", request.method, request.what))
}

impl ObjectBackend for S3Backend {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.get(&key, condition, max_len).await })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        let (shared, key) = (self.shared.clone(), key.to_string());
        Box::pin(async move { shared.head(&key).await })
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
        Box::pin(async move { shared.delete(&key).await })
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let shared = self.shared.clone();
        Box::pin(async move { shared.delete_many(keys).await })
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        let (shared, prefix, after) = (self.shared.clone(), prefix.to_string(), after.to_string());
        Box::pin(async move { shared.list(&prefix, &after).await })
    }

    fn describe(&self) -> String {
        self.shared.place()
    }
}
