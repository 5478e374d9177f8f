//! Where a bucket answers: one builder for the URL of every request, in path and in vhost style.
//!
//! Never percent-encodes twice, and never lets a URL parser fold a path: keys it would fold are refused.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, Result};
use crate::settings::S3Settings;

/// What SigV4 calls unreserved stays as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The canonical URI of S3 keeps slashes too.
const PATH: &AsciiSet = &QUERY.remove(b'/');

const DEFAULT_REGION: &str = "us-east-1";

/// The longest key S3 takes, in bytes.
const MAX_KEY: usize = 1024;

/// A bucket's place on the network.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// `http://host:port`, with the bucket in front of the host in vhost style; no slash at the end.
    origin: String,
    bucket: String,
    vhost: bool,
    region: String,
}

/// The address of one request, ready to be signed and sent: both see the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub url: String,
    /// What AWS signature version 2 signs: `/bucket/key` and the subresource.
    pub resource: String,
}

impl Endpoint {
    pub fn new(bucket: &str, settings: &S3Settings) -> Result<Self> {
        check_bucket_name(bucket)?;
        let region = settings.region.clone().unwrap_or_else(|| DEFAULT_REGION.into());
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Error::config(format!("--region={region}: not a region name; one that works: us-east-1")));
        }
        let base = match &settings.base_url {
            Some(url) => url.clone(),
            None => amazon_url(&region, settings.ssl),
        };
        let base = base.to_ascii_lowercase();
        let (scheme, authority) = split_base_url(&base)?;
        if settings.ssl && scheme == "http" {
            return Err(Error::config(format!("--base-url={base} contradicts --ssl; use https://{authority}/")));
        }
        let vhost = choose_style(bucket, settings, authority)?;
        let origin = if vhost { format!("{scheme}://{bucket}.{authority}") } else { format!("{scheme}://{authority}") };
        Ok(Self { origin, bucket: bucket.into(), vhost, region })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn is_tls(&self) -> bool {
        self.origin.starts_with("https:")
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// GET, HEAD, PUT and DELETE of one key.
    pub fn object(&self, key: &str) -> Result<Target> {
        check_key(key)?;
        let key = utf8_percent_encode(key, PATH);
        let resource = format!("/{}/{key}", self.bucket);
        let url = if self.vhost { format!("{}/{key}", self.origin) } else { format!("{}{resource}", self.origin) };
        Ok(Target { url, resource })
    }

    /// A listing; parameters are encoded here. Their order is that of the caller.
    pub fn list(&self, parameters: &[(&str, &str)]) -> Target {
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
        Target { url: format!("{}?{}", self.bucket_url(), query.join("&")), resource: format!("/{}/", self.bucket) }
    }

    /// The multi-object delete.
    pub fn delete_many(&self) -> Target {
        self.sub_resource("delete")
    }

    /// A question about the bucket, such as `versioning`.
    pub fn sub_resource(&self, name: &str) -> Target {
        Target { url: format!("{}?{name}=", self.bucket_url()), resource: format!("/{}/?{name}", self.bucket) }
    }

    /// With a slash at the end in both styles: what version 2 signs for a bucket ends in one too.
    fn bucket_url(&self) -> String {
        if self.vhost { format!("{}/", self.origin) } else { format!("{}/{}/", self.origin, self.bucket) }
    }
}

fn amazon_url(region: &str, ssl: bool) -> String {
    let scheme = if ssl { "https" } else { "http" };
    match region {
        DEFAULT_REGION => format!("{scheme}://s3.amazonaws.com/"),
        _ if region.starts_with("cn-") => format!("{scheme}://s3.{region}.amazonaws.com.cn/"),
        _ => format!("{scheme}://s3.{region}.amazonaws.com/"),
    }
}

/// Splits into scheme and authority; there is nothing else in a base URL.
fn split_base_url(base: &str) -> Result<(&'static str, &str)> {
    let refused = |why: &str| Err(Error::config(format!("--base-url={base}: {why}; like http://localhost:8333/")));
    let (scheme, rest) = if let Some(rest) = base.strip_prefix("http://") {
        ("http", rest)
    } else if let Some(rest) = base.strip_prefix("https://") {
        ("https", rest)
    } else {
        return refused("it must start with http:// or https://");
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return refused("nothing may follow the host");
    }
    if authority.contains('@') {
        return refused("credentials do not belong in a URL");
    }
    // HTTP clients leave out the default port, and the signature covers the host as sent.
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    match http::Uri::try_from(base).ok().and_then(|uri| uri.host().map(str::is_empty)) {
        Some(false) => Ok((scheme, authority)),
        _ => refused("no valid host"),
    }
}

/// s3backer's rule, except that a bucket name cannot be put in front of an address.
fn choose_style(bucket: &str, settings: &S3Settings, authority: &str) -> Result<bool> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_address = host.starts_with('[') || authority.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let vhost = settings.vhost.unwrap_or(settings.region.is_some() && !is_address);
    if vhost && is_address {
        return Err(Error::config(format!(
            "--vhost puts the bucket in front of the host, and {authority} is an address; use --no-vhost"
        )));
    }
    let is_host_name = bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if vhost && !is_host_name {
        return Err(Error::config(format!("bucket {bucket} cannot be part of a host name; use --no-vhost")));
    }
    Ok(vhost)
}

fn check_bucket_name(bucket: &str) -> Result<()> {
    let good = !bucket.is_empty()
        && bucket != "."
        && bucket != ".."
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if good {
        return Ok(());
    }
    Err(Error::config(format!("bucket {bucket:?}: a name has letters, digits, '-', '.' and '_' only, like my-bucket")))
}

/// Whether a key (or a prefix, which keys start with) can be addressed: URL parsers fold `.` and `..`, so that
/// a request for one key would reach another.
///
/// # Errors
/// `Config`, naming the prefix.
pub fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::config("an object needs a key; an empty one means the bucket"));
    }
    if key.len() > MAX_KEY {
        return Err(Error::config(format!("key {key:?} has {} bytes; S3 allows {MAX_KEY}", key.len())));
    }
    if key.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Error::config(format!(
            "key or prefix {key:?} has a segment '.' or '..', which HTTP folds away; use another name, like disk1/"
        )));
    }
    Ok(())
}

/// As [`check_key`], for `--prefix`: what follows it makes its last segment longer.
///
/// # Errors
/// `Config`, naming the prefix.
pub fn check_prefix(prefix: &str) -> Result<()> {
    check_key(&format!("{prefix}00000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str, region: Option<&str>, vhost: Option<bool>) -> S3Settings {
        let base_url = (!base_url.is_empty()).then(|| base_url.to_string());
        S3Settings { base_url, region: region.map(str::to_string), vhost, ..S3Settings::default() }
    }

    #[test]
    fn both_styles_reach_every_kind_of_request() {
        let path = Endpoint::new("mybucket", &settings("http://127.0.0.1:18231/", None, None)).unwrap();
        assert_eq!(path.object("disk1/00000000").unwrap().url, "http://127.0.0.1:18231/mybucket/disk1/00000000");
        assert_eq!(
            path.list(&[("list-type", "2"), ("prefix", "a b/")]).url,
            "http://127.0.0.1:18231/mybucket/?list-type=2&prefix=a%20b%2F"
        );
        assert_eq!(path.delete_many().url, "http://127.0.0.1:18231/mybucket/?delete=");
        assert_eq!(path.delete_many().resource, "/mybucket/?delete");

        let vhost = Endpoint::new("mybucket", &settings("http://localhost:19006/", Some("us-east-1"), None)).unwrap();
        let target = vhost.object("a&b é/~x").unwrap();
        assert_eq!(target.url, "http://mybucket.localhost:19006/a%26b%20%C3%A9/~x");
        assert_eq!(target.resource, "/mybucket/a%26b%20%C3%A9/~x");
        assert_eq!(vhost.list(&[("max-keys", "1")]).url, "http://mybucket.localhost:19006/?max-keys=1");
        assert_eq!(vhost.delete_many().url, "http://mybucket.localhost:19006/?delete=");
    }

    #[test]
    fn the_default_endpoint_follows_the_region() {
        let url = |region, vhost, ssl| {
            let settings = S3Settings { ssl, ..settings("", region, vhost) };
            Endpoint::new("b-1", &settings).unwrap().object("k").unwrap().url
        };
        assert_eq!(url(None, None, false), "http://s3.amazonaws.com/b-1/k");
        assert_eq!(url(Some("us-east-1"), None, true), "https://b-1.s3.amazonaws.com/k");
        assert_eq!(url(Some("eu-west-3"), None, true), "https://b-1.s3.eu-west-3.amazonaws.com/k");
        assert_eq!(url(Some("eu-west-3"), Some(false), true), "https://s3.eu-west-3.amazonaws.com/b-1/k");
    }

    #[test]
    fn what_a_url_parser_does_not_change_the_signature_covers() {
        let endpoint = Endpoint::new("b", &settings("http://h/", None, None)).unwrap();
        for key in ["a", "a//b", "/a", "a%2e", "a b+c", "ü/…/x", "a;b:c@d,e=f?g#h", "'\"<>[]{}|\\^`", "...", "a/.b/c."]
        {
            let url = endpoint.object(key).unwrap().url;
            assert_eq!(reqwest::Url::parse(&url).unwrap().as_str(), url, "{key}");
        }
    }

    #[test]
    fn folding_segments_are_refused() {
        for key in ["", ".", "..", "a/../b", "a/./b", "../x", "a/.."] {
            assert!(check_key(key).is_err(), "{key}");
        }
        check_prefix("disk/.").unwrap();
        assert!(check_prefix("disk/../").is_err());
    }

    #[test]
    fn bad_settings_are_refused_with_one_that_works() {
        for (bucket, base, vhost) in [
            ("", "", None),
            ("a/b", "", None),
            ("b", "ftp://x/", None),
            ("b", "http:///", None),
            ("b", "http://h/path/", None),
            ("b", "http://id:key@h/", None),
            ("b", "http://127.0.0.1:1/", Some(true)),
            ("b", "http://[::1]:1/", Some(true)),
            ("Upper", "http://h/", Some(true)),
        ] {
            let error = Endpoint::new(bucket, &settings(base, None, vhost)).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Config, "{bucket} {base}: {error}");
        }
        let both = S3Settings { ssl: true, ..settings("http://h/", None, None) };
        assert!(Endpoint::new("b", &both).is_err());
        // An address is no place for a bucket in front; naming a region alone must not break it.
        let address = settings("http://127.0.0.1:9/", Some("us-east-1"), None);
        assert_eq!(Endpoint::new("b", &address).unwrap().object("k").unwrap().url, "http://127.0.0.1:9/b/k");
    }
}
