//! What is done to a volume without mounting it: erase, reset the mounted flag, say what is there.

use std::sync::Arc;

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::mount_lock;
use crate::object_blocks::{self, Naming, probe};
use crate::settings::{Location, Settings};
use crate::stack::{Parts, connect};

/// What `s3b info` shows. Fields are `None` where the store does not tell.
#[derive(Clone, Debug)]
pub struct VolumeInfo {
    /// Bucket or directory, for people.
    pub location: String,
    /// From the superblock.
    pub geometry: Option<Geometry>,
    /// Block names start with a hash; from the superblock.
    pub hashed_names: Option<bool>,
    /// Made with a password; from the superblock.
    pub encrypted: Option<bool>,
    /// Block size and size in the headers of block 0, which s3backer goes by.
    pub block_zero: Option<(u64, u64)>,
    /// Who has it mounted, with the token's value.
    pub mounted_by: Option<(String, u32)>,
    /// What is wrong with the superblock.
    pub damage: Option<String>,
}

/// Looks at a volume. Writes nothing.
pub async fn info(settings: &Settings, parts: &Parts) -> Result<VolumeInfo> {
    let mut looking = settings.clone();
    looking.volume.read_only = true;
    let backend = connect(&looking, parts, &Arc::default()).await?;
    let prefix = &settings.volume.prefix;
    let found = probe(&backend, prefix).await?;
    let holder = mount_lock::holder(&backend, &Naming::new(prefix.as_str(), false).token_key()).await?;
    let superblock = found.superblock.as_ref();
    Ok(VolumeInfo {
        location: backend.describe(),
        geometry: superblock.map(|superblock| superblock.geometry),
        hashed_names: superblock.map(|superblock| superblock.hashed),
        encrypted: superblock.map(|superblock| superblock.encryption.is_some()),
        block_zero: found.plain_block_zero.or(found.hashed_block_zero).and_then(|zero| zero.geometry),
        mounted_by: holder.map(|holder| (holder.owner, holder.token)),
        damage: found.damage.map(|error| error.to_string()),
    })
}

/// Deletes all blocks, the superblock and the mount token; no other key. Answers how many blocks there were.
/// `progress` is told the count now and then.
///
/// # Errors
/// `Busy` when it is mounted and `--force` is not given.
pub async fn erase(settings: &Settings, parts: &Parts, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<u64> {
    if settings.volume.read_only {
        return Err(Error::config("--read-only: a read-only volume cannot be erased; leave the option out"));
    }
    let backend = connect(settings, parts, &Arc::default()).await?;
    let (volume, at_a_time) = (&settings.volume, settings.zero_map.threads);
    object_blocks::erase(&backend, &volume.prefix, volume.force, at_a_time, progress).await
}

/// Removes the mount token, whoever's it is. Answers whose it was. A cache file keeps its own, which fits no other mount.
pub async fn reset_mounted_flag(settings: &Settings, parts: &Parts) -> Result<Option<String>> {
    if let Location::Directory(path) = &settings.location {
        // No token there; whether it is mounted, its lock tells.
        Directory::open(path)?.lock()?;
        return Ok(None);
    }
    let backend = connect(settings, parts, &Arc::default()).await?;
    let held = mount_lock::reset(&backend, &Naming::new(settings.volume.prefix.as_str(), false).token_key()).await?;
    Ok(held.map(|holder| holder.owner))
}
