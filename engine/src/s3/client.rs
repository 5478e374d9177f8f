//! The HTTP client: connections, TLS, and what its errors say.

use reqwest::Certificate;

use super::connections::Names;
use crate::error::{Error, Result};
use crate::settings::S3Settings;

/// The whole story of an error: the outermost of reqwest's says little.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = next {
        let part = error.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

/// What every client of ours has.
pub(super) fn builder(settings: &S3Settings, tls: bool) -> Result<reqwest::ClientBuilder> {
    // Fails when another part of the process chose one first, which then is the one that counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("s3b/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(Names)
        .tcp_nodelay(true)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(settings.max_idle_connections)
        .tls_danger_accept_invalid_certs(settings.insecure);
    if !settings.http2 {
        builder = builder.http1_only();
    }
    if !tls {
        // A machine without any roots is no reason not to speak plain HTTP.
        return Ok(builder.tls_certs_only([]));
    }
    if let Some(path) = &settings.cacert {
        let refused = |why: String| Error::config(format!("--cacert={}: {why}; give a PEM file", path.display()));
        let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let roots = Certificate::from_pem_bundle(&pem).map_err(|error| refused(chain(&error)))?;
        if roots.is_empty() {
            return Err(refused("no certificate in it".into()));
        }
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder)
}

/// For the metadata service.
pub(super) fn plain_client(settings: &S3Settings) -> Result<reqwest::Client> {
    builder(settings, false)?.build().map_err(|error| Error::config(format!("HTTP client: {}", chain(&error))))
}
