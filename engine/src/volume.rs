//! What front ends and the tuner see: a range of bytes.
//!
//! `try_read` and `try_write` answer hits at once on the caller's thread and never wait; the async calls do the
//! rest. Every check that does not depend on the content (range, read-only) is made here, once.

use bytes::Bytes;

use crate::block_cache::BlockCache;
pub use crate::block_cache::HitBytes;
use crate::direct::Direct;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Geometry;
use crate::payload::{Payload, Source, Weight};

/// A volume of bytes. All methods take `&self` and may be called from any thread.
pub struct Volume {
    geometry: Geometry,
    read_only: bool,
    blocks: Blocks,
}

/// With a block cache, or without one (`--block-cache-size=0`, shared-disk mode).
pub(crate) enum Blocks {
    Cached(BlockCache),
    Direct(Direct),
}

impl Volume {
    pub(crate) fn new(geometry: Geometry, read_only: bool, blocks: Blocks) -> Self {
        Self { geometry, read_only, blocks }
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Reads at once if all of it is in memory, else `None`. `scratch` is overwritten (and grown) when the
    /// bytes must be assembled; keep one per thread.
    pub fn try_read<'a>(&self, offset: u64, len: usize, scratch: &'a mut Vec<u8>) -> Option<Result<HitBytes<'a>>> {
        if let Err(error) = self.check(offset, len as u64) {
            return Some(Err(error));
        }
        match &self.blocks {
            Blocks::Cached(cache) => cache.try_read(offset, len, scratch),
            Blocks::Direct(_) => None,
        }
    }

    /// Takes in as many leading bytes as it can without waiting and answers how many. Hand the rest to
    /// [`Volume::write`].
    pub fn try_write(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.check_write(offset, data.len() as u64)?;
        match &self.blocks {
            Blocks::Cached(cache) => cache.try_write(offset, data.len() as u64, cache.payload().source(data)),
            Blocks::Direct(_) => Ok(0),
        }
    }

    /// As [`Volume::try_write`], to a weightless volume: `len` bytes of this weight.
    ///
    /// # Errors
    /// `Config` on a real volume.
    pub fn try_write_weight(&self, offset: u64, len: u64, weight: Weight) -> Result<u64> {
        self.check_write(offset, len)?;
        self.weightless()?.try_write(offset, len, Source::Weight(weight)).map(|taken| taken as u64)
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    /// `OutOfRange`, or the error of the first block that could not be had.
    pub async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        self.check(offset, len as u64)?;
        match &self.blocks {
            Blocks::Cached(cache) => cache.read(offset, len).await,
            Blocks::Direct(direct) => direct.read(offset, len).await,
        }
    }

    /// Writes; when it returns the bytes are in the cache (in the store in sync mode or without a cache).
    pub async fn write(&self, offset: u64, data: Bytes) -> Result<()> {
        self.check_write(offset, data.len() as u64)?;
        match &self.blocks {
            Blocks::Cached(cache) => cache.write(offset, data.len() as u64, cache.payload().source(&data)).await,
            Blocks::Direct(direct) => direct.write(offset, data).await,
        }
    }

    /// As [`Volume::write`], to a weightless volume: `len` bytes of this weight.
    ///
    /// # Errors
    /// `Config` on a real volume.
    pub async fn write_weight(&self, offset: u64, len: u64, weight: Weight) -> Result<()> {
        self.check_write(offset, len)?;
        self.weightless()?.write(offset, len, Source::Weight(weight)).await
    }

    /// Reads what a weightless volume knows of each sector that a range touches. As much work as [`Volume::read`].
    ///
    /// # Errors
    /// `Config` on a real volume, else as of a read.
    pub async fn read_weights(&self, offset: u64, len: usize) -> Result<Vec<Weight>> {
        self.check(offset, len as u64)?;
        self.weightless()?.weights(offset, len).await
    }

    /// Makes a range zero (punch hole, zero range, discard): whole blocks are deleted from the store.
    pub async fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.check_write(offset, len)?;
        match &self.blocks {
            Blocks::Cached(cache) => cache.write(offset, len, Source::Zeros).await,
            Blocks::Direct(direct) => direct.zero(offset, len).await,
        }
    }

    /// Returns when everything written before the call is durable in the sense of
    /// [`Durability`](crate::settings::Durability), or with the permanent error that prevents it.
    pub async fn flush(&self) -> Result<()> {
        match &self.blocks {
            Blocks::Cached(cache) => cache.flush().await,
            Blocks::Direct(direct) => direct.flush().await,
        }
    }

    /// Reads every block that may be non-zero into the cache, as far as it has room (`s3b warm`, `--preload`).
    /// Answers how many blocks were read.
    pub async fn preload(&self) -> Result<u64> {
        match &self.blocks {
            Blocks::Cached(cache) => cache.preload().await,
            Blocks::Direct(_) => Ok(0),
        }
    }

    /// See [`BlockCache::distrust_restored`].
    pub(crate) fn distrust_restored(&self) {
        if let Blocks::Cached(cache) = &self.blocks {
            cache.distrust_restored();
        }
    }

    /// Stores everything, waiting as long as it takes, and stops background work.
    pub(crate) async fn close(&self) -> Result<()> {
        match &self.blocks {
            Blocks::Cached(cache) => cache.close().await,
            Blocks::Direct(direct) => direct.close().await,
        }
    }

    fn weightless(&self) -> Result<&BlockCache> {
        match &self.blocks {
            Blocks::Cached(cache) if cache.payload() == Payload::Weightless => Ok(cache),
            _ => Err(Error::config("only volumes opened with a weightless payload are written and read by weight")),
        }
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.geometry.size() => Ok(()),
            _ => Err(Error::new(
                ErrorKind::OutOfRange,
                format!("{len} bytes at {offset} reach past the volume's end at {}", self.geometry.size()),
            )),
        }
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        if self.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "the volume is read-only"));
        }
        self.check(offset, len)
    }
}
