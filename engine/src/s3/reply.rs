//! What an answer means: its error document, its headers, and the error a person reads.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, DATE, ETAG, HeaderMap, LOCATION, RETRY_AFTER};

use super::request::Request;
use super::xml;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::etag::ETag;
use crate::object::ObjectHeaders;
use crate::stats::Stats;

const META: &str = "x-amz-meta-";
/// Of what the server says; the rest of a long message helps nobody.
const MAX_MESSAGE: usize = 300;

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// An `<Error>` document; empty strings where it says nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub code: String,
    pub message: String,
    region: String,
    endpoint: String,
}

impl ErrorBody {
    pub fn of(reply: &Reply) -> Self {
        Self::parse(&reply.body).unwrap_or_default()
    }

    /// The header itself is refused, as unknown; not its value, for a body damaged on its way.
    pub fn refuses_checksum_header(&self) -> bool {
        self.message.contains("x-amz-checksum") && kind_of_code(&self.code).is_none()
    }

    /// `None`: this is no error document.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut error = Self::default();
        let mut is_error = false;
        xml::visit(body, |path, text| match path {
            ["Error", "Code"] => error.code = text.trim().into(),
            ["Error", "Message"] => error.message = text.trim().chars().take(MAX_MESSAGE).collect(),
            ["Error", "Region"] => error.region = text.trim().into(),
            ["Error", "Endpoint"] => error.endpoint = text.trim().into(),
            ["Error"] => is_error = true,
            _ => {}
        })?;
        is_error.then_some(error)
    }
}

impl Reply {
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn etag(&self) -> Option<ETag> {
        ETag::from_header(self.header(ETAG)?)
    }

    /// The server's clock.
    pub fn date(&self) -> Option<jiff::Timestamp> {
        parse_http_date(self.header(DATE)?)
    }

    /// Seconds, or a date of the server's clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header(RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let now = self.date().or_else(|| jiff::Timestamp::try_from(clock::wall()).ok())?;
        let seconds = parse_http_date(text)?.as_second() - now.as_second();
        Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
    }

    pub fn object_headers(&self) -> ObjectHeaders {
        let encodings: Vec<String> = self
            .headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into())
            .collect();
        let mut meta: Vec<(String, String)> = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix(META)?;
                Some((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            })
            .collect();
        meta.sort();
        ObjectHeaders {
            content_type: None,
            content_encoding: (!encodings.is_empty()).then(|| encodings.join(", ")),
            meta,
            stands_for: None,
        }
    }

    /// The error this answer is, counted.
    pub fn error(&self, request: &Request, stats: &Stats) -> Error {
        count(self.status, stats);
        let body = ErrorBody::of(self);
        let what = format_args!("{} {}", request.method, request.what);
        let error = classified(what, self.status, &body, self);
        error.with_retry_after(self.retry_after())
    }

    /// A success that carries an error document after all, as S3 answers when it fails after the status went out.
    pub fn hidden_error(&self, request: &Request, stats: &Stats) -> Option<Error> {
        let body = ErrorBody::parse(&self.body)?;
        stats.http.other_error.increment();
        Some(
            classified(format_args!("{} {}", request.method, request.what), self.status, &body, self)
                .with_retry_after(self.retry_after()),
        )
    }
}

fn parse_http_date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

fn count(status: StatusCode, stats: &Stats) {
    let http = &stats.http;
    match status.as_u16() {
        401 => http.unauthorized.increment(),
        403 => http.forbidden.increment(),
        // Counted by whoever asked for a condition, or not an error.
        404 | 412 => {}
        301 | 302 | 307 | 308 => http.redirect.increment(),
        300..400 => http.error_3xx.increment(),
        400..500 => http.error_4xx.increment(),
        500..600 => http.error_5xx.increment(),
        _ => http.other_error.increment(),
    }
}

fn classified(what: fmt::Arguments<'_>, status: StatusCode, body: &ErrorBody, reply: &Reply) -> Error {
    let (kind, advice) = meaning(status, body, reply);
    let code = if body.code.is_empty() { String::new() } else { format!(" {}", body.code) };
    let message = if body.message.is_empty() { String::new() } else { format!(" ({})", body.message) };
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    Error::new(kind, format!("{what}: {}{code}{message}{advice}", status.as_u16()))
}

/// Of one key in a multi-delete, which has a code and no status.
pub(super) fn key_error(what: fmt::Arguments<'_>, code: &str, message: &str) -> Error {
    let kind = kind_of_code(code).unwrap_or(ErrorKind::Failed);
    let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
    let advice = if kind == ErrorKind::Denied { "; the key's owner must be allowed s3:DeleteObject" } else { "" };
    Error::new(kind, format!("{what}: {code}{message}{advice}"))
}

/// Codes that mean the same whatever the status.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "NoSuchBucket" => ErrorKind::NoBucket,
        "InternalError"
        | "SlowDown"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "TooManyRequests" => ErrorKind::Transient,
        // The body was damaged or cut on its way.
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" | "IncompleteBody" => {
            ErrorKind::Transient
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => ErrorKind::Redirect,
        "PreconditionFailed" => ErrorKind::Conflict,
        "AccessDenied"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "InvalidToken"
        | "RequestTimeTooSkewed"
        | "AccountProblem"
        | "AllAccessDisabled" => ErrorKind::Denied,
        _ => return None,
    })
}

fn meaning(status: StatusCode, body: &ErrorBody, reply: &Reply) -> (ErrorKind, String) {
    let kind = kind_of_code(&body.code).unwrap_or(match status.as_u16() {
        401 | 403 => ErrorKind::Denied,
        301 | 302 | 307 | 308 => ErrorKind::Redirect,
        // A 304 nobody asked for comes from something between us and the store.
        304 | 408 | 429 => ErrorKind::Transient,
        412 => ErrorKind::Conflict,
        501 | 505 => ErrorKind::Failed,
        500..600 => ErrorKind::Transient,
        _ => ErrorKind::Failed,
    });
    let advice = match (kind, body.code.as_str()) {
        (ErrorKind::NoBucket, _) => "create the bucket, or check its name, --base-url and --region".into(),
        (ErrorKind::Redirect, _) => redirect_advice(body, reply),
        (_, "SignatureDoesNotMatch") => {
            "the secret key does not belong to the id; check --access-key, --access-key-env or the access file, and \
             --region"
                .into()
        }
        (_, "InvalidAccessKeyId") => "the server does not know this id; check --access-id and --base-url".into(),
        (_, "RequestTimeTooSkewed") => "set this machine's clock; the server's is in its Date header".into(),
        (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken") => {
            "the session token is no longer good; get new temporary credentials, or use --access-ec2-iam".into()
        }
        (ErrorKind::Denied, _) => {
            "check --access-id and its secret, and that they may GET, PUT, DELETE and LIST in this bucket".into()
        }
        (ErrorKind::Failed, "") if status.as_u16() == 404 => {
            "neither NoSuchKey nor NoSuchBucket: is --base-url an S3 server?".into()
        }
        _ => String::new(),
    };
    (kind, advice)
}

fn redirect_advice(body: &ErrorBody, reply: &Reply) -> String {
    let region = reply.header("x-amz-bucket-region").filter(|r| !r.is_empty()).or(Some(body.region.as_str()));
    match (region, reply.header(LOCATION), body.endpoint.as_str()) {
        (Some(region), ..) if !region.is_empty() => format!("the bucket is in region {region}; use --region={region}"),
        (_, Some(location), _) => format!("it points to {location}; check --region, --base-url and --vhost"),
        (.., endpoint) if !endpoint.is_empty() => {
            format!("it points to {endpoint}; check --region, --base-url and --vhost")
        }
        _ => "the bucket is somewhere else; check --region, --base-url and --vhost".into(),
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::super::url::Target;
    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: body.to_string().into(),
        }
    }

    fn error(status: u16, headers: &[(&'static str, &str)], code: &str) -> Error {
        let request = Request {
            method: http::Method::PUT,
            target: Target { url: String::new(), resource: String::new() },
            what: "s3://b/k".into(),
            headers: Vec::new(),
            body: Bytes::new(),
            content_md5: false,
            max_body: 0,
        };
        let body = if code.is_empty() { String::new() } else { format!("<Error><Code>{code}</Code></Error>") };
        reply(status, headers, &body).error(&request, &Stats::default())
    }

    #[test]
    fn every_status_and_code_has_its_kind() {
        for (status, code, kind) in [
            (400, "BadDigest", ErrorKind::Transient),
            (400, "RequestTimeout", ErrorKind::Transient),
            (400, "ExpiredToken", ErrorKind::Denied),
            (400, "AuthorizationHeaderMalformed", ErrorKind::Redirect),
            (400, "InvalidArgument", ErrorKind::Failed),
            (401, "", ErrorKind::Denied),
            (403, "SignatureDoesNotMatch", ErrorKind::Denied),
            (404, "NoSuchBucket", ErrorKind::NoBucket),
            (404, "", ErrorKind::Failed),
            (301, "", ErrorKind::Redirect),
            (307, "", ErrorKind::Redirect),
            (304, "", ErrorKind::Transient),
            (409, "ConditionalRequestConflict", ErrorKind::Transient),
            (409, "BucketNotEmpty", ErrorKind::Failed),
            (412, "", ErrorKind::Conflict),
            (429, "", ErrorKind::Transient),
            (500, "", ErrorKind::Transient),
            (501, "NotImplemented", ErrorKind::Failed),
            (503, "SlowDown", ErrorKind::Transient),
            (200, "InternalError", ErrorKind::Transient),
        ] {
            assert_eq!(error(status, &[], code).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn messages_name_request_status_code_and_the_next_step() {
        let denied = error(403, &[], "SignatureDoesNotMatch").to_string();
        for part in ["PUT s3://b/k", "403", "SignatureDoesNotMatch", "--access-key", "--region"] {
            assert!(denied.contains(part), "{part} in {denied}");
        }
        let moved = error(301, &[("x-amz-bucket-region", "eu-west-3")], "").to_string();
        assert!(moved.contains("--region=eu-west-3"), "{moved}");
        let moved = error(307, &[("location", "http://elsewhere/")], "").to_string();
        assert!(moved.contains("http://elsewhere/"), "{moved}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_of_the_server() {
        let wait = |headers: &[(&'static str, &str)]| error(503, headers, "").retry_after().map(|d| d.as_secs());
        assert_eq!(wait(&[("retry-after", "17")]), Some(17));
        let date = ("date", "Sun, 22 Nov 2026 07:28:26 GMT");
        assert_eq!(wait(&[date, ("retry-after", "Sun, 22 Nov 2026 07:29:26 GMT")]), Some(60));
        assert_eq!(wait(&[date, ("retry-after", "Sun, 22 Nov 2026 07:00:00 GMT")]), Some(0));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn headers_come_out_lower_case_sorted_and_joined() {
        let reply = reply(
            200,
            &[
                ("x-amz-meta-s3backer-filesize", "1048576"),
                ("x-amz-meta-a", "ü"),
                ("content-encoding", "deflate"),
                ("content-encoding", "encrypt-AES-128-CBC"),
                ("etag", "W/\"6679d91884f0a23669a05dd5ae45ad88\""),
            ],
            "",
        );
        let headers = reply.object_headers();
        assert_eq!(headers.content_encoding.as_deref(), Some("deflate, encrypt-AES-128-CBC"));
        assert_eq!(headers.meta, [("a", "ü"), ("s3backer-filesize", "1048576")].map(|(n, v)| (n.into(), v.into())));
        assert_eq!(reply.etag(), None);
    }

    #[test]
    fn a_wrong_checksum_is_not_an_unknown_header() {
        let refuses = |code: &str, message: &str| {
            let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            ErrorBody::parse(body.as_bytes()).unwrap().refuses_checksum_header()
        };
        assert!(refuses("InvalidArgument", "Unsupported header 'x-amz-checksum-sha256'"));
        assert!(refuses("NotImplemented", "Header 'x-amz-checksum-sha256' is not implemented"));
        assert!(!refuses("XAmzContentChecksumMismatch", "The provided 'x-amz-checksum' header does not match"));
        assert!(!refuses("InvalidArgument", "other"));
    }

    #[test]
    fn only_an_error_document_is_an_error() {
        assert_eq!(ErrorBody::parse(b"<Error><Code>X</Code></Error>").unwrap().code, "X");
        assert_eq!(ErrorBody::parse(b"<Other><Code>X</Code></Other>"), None);
        assert_eq!(ErrorBody::parse(b"not xml"), None);
        assert_eq!(ErrorBody::parse(b""), None);
    }
}
