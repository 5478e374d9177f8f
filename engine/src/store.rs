//! The contract between layers: whole blocks and their ETags.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::data::BlockData;
use crate::error::Result;
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};

/// What a reader already knows about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It must have this ETag; anything else is a stale read, retried below and then [`Stale`](crate::error::ErrorKind::Stale).
    Exactly(ETag),
    /// The reader holds content with this ETag: answer [`Fetched::Unchanged`] if it still stands.
    Unless(ETag),
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The content; the ETag where the store gave one ([`ETag::ZERO_BLOCK`] for a zero block).
    Data(BlockData, Option<ETag>),
    /// The content the reader holds is current. Only after [`Expect::Unless`].
    Unchanged,
}

/// Receives the blocks a survey finds (those that may be non-zero), in batches, in no particular order.
pub type SurveySink = Arc<dyn Fn(&[BlockNumber]) + Send + Sync>;

/// Whole blocks. Every call may be a network request, so a boxed future each costs nothing that matters.
///
/// Futures own what they need (`'static`), so callers may spawn them. Implementations are
/// cancel-safe in the sense that a dropped future leaves the store in doubt, never torn.
pub trait BlockStore: Send + Sync + 'static {
    fn geometry(&self) -> Geometry;

    /// Reads one block. An absent object is [`BlockData::Zero`], a missing bucket an error.
    fn read(&self, block: BlockNumber, expect: Expect) -> BoxFuture<'static, Result<Fetched>>;

    /// Stores one block; [`BlockData::Zero`] (or bytes that are all zero) deletes the object.
    /// With `want_etag` the answer carries the ETag of what was stored.
    fn write(&self, block: BlockNumber, data: BlockData, want_etag: bool) -> BoxFuture<'static, Result<Option<ETag>>>;

    /// Makes blocks zero, one answer per block, any number of blocks.
    fn delete_many(&self, blocks: Vec<BlockNumber>) -> BoxFuture<'static, Vec<(BlockNumber, Result<()>)>>;

    /// Lists the blocks that may be non-zero into `sink`. Concurrent writes may or may not be seen.
    fn survey(&self, sink: SurveySink) -> BoxFuture<'static, Result<()>>;

    /// Whether this block is surely zero, from memory alone.
    fn known_zero(&self, _block: BlockNumber) -> bool {
        false
    }

    /// Makes what earlier, completed writes stored survive a power loss, where the store does not
    /// promise that by itself (a local directory).
    fn sync(&self) -> BoxFuture<'static, Result<()>>;

    /// Waits until nothing of this layer sleeps or runs any more. Called once, after the last write.
    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
