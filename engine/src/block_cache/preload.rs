//! Fills free room before anybody asks; evicts nothing.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;

use super::BlockCache;
use crate::error::Result;
use crate::geometry::{BlockNumber, Piece};

impl BlockCache {
    /// Reads what may be non-zero into free room; the rest of the volume is known zero or left alone.
    pub async fn preload(&self) -> Result<u64> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let sink = found.clone();
        self.shared.store.survey(Arc::new(move |blocks: &[BlockNumber]| sink.lock().extend_from_slice(blocks))).await?;
        let mut blocks = std::mem::take(&mut *found.lock());
        blocks.sort_unstable();
        let (room, parallel) = self.shared.step(|core, _| (core.free_room(), core.threads()));
        blocks.truncate(room as usize);
        let len = self.geometry.block_size();
        let mut reads = stream::iter(blocks)
            .map(|block| self.preload_block(Piece { block, start: 0, len }))
            .buffer_unordered(parallel as usize);
        let mut count = 0;
        while let Some(result) = reads.next().await {
            result?;
            count += 1;
        }
        Ok(count)
    }

    async fn preload_block(&self, piece: Piece) -> Result<()> {
        let result = self.wait_for(piece).await;
        self.shared.step(|core, _| core.pass_on_room());
        result.map(|_| ())
    }
}
