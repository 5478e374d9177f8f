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

/// tokio's timer wheel spans 2^36 ms, about two years and two months: longer waits are made of several. Only virtual time,
/// which may be slowed a thousandfold, ever waits for so long.
const LONGEST_SLEEP: Duration = Duration::from_secs(1 << 26);

/// As good as never, a year or so, and short enough that no clock overflows.
pub const NEVER: Duration = Duration::from_secs(30_000_000);

/// How long `amount` takes at `per_s` a second, at most [`NEVER`].
pub fn transfer(amount: f64, per_s: f64) -> Duration {
    Duration::from_secs_f64((amount / per_s.max(f64::MIN_POSITIVE)).min(NEVER.as_secs_f64()))
}

pub async fn sleep(pause: Duration) {
    match now().checked_add(pause) {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub async fn sleep_until(deadline: Instant) {
    while let rest = deadline.saturating_duration_since(now())
        && rest > LONGEST_SLEEP
    {
        tokio::time::sleep(LONGEST_SLEEP).await;
    }
    tokio::time::sleep_until(deadline).await;
}

/// `None` when `limit` passes first; the future is dropped then.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = sleep(limit) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_beyond_the_timer_wheel_are_as_long_as_asked() {
        let start = now();
        let pause = LONGEST_SLEEP * 5 + Duration::from_millis(8);
        assert_eq!(timeout(pause / 2, sleep(pause)).await, None);
        assert_eq!(start.elapsed(), pause / 2);
        sleep_until(start + pause).await;
        assert_eq!(start.elapsed(), pause);
    }
}
