//! One error type for the engine: a kind that decides what happens next, and a message for a person.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means to whoever has to decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A setting or an argument is wrong; only a person can mend it.
    Config,
    /// 401, 403: the credentials do not allow it.
    Denied,
    /// The bucket (or the directory) does not exist. Never the same as an absent object.
    NoBucket,
    /// 301, 302, 307, 308: another region or endpoint answers for this bucket.
    Redirect,
    /// May go away by itself: 5xx, 429, a broken connection, an unreachable host.
    Transient,
    /// No progress within the timeout. May go away by itself.
    Timeout,
    /// The store keeps answering with older content than is known to exist.
    Stale,
    /// A conditional PUT met another object (412).
    Conflict,
    /// The bytes are not what they should be: bad HMAC, wrong length, unknown encoding.
    Corrupt,
    /// The volume is read-only.
    ReadOnly,
    /// The caller asked for something outside the volume.
    OutOfRange,
    /// Another mount holds the volume.
    Busy,
    /// No room where room was needed (disk full).
    NoSpace,
    /// Anything else that is local and not expected to heal: file I/O, a request the server rejects.
    Failed,
    /// The engine is shutting down.
    Closed,
}

/// Cheap to clone: one failure may answer many waiters.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Arc<str>,
    retry_after: Option<Duration>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string().into(), retry_after: None }
    }

    /// A message that names the option, its value, and a value that works.
    pub fn config(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub fn corrupt(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub fn transient(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The server's wish for the earliest next attempt.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// Says what was being done, in front of the message; kind and wishes stay.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message).into();
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same request may succeed a little later without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Transient | ErrorKind::Timeout | ErrorKind::Stale)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Failed,
        };
        Self::new(kind, error)
    }
}
