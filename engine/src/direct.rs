//! A volume without a block cache: every access goes to the store (`--block-cache-size=0`, shared-disk mode).
//!
//! A partial write reads, patches and writes its block under that block's lock. The lock holds within this
//! process only: in shared-disk mode two hosts must not write parts of one block.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::geometry::{BlockNumber, Geometry, Piece};
use crate::store::{BlockStore, Expect, Fetched};

/// Blocks of one request handled at a time.
const PARALLEL: usize = 32;

/// Locks, each shared by the blocks with the same remainder: bounded memory, rare false sharing.
const LOCKS: usize = 1024;

pub(crate) struct Direct {
    store: Arc<dyn BlockStore>,
    geometry: Geometry,
    locks: Vec<Arc<Mutex<()>>>,
}

impl Direct {
    pub(crate) fn new(store: Arc<dyn BlockStore>) -> Self {
        let locks = (0..LOCKS).map(|_| Arc::default()).collect();
        Self { geometry: store.geometry(), store, locks }
    }

    pub(crate) async fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let pieces = self.geometry.pieces(offset, len as u64);
        let mut parts = stream::iter(pieces)
            .map(|piece| async move { (piece, fetch(&*self.store, piece.block).await) })
            .buffered(PARALLEL);
        let mut out = BytesMut::with_capacity(len);
        while let Some((piece, data)) = parts.next().await {
            let at = out.len();
            out.resize(at + piece.len as usize, 0);
            data?.copy_to(piece.start as usize, &mut out[at..]);
        }
        Ok(out.freeze())
    }

    pub(crate) async fn write(&self, offset: u64, data: Bytes) -> Result<()> {
        let mut taken = 0;
        let parts: Vec<(Piece, BlockData)> = self
            .geometry
            .pieces(offset, data.len() as u64)
            .map(|piece| {
                let part = data.slice(taken..taken + piece.len as usize);
                taken += part.len();
                (piece, BlockData::Bytes(part))
            })
            .collect();
        self.write_parts(parts).await
    }

    pub(crate) async fn zero(&self, offset: u64, len: u64) -> Result<()> {
        let whole = self.geometry.block_size();
        let (blocks, edges): (Vec<Piece>, Vec<Piece>) = self.geometry.pieces(offset, len).partition(|p| p.len == whole);
        self.write_parts(edges.into_iter().map(|piece| (piece, BlockData::Zero)).collect()).await?;
        let mut locks: Vec<usize> = blocks.iter().map(|piece| lock_index(piece.block)).collect();
        locks.sort_unstable();
        locks.dedup();
        // In rising order, and nobody else holds more than one: no deadlock.
        let mut guards = Vec::with_capacity(locks.len());
        for index in locks {
            guards.push(self.locks[index].clone().lock_owned().await);
        }
        let results = self.store.delete_many(blocks.into_iter().map(|piece| piece.block).collect()).await;
        results.into_iter().try_for_each(|(block, result)| result.map_err(|e| e.context(format!("zeroing {block:?}"))))
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        self.store.sync().await
    }

    pub(crate) async fn close(&self) -> Result<()> {
        let result = self.store.sync().await;
        self.store.close().await;
        result
    }

    async fn write_parts(&self, parts: Vec<(Piece, BlockData)>) -> Result<()> {
        let mut writes =
            stream::iter(parts).map(|(piece, data)| self.write_part(piece, data)).buffer_unordered(PARALLEL);
        let mut result = Ok(());
        // All parts are tried: a failed block must not leave its neighbours half way.
        while let Some(one) = writes.next().await {
            result = result.and(one);
        }
        result
    }

    async fn write_part(&self, piece: Piece, data: BlockData) -> Result<()> {
        let _guard = self.lock(piece.block).await;
        let data = if piece.len == self.geometry.block_size() {
            data
        } else {
            let old = fetch(&*self.store, piece.block).await?;
            let mut bytes = BytesMut::from(&old.into_bytes(self.geometry.block_size())[..]);
            data.copy_to(0, &mut bytes[piece.range()]);
            BlockData::Bytes(bytes.freeze())
        };
        self.store.write(piece.block, data, false).await.map(|_| ())
    }

    async fn lock(&self, block: BlockNumber) -> OwnedMutexGuard<()> {
        self.locks[lock_index(block)].clone().lock_owned().await
    }
}

fn lock_index(block: BlockNumber) -> usize {
    block.0 as usize % LOCKS
}

async fn fetch(store: &dyn BlockStore, block: BlockNumber) -> Result<BlockData> {
    match store.read(block, Expect::Any).await? {
        Fetched::Data(data, _) => Ok(data),
        Fetched::Unchanged => Err(Error::failed(format!("{block:?}: the store answered 'unchanged' unasked"))),
    }
}
