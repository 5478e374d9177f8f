//! Who signs: an access id with its secret, from flags, the environment, a file or an EC2 instance's role.
//!
//! Secrets are `SecretString`s from the first line that sees them: never in `Debug`, never in a log line, never in an
//! error. Refreshes a role's keys before they expire; knows nothing of requests to S3.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::request;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::S3Settings;

/// Amazon has the next keys ready five minutes before the old ones expire.
const REFRESH_BEFORE_EXPIRY_SECONDS: i64 = 300;
/// While the old keys still hold, the service is not asked more often than this.
const REFRESH_AGAIN_SECONDS: i64 = 20;
/// How long an IMDSv2 session may last; one serves one refresh.
const IMDS_SESSION_SECONDS: &str = "21600";
const IMDS: &str = "http://169.254.169.254";
/// The reply holds one set of keys.
const MAX_IMDS_REPLY: usize = 16 << 10;

/// One pair of keys.
#[derive(Clone)]
pub struct Identity {
    pub access_id: String,
    pub secret: SecretString,
    /// Temporary keys come with one.
    pub token: Option<SecretString>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ...)", self.access_id)
    }
}

/// A source of [`Identity`]s. Cheap to clone; clones share a role's keys.
#[derive(Clone, Debug)]
pub struct Credentials {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Anonymous,
    Fixed(Arc<Identity>),
    Role(Arc<Role>),
}

/// The outside world that [`Credentials::resolve`] looks at, so that tests can give another.
pub struct Surroundings<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// The process's environment.
    pub const PROCESS: Surroundings<'static> = Surroundings { variable: &process_variable };
}

fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Credentials {
    /// Unsigned requests.
    pub fn anonymous() -> Self {
        Self { source: Source::Anonymous }
    }

    pub fn fixed(access_id: impl Into<String>, secret: SecretString, token: Option<SecretString>) -> Self {
        let identity = Identity { access_id: access_id.into(), secret, token };
        Self { source: Source::Fixed(Arc::new(identity)) }
    }

    /// Finds the credentials the settings ask for. In order: the role; `--access-id` with `--access-key` (which is
    /// `access_key`), `--access-key-env`, the file's line for that id, or the environment's pair if it is that id; an
    /// `--access-file`; `AWS_ACCESS_KEY_ID` and its fellows; `$HOME/.s3backer_passwd`; nothing: unsigned requests.
    /// A role is asked at the first request, not here.
    ///
    /// # Errors
    /// `Config`, for settings that contradict each other or lead nowhere.
    pub fn resolve(settings: &S3Settings, access_key: Option<SecretString>, around: &Surroundings<'_>) -> Result<Self> {
        let source = &settings.credentials;
        if let Some(role) = &source.ec2_role {
            if source.access_id.is_some() || access_key.is_some() || source.access_key_env.is_some() {
                return Err(Error::config(format!(
                    "--access-ec2-iam={role} excludes --access-id, --access-key and --access-key-env; give one of them"
                )));
            }
            return Ok(Self { source: Source::Role(Arc::new(Role::new(role, settings)?)) });
        }
        if source.ec2_imds_v2 {
            return Err(Error::config("--access-ec2-iam-imdsv2 needs a role; like --access-ec2-iam=my-role"));
        }
        if access_key.is_some() && source.access_key_env.is_some() {
            return Err(Error::config("--access-key and --access-key-env exclude each other; give one of them"));
        }
        let secret = match &source.access_key_env {
            None => access_key,
            Some(name) => {
                Some((around.variable)(name).filter(|secret| !secret.is_empty()).map(Into::into).ok_or_else(|| {
                    Error::config(format!("--access-key-env={name}: this variable is not set; export it"))
                })?)
            }
        };
        match (source.access_id.as_deref(), secret) {
            (Some(""), None) => Ok(Self::anonymous()),
            (Some(""), Some(_)) | (None, Some(_)) => {
                Err(Error::config("a secret access key needs its id; like --access-id=AKIAEXAMPLE"))
            }
            (Some(id), Some(secret)) => Ok(Self::fixed(id, secret, None)),
            (Some(id), None) => Self::secret_of(id, source.access_file.as_deref(), around),
            (None, None) => Self::ambient(source.access_file.as_deref(), around),
        }
    }

    fn secret_of(id: &str, file: Option<&Path>, around: &Surroundings<'_>) -> Result<Self> {
        if let Some(identity) = read_access_file(file, Some(id), around)? {
            return Ok(identity);
        }
        if (around.variable)("AWS_ACCESS_KEY_ID").as_deref() == Some(id)
            && let Some(found) = from_environment(around)?
        {
            return Ok(found);
        }
        Err(Error::config(format!(
            "--access-id={id}: no secret key found; give --access-key-env=VARIABLE, or a line {id}:KEY in the access file"
        )))
    }

    fn ambient(file: Option<&Path>, around: &Surroundings<'_>) -> Result<Self> {
        if let Some(path) = file {
            return read_access_file(file, None, around)?.ok_or_else(|| {
                Error::config(format!("--access-file={}: no line id:key in it; write one", path.display()))
            });
        }
        if let Some(found) = from_environment(around)? {
            return Ok(found);
        }
        Ok(read_access_file(None, None, around)?.unwrap_or_else(Self::anonymous))
    }

    pub fn is_anonymous(&self) -> bool {
        matches!(self.source, Source::Anonymous)
    }

    /// The keys to sign with now; `None`: do not sign.
    pub(super) async fn current(&self) -> Result<Option<Arc<Identity>>> {
        match &self.source {
            Source::Anonymous => Ok(None),
            Source::Fixed(identity) => Ok(Some(identity.clone())),
            Source::Role(role) => role.current().await.map(Some),
        }
    }

    /// Other keys than the refused ones; `None`: this source has no others.
    pub(super) async fn replace(&self, refused: &Arc<Identity>) -> Result<Option<Arc<Identity>>> {
        match &self.source {
            Source::Role(role) => role.replace(refused).await.map(Some),
            Source::Anonymous | Source::Fixed(_) => Ok(None),
        }
    }
}

fn from_environment(around: &Surroundings<'_>) -> Result<Option<Credentials>> {
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    let Some(id) = variable("AWS_ACCESS_KEY_ID") else {
        return Ok(None);
    };
    let Some(secret) = variable("AWS_SECRET_ACCESS_KEY") else {
        return Err(Error::config("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; export both"));
    };
    let token = variable("AWS_SESSION_TOKEN").map(SecretString::from);
    Ok(Some(Credentials::fixed(id, secret.into(), token)))
}

/// `path`: as given by the user, who wants it to exist; `None`: the default file, which need not.
fn read_access_file(path: Option<&Path>, id: Option<&str>, around: &Surroundings<'_>) -> Result<Option<Credentials>> {
    let default = || Some(Path::new(&(around.variable)("HOME")?).join(".s3backer_passwd"));
    let Some(file) = path.map(Path::to_path_buf).or_else(default) else {
        return Ok(None);
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => SecretString::from(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => return Ok(None),
        Err(error) => {
            return Err(Error::config(format!("--access-file={}: {error}; make it readable", file.display())));
        }
    };
    Ok(first_entry(&text, id).map(|(id, secret)| Credentials::fixed(id, secret, None)))
}

/// Lines `id:key`; `#`, blank and indented ones do not count.
fn first_entry(text: &SecretString, wanted: Option<&str>) -> Option<(String, SecretString)> {
    text.expose_secret()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with(char::is_whitespace))
        .filter_map(|line| line.trim_end().split_once(':'))
        .find(|(id, key)| !id.is_empty() && !key.is_empty() && wanted.is_none_or(|wanted| wanted == *id))
        .map(|(id, key)| (id.to_string(), key.to_string().into()))
}

/// The keys of an EC2 instance's role, from its metadata service.
struct Role {
    name: String,
    endpoint: String,
    imds_v2: bool,
    http: reqwest::Client,
    limit: std::time::Duration,
    keys: Mutex<Option<Keys>>,
    /// One refresh at a time; others go on with keys that still hold, or wait.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Keys {
    identity: Arc<Identity>,
    /// Unix seconds.
    expires: i64,
    refresh_from: i64,
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({})", self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImdsReply {
    access_key_id: String,
    secret_access_key: SecretText,
    token: Option<SecretText>,
    expiration: Option<String>,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretText(SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

fn now_seconds() -> i64 {
    jiff::Timestamp::try_from(clock::wall()).map_or(0, jiff::Timestamp::as_second)
}

impl Role {
    fn new(name: &str, settings: &S3Settings) -> Result<Self> {
        if name.is_empty() || name.contains(['?', '#', '%']) || name.contains(char::is_whitespace) {
            return Err(Error::config(format!("--access-ec2-iam={name}: not the name of a role; like my-role")));
        }
        let endpoint = settings.credentials.ec2_endpoint.as_deref().unwrap_or(IMDS).trim_end_matches('/').to_string();
        Ok(Self {
            name: name.into(),
            endpoint,
            imds_v2: settings.credentials.ec2_imds_v2,
            http: request::plain_client(settings)?,
            limit: settings.connect_timeout,
            keys: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        })
    }

    async fn current(&self) -> Result<Arc<Identity>> {
        let now = now_seconds();
        let held = self.keys.lock().clone().filter(|keys| now < keys.expires);
        let Some(held) = held else {
            let _one = self.refreshing.lock().await;
            let fresh = self.keys.lock().clone().filter(|keys| now_seconds() < keys.expires);
            return match fresh {
                Some(keys) => Ok(keys.identity),
                None => self.fetch().await,
            };
        };
        if now < held.refresh_from {
            return Ok(held.identity);
        }
        let Ok(_one) = self.refreshing.try_lock() else {
            return Ok(held.identity);
        };
        self.fetch().await.or_else(|error| {
            tracing::warn!("keeping the old keys for now: {error}");
            if let Some(keys) = self.keys.lock().as_mut() {
                keys.refresh_from = now + REFRESH_AGAIN_SECONDS;
            }
            Ok(held.identity)
        })
    }

    async fn replace(&self, refused: &Arc<Identity>) -> Result<Arc<Identity>> {
        let _one = self.refreshing.lock().await;
        let held = self.keys.lock().clone();
        match held {
            Some(keys) if !Arc::ptr_eq(&keys.identity, refused) => Ok(keys.identity),
            _ => self.fetch().await,
        }
    }

    async fn fetch(&self) -> Result<Arc<Identity>> {
        let reply = self.ask().await?;
        let bad = |what: &str| self.error(ErrorKind::Transient, what);
        let reply: ImdsReply =
            serde_json::from_slice(&reply).map_err(|_| bad("the reply holds no AccessKeyId and SecretAccessKey"))?;
        let expires = match &reply.expiration {
            None => i64::MAX,
            Some(text) => text.parse::<jiff::Timestamp>().map_err(|_| bad("its Expiration is no time"))?.as_second(),
        };
        let identity = Arc::new(Identity {
            access_id: reply.access_key_id,
            secret: reply.secret_access_key.0,
            token: reply.token.map(|token| token.0),
        });
        let mut refresh_from = expires.saturating_sub(REFRESH_BEFORE_EXPIRY_SECONDS);
        let mut keys = self.keys.lock();
        if keys.as_ref().is_some_and(|old| old.identity.access_id == identity.access_id) {
            // The next ones are not there yet.
            refresh_from = refresh_from.max(now_seconds() + REFRESH_AGAIN_SECONDS);
        }
        *keys = Some(Keys { identity: identity.clone(), expires, refresh_from });
        Ok(identity)
    }

    async fn ask(&self) -> Result<Vec<u8>> {
        let mut get =
            self.http.get(format!("{}/latest/meta-data/iam/security-credentials/{}", self.endpoint, self.name));
        if self.imds_v2 {
            let put = self.http.put(format!("{}/latest/api/token", self.endpoint));
            let put =
                put.header("x-aws-ec2-metadata-token-ttl-seconds", IMDS_SESSION_SECONDS).header("content-length", "0");
            let session = self.exchange(put).await?;
            let mut session = reqwest::header::HeaderValue::from_bytes(&session)
                .map_err(|_| self.error(ErrorKind::Transient, "its session token is no header value"))?;
            session.set_sensitive(true);
            get = get.header("x-aws-ec2-metadata-token", session);
        }
        self.exchange(get).await
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let broken = |error: reqwest::Error| self.error(ErrorKind::Transient, request::chain(&error));
        let exchange = async {
            let mut response = request.send().await.map_err(broken)?;
            let status = response.status();
            if !status.is_success() {
                let kind = match status.as_u16() {
                    429 | 500.. => ErrorKind::Transient,
                    _ => ErrorKind::Denied,
                };
                return Err(self.error(kind, format!("it answers {status}")));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_IMDS_REPLY {
                    return Err(self.error(ErrorKind::Failed, "its reply is too long"));
                }
            }
            Ok(body)
        };
        clock::timeout(self.limit, exchange)
            .await
            .unwrap_or_else(|| Err(self.error(ErrorKind::Timeout, format!("no answer in {:?}", self.limit))))
    }

    fn error(&self, kind: ErrorKind, what: impl fmt::Display) -> Error {
        Error::new(
            kind,
            format!(
                "keys of role {} from the metadata service {}: {what}; check --access-ec2-iam and that this is an EC2 \
                 instance with that role",
                self.name, self.endpoint
            ),
        )
    }
}

#[cfg(test)]
mod tests;
