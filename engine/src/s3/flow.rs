//! How bytes flow: whether a request makes progress, and how fast it may.
//!
//! A timeout is a lack of progress, not a total time: a byte taken by the socket or received from it starts the
//! time anew, and a pause that a speed limit imposes does not count. Bytes in the kernel's send buffer count as
//! sent, so the last of them and the answer share one timeout.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use parking_lot::Mutex;

use crate::clock::{self, Instant};

/// Bytes handed to the socket at a time. Small enough to be progress on a slow line, large enough to cost nothing.
const CHUNK: usize = 64 << 10;
/// With a speed limit: this many chunks a second, so that the flow is even.
const CHUNKS_PER_SECOND: f64 = 20.0;

/// When a request last moved.
pub(super) struct Progress {
    state: Mutex<State>,
}

struct State {
    last: Instant,
    /// Held back by a speed limit, which is not the server's fault.
    held: bool,
}

impl Progress {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { last: clock::now(), held: false }) })
    }

    pub fn touch(&self) {
        *self.state.lock() = State { last: clock::now(), held: false };
    }

    fn hold(&self) {
        self.state.lock().held = true;
    }

    /// `None` when `limit` passed without progress; the future is dropped then.
    pub async fn watch<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            let deadline = {
                let state = self.state.lock();
                if state.held { clock::now() + limit } else { state.last + limit }
            };
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = clock::sleep_until(deadline) => {}
            }
            let state = self.state.lock();
            if !state.held && state.last + limit <= clock::now() {
                return None;
            }
        }
    }
}

/// A speed limit: one request's, or the shared one of all.
pub(super) struct SpeedLimit {
    bytes_per_second: f64,
    /// When what was let through so far is paid for.
    paid: Mutex<Instant>,
}

impl SpeedLimit {
    pub fn bits_per_second(bits: u64) -> Arc<Self> {
        Arc::new(Self { bytes_per_second: (bits as f64 / 8.0).max(1.0), paid: Mutex::new(clock::now()) })
    }

    /// Books `bytes`, and answers when they may have been sent.
    fn book(&self, bytes: usize) -> Instant {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut paid = self.paid.lock();
        *paid = (*paid).max(clock::now()) + cost;
        *paid
    }
}

/// The limits one request is under.
#[derive(Clone, Default)]
pub(super) struct Limits(pub Vec<Arc<SpeedLimit>>);

impl Limits {
    /// Of one direction: `each` request has its own, `total` is shared.
    pub fn new(each: Option<u64>, total: Option<&Arc<SpeedLimit>>) -> Self {
        Self(each.map(SpeedLimit::bits_per_second).into_iter().chain(total.cloned()).collect())
    }

    /// Waits until `bytes` are paid for.
    pub async fn pay(&self, bytes: usize, progress: &Progress) {
        let Some(until) = self.0.iter().map(|limit| limit.book(bytes)).max() else {
            return;
        };
        progress.hold();
        clock::sleep_until(until).await;
        progress.touch();
    }

    fn chunk(&self) -> usize {
        let slowest = self.0.iter().map(|limit| limit.bytes_per_second).fold(f64::INFINITY, f64::min);
        ((slowest / CHUNKS_PER_SECOND) as usize).clamp(1, CHUNK)
    }
}

/// A request body that reports progress and keeps to its limits. Slices; never copies.
pub(super) fn upload(
    body: Bytes,
    limits: Limits,
    progress: Arc<Progress>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
    let chunk = limits.chunk();
    stream::unfold((body, limits, progress), move |(mut rest, limits, progress)| async move {
        // Being asked for more means that the socket took what came before.
        progress.touch();
        if rest.is_empty() {
            return None;
        }
        let part = rest.split_to(chunk.min(rest.len()));
        limits.pay(part.len(), &progress).await;
        Some((Ok(part), (rest, limits, progress)))
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::settings::S3Settings;

    fn timeout() -> Duration {
        S3Settings::default().timeout
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_standstill_times_out() {
        let limit = timeout();
        let progress = Progress::new();
        let started = clock::now();
        let slow = async {
            for _ in 0..10 {
                clock::sleep(limit * 9 / 10).await;
                progress.touch();
            }
        };
        assert!(progress.watch(limit, slow).await.is_some());
        assert_eq!(clock::now() - started, limit * 9);

        let progress = Progress::new();
        let started = clock::now();
        let stalled = async {
            clock::sleep(limit / 2).await;
            progress.touch();
            std::future::pending::<()>().await;
        };
        assert!(progress.watch(limit, stalled).await.is_none());
        assert_eq!(clock::now() - started, limit * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_speed_limit_paces_and_is_no_standstill() {
        let progress = Progress::new();
        let limits = Limits::new(Some(8 * 1000), None);
        let started = clock::now();
        let body = Bytes::from(vec![7; 100_000]);
        let sent = upload(body.clone(), limits, progress.clone()).map(|part| part.unwrap()).collect::<Vec<Bytes>>();
        let parts = progress.watch(timeout() / 1000, sent).await.expect("a pause of ours is not the server's");
        assert_eq!(parts.concat(), body);
        assert!(parts.iter().all(|part| part.len() <= 50));
        let took = (clock::now() - started).as_secs_f64();
        assert!((99.9..102.1).contains(&took), "{took} s for 100 kB at 8 kbit/s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_limit_is_shared() {
        let total = SpeedLimit::bits_per_second(8 * 1000);
        let progress = Progress::new();
        let started = clock::now();
        let one = || async {
            Limits::new(None, Some(&total)).pay(10_000, &progress).await;
        };
        futures::join!(one(), one(), one());
        assert_eq!((clock::now() - started).as_secs(), 30);
    }

    #[tokio::test]
    async fn an_unlimited_body_is_sliced_not_copied() {
        let body = Bytes::from(vec![1; 3 * CHUNK + 1]);
        let parts: Vec<Bytes> =
            upload(body.clone(), Limits::default(), Progress::new()).map(|part| part.unwrap()).collect().await;
        assert_eq!(parts.len(), 4);
        assert_eq!(parts[3].as_ptr(), body[3 * CHUNK..].as_ptr());
    }
}
