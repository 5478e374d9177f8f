//! The processor time of the S3 client, around the model of a store: signing, HTTP, the way of a body, its hash.
//!
//! Request times, published or probed, were seen by a client and contain its own work; what they do not contain is the
//! waiting for a core when there is more work than cores. So a request takes its work onto the modelled cores, and is
//! answered late only if they cannot have done it since it was sent. The hash of a PUT's body comes before its
//! sending, and is part of a probed time but of no published one ([`HashTime`]).
//!
//! Never changes an answer, and costs nothing while the model is switched off.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use s3b_engine::clock::{self, Instant};
use s3b_engine::cpu::{Cpu, Work};
use s3b_engine::error::Result;
use s3b_engine::etag::ETag;
use s3b_engine::object::{GetIf, Got, ListPage, ObjectBackend, ObjectHeaders, ObjectInfo, PutIf};

use crate::model::Switched;

/// XML around a key in the body of a bulk delete.
const KEY_TAGS: usize = "<Object><Key></Key></Object>".len();

/// Whether the model's PUTs contain the time of hashing their bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashTime {
    Contained,
    Added,
}

pub(super) struct Client {
    inner: Arc<Switched>,
    cpu: Cpu,
    hash_time: HashTime,
}

impl Client {
    pub(super) fn new(inner: Arc<Switched>, cpu: Cpu, hash_time: HashTime) -> Self {
        Self { inner, cpu, hash_time }
    }

    /// `request`, answered when its work is done too; `work` says what there was besides the request itself.
    fn with_work<T: Send + 'static>(
        &self,
        request: BoxFuture<'static, T>,
        work: impl FnOnce(&T) -> [(Work, usize); 2] + Send + 'static,
    ) -> BoxFuture<'static, T> {
        if !self.inner.is_on() {
            return request;
        }
        Box::pin(worked(self.cpu.clone(), request, work))
    }
}

async fn worked<T>(cpu: Cpu, request: impl Future<Output = T>, work: impl FnOnce(&T) -> [(Work, usize); 2]) -> T {
    let sent = clock::now();
    let answer = request.await;
    let [one, other] = work(&answer);
    done(&cpu, sent, &[(Work::Request, 1), one, other]).await;
    answer
}

/// Waits until the cores have done what came up at `since`.
async fn done(cpu: &Cpu, since: Instant, work: &[(Work, usize)]) {
    if let Some(end) = cpu.interleave(since, work.iter().copied())
        && end > clock::now()
    {
        clock::sleep_until(end).await;
    }
}

const NO_BODY: [(Work, usize); 2] = [(Work::Carry, 0); 2];

impl ObjectBackend for Client {
    fn get(&self, key: &str, condition: GetIf, max_len: usize) -> BoxFuture<'static, Result<Got>> {
        self.with_work(self.inner.get(key, condition, max_len), |got| {
            let len = match got {
                Ok(Got::Object(object)) => object.body.len(),
                _ => 0,
            };
            [(Work::Carry, len), (Work::Carry, 0)]
        })
    }

    fn head(&self, key: &str) -> BoxFuture<'static, Result<Option<ObjectInfo>>> {
        self.with_work(self.inner.head(key), |_| NO_BODY)
    }

    fn put(
        &self,
        key: &str,
        headers: ObjectHeaders,
        body: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'static, Result<Option<ETag>>> {
        let len = body.len();
        let request = self.inner.put(key, headers, body, condition);
        if self.hash_time == HashTime::Contained || !self.inner.is_on() {
            return self.with_work(request, move |_| [(Work::Carry, len), (Work::Sha256, len)]);
        }
        let cpu = self.cpu.clone();
        Box::pin(async move {
            // Not `charge`: the client hashes on threads of its own, and does not queue behind compression.
            done(&cpu, clock::now(), &[(Work::Sha256, len)]).await;
            worked(cpu, request, |_| [(Work::Carry, len), (Work::Carry, 0)]).await
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<()>> {
        self.with_work(self.inner.delete(key), |_| NO_BODY)
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'static, Vec<Result<()>>> {
        let len = keys.iter().map(|key| key.len() + KEY_TAGS).sum();
        self.with_work(self.inner.delete_many(keys), move |_| [(Work::Sha256, len), (Work::Md5, len)])
    }

    fn list(&self, prefix: &str, after: &str) -> BoxFuture<'static, Result<ListPage>> {
        self.with_work(self.inner.list(prefix, after), |_| NO_BODY)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3b_engine::memory::Memory;

    use super::*;
    use crate::model::shipped;

    /// A core that needs 100 ms for a request and for its hash, around a store that answers after 30 ms.
    fn client(hash_time: HashTime) -> Client {
        let rates = |work| match work {
            Work::Request => 10.0,
            Work::Sha256 => 10_000.0,
            _ => f64::INFINITY,
        };
        let mut model = shipped::standard();
        model.network.connection_set_up_ms = 0.0;
        model.service.iter_mut().for_each(|cell| cell.ms = vec![30.0; model.percents.len()]);
        let inner = Arc::new(Switched::new(Arc::new(Memory::new()), model).unwrap());
        inner.switch_on(1);
        Client::new(inner, Cpu::modelled(Box::new(rates), 1, 1), hash_time)
    }

    async fn put(client: &Client) -> Duration {
        let start = clock::now();
        client.put("k", ObjectHeaders::default(), Bytes::from(vec![1; 1000]), PutIf::Always).await.unwrap();
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_for_a_core_and_not_for_their_own_work_twice() {
        let client = client(HashTime::Added);
        let start = clock::now();
        let (a, b, c) = tokio::join!(client.head("k"), client.head("k"), client.head("k"));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(start.elapsed().as_millis(), 300, "one core, 100 ms each");
        client.inner.switch_off();
        assert_eq!(put(&client).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_comes_before_its_request_unless_the_model_contains_it() {
        let fast = |work| if work == Work::Sha256 { 50_000.0 } else { f64::INFINITY };
        for (hash_time, millis) in [(HashTime::Added, 50..=53), (HashTime::Contained, 30..=33)] {
            let client = Client { cpu: Cpu::modelled(Box::new(fast), 1, 1), ..client(hash_time) };
            let took = put(&client).await.as_millis();
            assert!(millis.contains(&took), "{hash_time:?}: {took}");
        }
    }
}
