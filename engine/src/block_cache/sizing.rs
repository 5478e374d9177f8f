//! Capacities and delays of a cache, from settings as people write them.

use std::time::Duration;

use super::core::{Config, FileConfig, Micros};
use crate::geometry::Geometry;
use crate::payload::Payload;
use crate::settings::{BlockCacheSettings, CacheSize, RetrySettings};

/// How many blocks a cache holds, altogether and in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBlocks {
    pub total: u32,
    pub memory: u32,
}

/// Read-ahead may run this far ahead of a reader unless told otherwise: 1 GB/s x 30 ms.
const READ_AHEAD_BYTES: u64 = 32 << 20;

/// Resolves [`CacheSize`]s for a machine with `machine_memory` bytes; never more than the volume has blocks.
pub fn resolve_size(settings: &BlockCacheSettings, geometry: Geometry, machine_memory: u64) -> CacheBlocks {
    let auto = (machine_memory / 8).clamp(64 << 20, 1 << 30);
    let block_size = u64::from(geometry.block_size());
    let blocks = |size: CacheSize| {
        let blocks = match size {
            CacheSize::Auto => (auto / block_size).max(4),
            CacheSize::Blocks(blocks) => blocks,
            CacheSize::Bytes(bytes) => (bytes / block_size).max(1),
        };
        blocks.min(u64::from(geometry.blocks())) as u32
    };
    let total = blocks(settings.size);
    let memory = if settings.file.is_some() { blocks(settings.memory).min(total) } else { total };
    CacheBlocks { total, memory }
}

pub(super) fn config(
    settings: &BlockCacheSettings,
    retry: &RetrySettings,
    geometry: Geometry,
    payload: Payload,
    blocks: CacheBlocks,
    read_only: bool,
    file: bool,
) -> Config {
    let capacity = blocks.total.max(1);
    let max_dirty = if settings.max_dirty == 0 { capacity } else { settings.max_dirty.min(capacity) };
    let auto = (READ_AHEAD_BYTES / u64::from(geometry.block_size())).max(4) as u32;
    let read_ahead = settings.read_ahead.unwrap_or(auto).min(capacity / 4);
    Config {
        geometry,
        payload,
        capacity,
        max_dirty,
        threads: settings.threads.max(1),
        write_delay: micros(settings.write_delay),
        timeout: micros(settings.timeout),
        protected: settings.protected,
        read_ahead,
        read_ahead_trigger: settings.read_ahead_trigger,
        first_backoff: micros(retry.initial_pause).max(1),
        longest_backoff: micros(retry.longest_backoff).max(1),
        read_only,
        file: file.then_some(FileConfig { memory: blocks.memory.max(1) }),
    }
}

fn micros(time: Duration) -> Micros {
    time.as_micros() as Micros
}
