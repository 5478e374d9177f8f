//! Waiting for other processes: always with a limit, always saying for what.
#![expect(clippy::disallowed_methods, reason = "other processes and the kernel run on real time")]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer. The error names what was waited for.
pub fn until<T>(limit: Duration, what: &str, mut answer: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return Ok(answer);
        }
        if start.elapsed() >= limit {
            bail!("{what}: still not so after {limit:?}");
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Runs something that may hang in the kernel (fsync, close, read) on a thread of its own. `None` when it is still
/// running after `limit`; the thread is left behind then, no signal reaches a FUSE request.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || {
        // The receiver may have given up.
        let _ = done.send(work());
    });
    match result.recv_timeout(limit) {
        Ok(value) => Some(value),
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a worker that ends without a panic has sent its result"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_name_their_reason() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(60), "three looks", || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.unwrap(), 3);
        let error = until::<()>(Duration::ZERO, "the moon", || None).unwrap_err();
        assert!(error.to_string().contains("the moon"), "{error}");
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        assert_eq!(within(Duration::ZERO, || thread::sleep(Duration::from_millis(200))), None);
    }

    #[test]
    #[should_panic(expected = "inside")]
    fn a_panic_on_the_thread_is_the_callers() {
        within(Duration::from_secs(60), || panic!("inside"));
    }
}
