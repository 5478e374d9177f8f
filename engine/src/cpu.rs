//! Where heavy computation (hash, compression, cipher, zero test) runs.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Small work is done in place, larger work on a bounded blocking pool, so that no network task waits
/// behind a megabyte of zlib. Cloning shares the bound.
#[derive(Clone, Debug)]
pub struct Cpu {
    pool: Option<Arc<Semaphore>>,
}

/// Below this many bytes a hand-over costs more than it saves (about 10 us a hop; MD5 of 64 KiB takes 100 us).
const INLINE_BYTES: usize = 64 << 10;

impl Cpu {
    /// At most `threads` pieces of work at a time on the blocking pool.
    pub fn pool(threads: usize) -> Self {
        Self { pool: Some(Arc::new(Semaphore::new(threads.max(1)))) }
    }

    /// Everything in place: for tests and for single-threaded virtual time.
    pub fn inline() -> Self {
        Self { pool: None }
    }

    /// Runs `work` over about `bytes` bytes of input.
    pub async fn run<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes < INLINE_BYTES {
            return work();
        }
        self.block(work).await
    }

    /// Runs `work` that waits for a local disk.
    pub async fn block<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(pool) = &self.pool else {
            return work();
        };
        let _permit = pool.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
