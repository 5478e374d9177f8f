//! Bodies take time in proportion to their length: each on its own stream, and all together through one pipe per direction.
//! Requests without a body pass at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::clock::{self, Instant};
use crate::error::Result;
use crate::etag::ETag;
use crate::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

/// Bytes per second; `None`: unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speeds {
    /// Of one request.
    pub up: Option<u64>,
    pub down: Option<u64>,
    /// Of all requests together.
    pub total_up: Option<u64>,
    pub total_down: Option<u64>,
}

pub struct Bandwidth {
    inner: Arc<dyn ObjectBackend>,
    up: Arc<Pipe>,
    down: Arc<Pipe>,
}

/// One direction.
struct Pipe {
    stream: Option<u64>,
    total: Option<u64>,
    /// When the pipe has carried all it took on so far.
    free_at: Mutex<Option<Instant>>,
}

impl Bandwidth {
    pub fn new(inner: Arc<dyn ObjectBackend>, speeds: Speeds) -> Self {
        let pipe = |stream, total| Arc::new(Pipe { stream, total, free_at: Mutex::new(None) });
        Self { inner, up: pipe(speeds.up, speeds.total_up), down: pipe(speeds.down, speeds.total_down) }
    }
}

impl Pipe {
    /// When a body that starts now has gone through; `None`: at once.
    fn take(&self, len: usize) -> Option<Instant> {
        let time = |rate: u64| Duration::from_secs_f64(len as f64 / rate.max(1) as f64);
        if self.stream.is_none() && self.total.is_none() {
            return None;
        }
        let now = clock::now();
        let alone = self.stream.map(|rate| now + time(rate));
        let together = self.total.map(|rate| {
            let mut free_at = self.free_at.lock();
            let end = free_at.map_or(now, |free_at| free_at.max(now)) + time(rate);
            *free_at = Some(end);
            end
        });
        alone.max(together)
    }

    async fn carry(&self, len: usize) {
        if let Some(end) = self.take(len) {
            clock::sleep_until(end).await;
        }
    }
}

impl ObjectBackend for Bandwidth {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        let (got, down) = (self.inner.get(key, condition, max_len), self.down.clone());
        Box::pin(async move {
            let got = got.await?;
            if let Got::Object(object) = &got {
                down.carry(object.body.len()).await;
            }
            Ok(got)
        })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.inner.head(key)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let (len, up) = (body.len(), self.up.clone());
        let stored = self.inner.put(key, headers, body, condition);
        Box::pin(async move {
            up.carry(len).await;
            stored.await
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.inner.delete(key)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        self.inner.delete_many(keys)
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.inner.list(prefix, after)
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.sync()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    async fn seconds_of_three_puts(speeds: Speeds) -> f64 {
        let bandwidth = Bandwidth::new(Arc::new(Memory::new()), speeds);
        let start = clock::now();
        let put = |key| bandwidth.put(key, ObjectHeaders::default(), vec![1; 1000].into(), PutIf::Always);
        let (a, b, c) = tokio::join!(put("a"), put("b"), put("c"));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        (clock::now() - start).as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn streams_run_side_by_side_and_the_pipe_one_after_the_other() {
        assert_eq!(seconds_of_three_puts(Speeds::default()).await, 0.0);
        assert_eq!(seconds_of_three_puts(Speeds { up: Some(500), ..Default::default() }).await, 2.0);
        assert_eq!(seconds_of_three_puts(Speeds { total_up: Some(500), ..Default::default() }).await, 6.0);
        let both = Speeds { up: Some(100), total_up: Some(500), ..Default::default() };
        assert_eq!(seconds_of_three_puts(both).await, 10.0);
        assert_eq!(seconds_of_three_puts(Speeds { total_down: Some(1), ..Default::default() }).await, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn downloads_wait_too_and_absent_objects_do_not() {
        let memory = Memory::new();
        memory.insert("k", ObjectHeaders::default(), vec![1; 1000]);
        let bandwidth = Bandwidth::new(Arc::new(memory), Speeds { total_down: Some(1000), ..Default::default() });
        let start = clock::now();
        bandwidth.get("absent", GetIf::Always, 1000).await.unwrap();
        assert_eq!(clock::now(), start);
        bandwidth.get("k", GetIf::Always, 1000).await.unwrap();
        assert_eq!((clock::now() - start).as_secs(), 1);
    }
}
