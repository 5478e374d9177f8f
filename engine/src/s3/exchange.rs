//! One HTTP exchange: hashed, signed, sent, watched for progress, its answer read whole up to a limit.
//!
//! Repeats a request by itself in three cases only, once each: a clock that differs from the server's (re-signed with
//! the server's time), keys that expired (re-signed with new ones), and a server that refuses the checksum header by
//! name (Backblaze does; it gets Content-MD5 from then on). All other patience is [`crate::retry`]'s.
//!
//! Proxies named by the environment are not used: a mount must not depend on which shell started it, and a proxy
//! between a disk and its blocks is rarely meant. The TLS roots are the system's, or those of `--cacert` alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use reqwest::Body;

use super::client::{self, chain};
use super::connections::CountConnections;
use super::credentials::{Credentials, Identity};
use super::flow::{Limits, Progress, SpeedLimit, upload};
use super::reply::{ErrorBody, Reply};
use super::request::Request;
use super::sign::{self, Header, Payload, Scheme, Signable};
use super::url::Endpoint;
use crate::clock;
use crate::cpu::{Cpu, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::{AuthVersion, S3Settings};
use crate::stats::Stats;

/// Error documents are short; what is longer is cut.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The HTTP side of one bucket.
pub(super) struct Http {
    client: reqwest::Client,
    credentials: Credentials,
    version: AuthVersion,
    region: String,
    timeout: Duration,
    /// The server refuses `x-amz-checksum-sha256`.
    md5_only: AtomicBool,
    /// Seconds to add to our clock for the server's.
    skew: AtomicI64,
    upload_each: Option<u64>,
    download_each: Option<u64>,
    upload_total: Option<Arc<SpeedLimit>>,
    download_total: Option<Arc<SpeedLimit>>,
    cpu: Cpu,
    debug: bool,
    stats: Arc<Stats>,
}

impl Http {
    pub fn new(
        endpoint: &Endpoint,
        settings: &S3Settings,
        credentials: Credentials,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let client = client::builder(settings, endpoint.is_tls())?
            .connector_layer(CountConnections(stats.clone()))
            .build()
            .map_err(|error| Error::config(format!("HTTP client: {}", chain(&error))))?;
        Ok(Self {
            client,
            credentials,
            version: settings.auth_version,
            region: endpoint.region().into(),
            timeout: settings.timeout,
            md5_only: AtomicBool::new(false),
            skew: AtomicI64::new(0),
            upload_each: settings.max_upload_speed,
            download_each: settings.max_download_speed,
            upload_total: settings.total_upload_speed.map(SpeedLimit::bits_per_second),
            download_total: settings.total_download_speed.map(SpeedLimit::bits_per_second),
            cpu: Cpu::pool(std::thread::available_parallelism().map_or(1, usize::from)),
            debug: settings.debug_http,
            stats,
        })
    }

    /// Answers any status; errors are those of the transport and of the credentials.
    pub async fn exchange(&self, request: &Request) -> Result<Reply> {
        let mut identity = self.credentials.current().await?;
        let mut payload = self.hash(request, identity.is_none()).await;
        let (mut clock_was_set, mut keys_were_replaced) = (false, false);
        loop {
            let skew = self.skew.load(Relaxed);
            let reply = self.attempt(request, identity.as_deref(), &payload, skew).await?;
            if reply.status.is_success() || reply.status == StatusCode::NOT_FOUND {
                return Ok(reply);
            }
            let error = ErrorBody::of(&reply);
            if error.refuses_checksum_header() && payload.has_new_checksum() {
                tracing::info!("the server knows no x-amz-checksum-sha256; sending Content-MD5");
                self.md5_only.store(true, Relaxed);
                payload = self.hash(request, identity.is_none()).await;
                continue;
            }
            match (error.code.as_str(), &identity) {
                ("RequestTimeTooSkewed", Some(_)) if !clock_was_set => {
                    clock_was_set = true;
                    if !self.adopt_time(&reply, skew) {
                        return Ok(reply);
                    }
                }
                ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", Some(refused))
                    if !keys_were_replaced =>
                {
                    keys_were_replaced = true;
                    match self.credentials.replace(refused).await? {
                        Some(other) => identity = Some(other),
                        None => return Ok(reply),
                    }
                }
                _ => return Ok(reply),
            }
        }
    }

    async fn hash(&self, request: &Request, anonymous: bool) -> Payload {
        if request.body.is_empty() && request.method != Method::PUT && request.method != Method::POST {
            return Payload::empty();
        }
        let scheme = Scheme::new(self.version, anonymous);
        let (body, content_md5) = (request.body.clone(), request.content_md5 || self.md5_only.load(Relaxed));
        let work = [(Work::Sha256, body.len())];
        self.cpu.run(body.len(), move || Payload::of(&body, scheme, content_md5), |_| work).await
    }

    /// Takes over the server's time. Whether it differs from the time that `used` gave: another request may have
    /// taken it over already.
    fn adopt_time(&self, reply: &Reply, used: i64) -> bool {
        let (Some(theirs), Ok(ours)) = (reply.date(), jiff::Timestamp::try_from(clock::wall())) else {
            return false;
        };
        let skew = theirs.as_second() - ours.as_second();
        if self.skew.swap(skew, Relaxed) == used && skew != used {
            tracing::warn!("this machine's clock is {skew} s behind the server's; signing with the server's time");
        }
        skew != used
    }

    fn server_time(skew: i64) -> SystemTime {
        let seconds = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { clock::wall() - seconds } else { clock::wall() + seconds }
    }

    async fn attempt(
        &self,
        request: &Request,
        identity: Option<&Identity>,
        payload: &Payload,
        skew: i64,
    ) -> Result<Reply> {
        let mut headers = request.headers.clone();
        headers.extend(payload.checksum.clone());
        if let Some(identity) = identity {
            let signable =
                Signable { method: request.method.as_str(), target: &request.target, headers: &headers, payload };
            let signed = sign::sign(self.version, identity, &self.region, Self::server_time(skew), signable)?;
            headers.extend(signed);
        }
        let started = clock::now();
        let progress = Progress::new();
        let outcome = progress.watch(self.timeout, self.transfer(request, headers, &progress)).await;
        let result = outcome.unwrap_or_else(|| {
            self.stats.http.timeouts.increment();
            Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{} {}: no progress for {:?}; check the network, or raise --timeout",
                    request.method, request.what, self.timeout
                ),
            ))
        });
        if self.debug {
            let elapsed = clock::now() - started;
            match &result {
                Ok(reply) => tracing::info!(
                    "{} {} sent {} -> {} got {} in {elapsed:?}",
                    request.method,
                    request.target.url,
                    request.body.len(),
                    reply.status,
                    reply.body.len()
                ),
                Err(error) => tracing::info!("{} {} -> {error} in {elapsed:?}", request.method, request.target.url),
            }
        }
        result
    }

    async fn transfer(&self, request: &Request, headers: Vec<Header>, progress: &Arc<Progress>) -> Result<Reply> {
        let mut outgoing = self.client.request(request.method.clone(), &request.target.url);
        for (name, value) in headers {
            let mut header = HeaderValue::from_str(&value).map_err(|_| {
                Error::failed(format!(
                    "{} {}: {name} has a character no header can carry",
                    request.method, request.what
                ))
            })?;
            header.set_sensitive(matches!(name.as_ref(), "authorization" | "x-amz-security-token"));
            outgoing = outgoing.header(name.as_ref(), header);
        }
        if request.method == Method::PUT || request.method == Method::POST {
            outgoing = outgoing.header(CONTENT_LENGTH, request.body.len());
            if !request.body.is_empty() {
                let limits = Limits::new(self.upload_each, self.upload_total.as_ref());
                outgoing = outgoing.body(Body::wrap_stream(upload(request.body.clone(), limits, progress.clone())));
            }
        }
        let response = outgoing.send().await.map_err(|error| self.transport_error(request, &error))?;
        progress.touch();
        self.receive(request, response, progress).await
    }

    async fn receive(&self, request: &Request, mut response: reqwest::Response, progress: &Progress) -> Result<Reply> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        if request.method == Method::HEAD {
            return Ok(Reply { status, headers, body: Bytes::new() });
        }
        let limits = Limits::new(self.download_each, self.download_total.as_ref());
        let announced = content_length(&headers).unwrap_or(0);
        if status.is_success() && announced > request.max_body as u64 {
            return Err(too_long(request, &format!("{announced}")));
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport_error(request, &error))? {
            progress.touch();
            let length = first.len() + rest.len() + chunk.len();
            if status.is_success() && length > request.max_body {
                return Err(too_long(request, &format!("more than {}", request.max_body)));
            }
            limits.pay(chunk.len(), progress).await;
            if first.is_empty() && rest.is_empty() {
                // A body that comes in one piece is handed on as it is.
                first = chunk;
                continue;
            }
            if rest.is_empty() {
                rest.reserve(length.max(usize::try_from(announced).unwrap_or(0).min(request.max_body)));
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&chunk);
            if !status.is_success() && rest.len() > MAX_ERROR_BODY {
                break;
            }
        }
        let body = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Reply { status, headers, body })
    }

    fn transport_error(&self, request: &Request, error: &reqwest::Error) -> Error {
        let stats = &self.stats.http;
        let text = chain(error);
        let (kind, advice) = if error.is_dns() {
            stats.host_unknown.increment();
            (ErrorKind::Transient, "; check the network, --base-url and --region")
        } else if error.is_connect() && text.contains("certificate") {
            stats.connect_failed.increment();
            (ErrorKind::Failed, "; check --cacert, or --insecure to do without")
        } else if error.is_connect() {
            stats.connect_failed.increment();
            (ErrorKind::Transient, "; check the network and --base-url")
        } else if error.is_builder() {
            (ErrorKind::Failed, "")
        } else {
            stats.other_connection_error.increment();
            (ErrorKind::Transient, "")
        };
        Error::new(kind, format!("{} {}: {text}{advice}", request.method, request.what))
    }
}

fn too_long(request: &Request, length: &str) -> Error {
    Error::corrupt(format!(
        "{} {}: the body has {length} bytes where at most {} can be; is this object of another volume, or of another \
         block size?",
        request.method, request.what, request.max_body
    ))
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
