//! The one door to time. Everything here follows tokio's clock, so a paused runtime runs the same
//! engine in virtual time; clippy forbids every other door.
#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::future::Future;
use std::time::{Duration, SystemTime};

pub use tokio::time::Instant;

/// Now, on the monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, for signatures, time stamps and log lines only; it may jump.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

pub async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}

/// `None` when `limit` passes first; the future is dropped then.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}
