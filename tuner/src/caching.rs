//! What settings of the cache come to on a machine. Pure.

use s3b_engine::block_cache::resolve_size;
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::{CacheSize, Settings, VolumeSettings};

/// Bytes that a mount's cache may hold in memory on this machine, for a volume of any size.
pub fn cache_memory(settings: &Settings, machine_memory: u64) -> u64 {
    let block_size = settings.volume.block_size.unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
    // Far larger than any cache, so that the volume does not bound it.
    let size = block_size.saturating_mul(u64::from(u32::MAX));
    let Ok(geometry) = Geometry::new(block_size, size) else { return 0 };
    u64::from(resolve_size(&settings.block_cache, geometry, machine_memory).memory) * block_size
}

/// More threads than the cache has blocks can never be busy.
pub fn pointless(settings: &Settings) -> Option<String> {
    let block_size = settings.volume.block_size.unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
    let blocks = match settings.block_cache.size {
        CacheSize::Auto => return None,
        CacheSize::Blocks(blocks) => blocks,
        CacheSize::Bytes(bytes) => bytes / block_size,
    };
    let threads = settings.block_cache.threads;
    (blocks > 0 && u64::from(threads) > blocks)
        .then(|| format!("{threads} threads, but the cache holds {blocks} blocks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_a_mount_would_take() {
        let mut settings = Settings::default();
        assert_eq!(cache_memory(&settings, 8 << 30), 1 << 30);
        settings.block_cache.size = CacheSize::Bytes(64 << 20);
        assert_eq!(cache_memory(&settings, 8 << 30), 64 << 20);
    }
}
