//! Blocks as objects: turns the numbers and bytes of blocks into the keys, headers and bodies of objects.
//!
//! Adds naming ([`names`]), compression and encryption ([`codec`], [`cipher`]), the rule that a zero block has no
//! object, the listing of all blocks ([`survey`]), and the record of a volume's shape ([`superblock`]). Never caches,
//! never retries, never remembers: what is asked of it becomes one request at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};

use crate::cpu::Cpu;
use crate::data::BlockData;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::object::{GetIf, Got, Object, ObjectBackend, PutIf};
use crate::settings::ZeroMapSettings;
use crate::stats::Stats;
use crate::store::{BlockStore, Expect, Fetched, SurveySink};

pub mod cipher;
pub mod codec;
pub mod erase;
pub mod names;
pub mod resolve;
pub mod superblock;
pub mod survey;

pub use cipher::Keys;
pub use codec::Codec;
pub use erase::erase;
pub use names::Naming;
pub use resolve::{Found, Resolved, probe, resolve};
pub use superblock::{Session, Superblock};

/// Keys in one bulk delete, as many as S3 takes.
pub(crate) const DELETE_BATCH: usize = 1000;

/// Bulk deletes under way at a time; one frees a thousand blocks.
const DELETES_AT_A_TIME: usize = 4;

/// The lowest layer of blocks. Cloning shares it.
#[derive(Clone)]
pub struct ObjectBlocks {
    inner: Arc<Inner>,
    survey_threads: u32,
}

struct Inner {
    backend: Arc<dyn ObjectBackend>,
    geometry: Geometry,
    naming: Naming,
    codec: Codec,
    cpu: Cpu,
    stats: Arc<Stats>,
}

impl ObjectBlocks {
    pub fn new(
        backend: Arc<dyn ObjectBackend>,
        geometry: Geometry,
        naming: Naming,
        codec: Codec,
        cpu: Cpu,
        stats: Arc<Stats>,
    ) -> Self {
        debug_assert_eq!(geometry, codec.geometry());
        let inner = Inner { backend, geometry, naming, codec, cpu, stats };
        Self { inner: Arc::new(inner), survey_threads: ZeroMapSettings::default().threads }
    }

    /// Listings in parallel of one survey.
    #[must_use]
    pub fn with_survey_threads(mut self, threads: u32) -> Self {
        self.survey_threads = threads.max(1);
        self
    }
}

impl BlockStore for ObjectBlocks {
    fn geometry(&self) -> Geometry {
        self.inner.geometry
    }

    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.read(block, expect).await })
    }

    fn write(&self, block: BlockNumber, data: BlockData, _want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.write(block, data).await })
    }

    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.delete_many(blocks).await })
    }

    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>> {
        let (inner, threads) = (self.inner.clone(), self.survey_threads);
        Box::pin(
            async move { survey::survey(&inner.backend, &inner.naming, inner.geometry.blocks(), threads, sink).await },
        )
    }

    fn sync(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.backend.sync()
    }
}

impl Inner {
    async fn read(self: &Arc<Self>, block: BlockNumber, expect: Expect) -> Result<Fetched> {
        let condition = match expect {
            Expect::Any => GetIf::Always,
            Expect::Exactly(etag) | Expect::Unless(etag) if etag.is_zero_block() => GetIf::Always,
            Expect::Exactly(etag) => GetIf::Matches(etag),
            Expect::Unless(etag) => GetIf::Differs(etag),
        };
        let key = self.naming.key(block);
        let got = self.backend.get(&key, condition, self.codec.max_body_len()).await;
        let offset = u64::from(block.0) * u64::from(self.geometry.block_size());
        let got = got.map_err(|error| error.context(format!("read block {block} at offset {offset}")))?;
        // The conditions are checked again here: some servers ignore them silently.
        match (got, expect) {
            (Got::Absent, Expect::Exactly(etag)) if !etag.is_zero_block() => {
                Err(self.stale(block, "it is absent, though it was stored"))
            }
            (Got::Absent, expect) => {
                self.stats.http.zero_blocks_read.increment();
                Ok(match expect {
                    Expect::Unless(ETag::ZERO_BLOCK) => Fetched::Unchanged,
                    _ => Fetched::Data(BlockData::Zero, Some(ETag::ZERO_BLOCK)),
                })
            }
            (Got::Mismatch, _) => Err(self.stale(block, "it is not what was stored last")),
            (Got::NotModified, Expect::Unless(_)) => Ok(Fetched::Unchanged),
            (Got::NotModified, _) => {
                Err(Error::transient(format!("read block {block}: the store answers 'not modified' unasked")))
            }
            (Got::Object(object), Expect::Exactly(etag)) if object.etag.is_some_and(|found| found != etag) => {
                Err(self.stale(block, "it is not what was stored last"))
            }
            (Got::Object(_), Expect::Exactly(ETag::ZERO_BLOCK)) => {
                Err(self.stale(block, "it is there, though it was deleted"))
            }
            (Got::Object(object), Expect::Unless(etag)) if object.etag == Some(etag) => Ok(Fetched::Unchanged),
            (Got::Object(object), _) => self.decode(block, object).await,
        }
    }

    fn stale(&self, block: BlockNumber, what: &str) -> Error {
        Error::new(ErrorKind::Stale, format!("read block {block}: stale: {what}"))
    }

    async fn decode(self: &Arc<Self>, block: BlockNumber, object: Object) -> Result<Fetched> {
        let Object { body, headers, etag } = object;
        let data = if headers.content_encoding.is_none() && self.codec.is_plain() {
            self.codec.decode(block, &headers, body)?
        } else {
            let inner = self.clone();
            let work = self.codec.decoding_work(headers.content_encoding.as_deref(), body.len());
            let bytes = self.geometry.block_size() as usize;
            self.cpu.run(bytes, move || inner.codec.decode(block, &headers, body), |_| work).await?
        };
        self.stats.http.normal_blocks_read.increment();
        Ok(Fetched::Data(data, etag))
    }

    async fn write(self: &Arc<Self>, block: BlockNumber, data: BlockData) -> Result<Option<ETag>> {
        // The zero test ends at the first byte that is not zero; only zero blocks pay for it, and save a PUT.
        let data = match data {
            BlockData::Bytes(bytes) => BlockData::detect_zero(bytes),
            BlockData::Zero => BlockData::Zero,
        };
        let key = self.naming.key(block);
        let BlockData::Bytes(bytes) = data else {
            let deleted = self.backend.delete(&key).await;
            deleted.map_err(|error| error.context(format!("delete block {block}")))?;
            self.stats.http.zero_blocks_written.increment();
            return Ok(Some(ETag::ZERO_BLOCK));
        };
        let (headers, body) = if self.codec.is_plain() {
            self.codec.encode(block, bytes)?
        } else {
            let inner = self.clone();
            let encoded_len = |done: &Result<(_, Bytes)>| done.as_ref().map_or(0, |(_, body)| body.len());
            let work = |done: &Result<_>| self.codec.encoding_work(encoded_len(done));
            self.cpu.run(bytes.len(), move || inner.codec.encode(block, bytes), work).await?
        };
        let stored = self.backend.put(&key, headers, body, PutIf::Always).await;
        let etag = stored.map_err(|error| error.context(format!("write block {block}")))?;
        self.stats.http.normal_blocks_written.increment();
        Ok(etag)
    }

    async fn delete_many(&self, blocks: Vec<BlockNumber>) -> Vec<(BlockNumber, Result<()>)> {
        let batches: Vec<Vec<BlockNumber>> = blocks.chunks(DELETE_BATCH).map(<[_]>::to_vec).collect();
        let batches = stream::iter(batches).map(|batch| self.delete_batch(batch)).buffered(DELETES_AT_A_TIME);
        batches.collect::<Vec<_>>().await.concat()
    }

    async fn delete_batch(&self, blocks: Vec<BlockNumber>) -> Vec<(BlockNumber, Result<()>)> {
        let keys = blocks.iter().map(|block| self.naming.key(*block)).collect();
        let mut answers = self.backend.delete_many(keys).await.into_iter();
        let answer = |block: BlockNumber| {
            // A backend that answers for too few keys has not said that the others are gone.
            let missing = || Err(Error::transient("the store gave no answer for this block"));
            let result = answers.next().unwrap_or_else(missing);
            if result.is_ok() {
                self.stats.http.zero_blocks_written.increment();
            }
            (block, result.map_err(|error| error.context(format!("delete block {block}"))))
        };
        blocks.into_iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests;
