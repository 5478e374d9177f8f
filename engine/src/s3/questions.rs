//! Questions about the bucket itself, for a person who wants to know what it would do to a disk. No mount asks them.

use http::{Method, StatusCode};

use super::reply::ErrorBody;
use super::{MAX_DOCUMENT, S3Backend};
use crate::clock;
use crate::error::Result;

/// What a bucket says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAnswer {
    /// The XML document; `None`: it has no such configuration.
    pub document: Option<String>,
    /// Seconds that the server's clock is ahead of ours, a round trip more or less; `None`: it names no date.
    pub clock_ahead_s: Option<i64>,
}

impl S3Backend {
    /// A sub-resource of the bucket: `versioning`, `object-lock`, `lifecycle`, `replication`.
    ///
    /// # Errors
    /// As of any request. `Denied` is usual: reading a disk needs none of these permissions.
    pub async fn ask_bucket(&self, question: &str) -> Result<BucketAnswer> {
        let shared = &self.shared;
        let mut request = shared.bucket_request(Method::GET, shared.endpoint.sub_resource(question));
        request.max_body = MAX_DOCUMENT;
        let reply = shared.http.exchange(&request).await?;
        let ours = jiff::Timestamp::try_from(clock::wall()).ok();
        let clock_ahead_s = reply.date().zip(ours).map(|(theirs, ours)| theirs.as_second() - ours.as_second());
        let document = match reply.status {
            StatusCode::OK => Some(String::from_utf8_lossy(&reply.body).into_owned()),
            StatusCode::NOT_FOUND if is_absence(&ErrorBody::of(&reply).code) => None,
            _ => return Err(reply.error(&request, &shared.stats).context(format!("?{question}"))),
        };
        Ok(BucketAnswer { document, clock_ahead_s })
    }
}

/// 404 says "no such configuration" in as many codes as there are configurations.
fn is_absence(code: &str) -> bool {
    code.ends_with("ConfigurationNotFoundError")
        || code.ends_with("ConfigurationNotFound")
        || (code.starts_with("NoSuch") && code.ends_with("Configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_configuration_is_no_absent_bucket() {
        for code in [
            "NoSuchLifecycleConfiguration",
            "ObjectLockConfigurationNotFoundError",
            "ReplicationConfigurationNotFoundError",
        ] {
            assert!(is_absence(code), "{code}");
        }
        assert!(!is_absence("NoSuchBucket") && !is_absence("") && !is_absence("NoSuchKey"));
    }
}
