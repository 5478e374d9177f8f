//! The cache file at mount: bound to the volume before the lock, taken over after it.

use std::sync::Arc;

use super::Shape;
use crate::block_cache::disk::{BlockRecord, CacheDisk, CacheFile, Change, FileDisk, Identity, Loaded, OpenOptions};
use crate::block_cache::{OpenFile, resolve_size};
use crate::error::{Error, Result};
use crate::mount_lock::MountLock;
use crate::object_blocks::{Keys, Naming};
use crate::payload::Payload;
use crate::settings::{Durability, Location, Settings};

/// A cache file and what it held, before the mount is sure to happen.
pub(super) type Opened = Option<(Arc<CacheFile>, Loaded)>;

/// Opens the file on `disk`, or the one the settings name, if they name one, and reads what it holds.
pub(super) fn open(
    settings: &Settings,
    shape: &Shape,
    keys: Option<&Keys>,
    disk: Option<Arc<dyn CacheDisk>>,
    payload: Payload,
) -> Result<Opened> {
    if settings.volume.shared_disk {
        return Ok(None);
    }
    let disk = match (disk, &settings.block_cache.file) {
        (Some(disk), _) => disk,
        (None, Some(path)) => Arc::new(FileDisk::open(path, settings.block_cache.file_advise)?),
        (None, None) => return Ok(None),
    };
    let location = location(settings);
    let identity = Identity {
        key_check: keys.map(|keys| keys.check_value(&location).to_vec()),
        location,
        geometry: shape.geometry,
        hashed_names: shape.naming.hashed(),
    };
    let blocks = resolve_size(&settings.block_cache, shape.geometry, super::machine_memory());
    let options = OpenOptions { accept_loss: settings.volume.force, payload };
    let (file, loaded) = CacheFile::open(disk, &identity, blocks.total, options)?;
    Ok(Some((Arc::new(file), loaded)))
}

/// The lock is held: what the cache file has may be used, and it belongs to this mount from now on.
pub(super) fn take(settings: &Settings, opened: Opened, lock: Option<&MountLock>) -> Result<Option<OpenFile>> {
    let Some((file, mut loaded)) = opened else { return Ok(None) };
    let dirty = loaded.blocks.iter().filter(|block| block.record == BlockRecord::Dirty).count();
    let journal = settings.durability == Durability::Journal;
    if dirty > 0 && settings.volume.read_only {
        loaded
            .notices
            .push(format!("{dirty} blocks in the cache file are not stored yet; a read-only mount shows them"));
    } else if dirty > 0 && !settings.block_cache.recover_dirty && !journal {
        if !settings.volume.force {
            return Err(Error::config(format!(
                "the cache file holds {dirty} blocks that a crash kept from being stored: \
                 --block-cache-recover-dirty-blocks stores them now, --force gives them up"
            )));
        }
        give_up_dirty(&file, &mut loaded)?;
        loaded.notices.push(format!("gave up {dirty} unstored blocks of the cache file, because of --force"));
    } else if dirty > 0 {
        loaded.notices.push(format!("storing {dirty} blocks that the last mount could not store"));
    }
    if !settings.volume.read_only {
        file.set_token(lock.and_then(MountLock::token).unwrap_or(1))?;
    }
    Ok(Some(OpenFile { file, loaded }))
}

/// The dirty blocks go from the file, durably: kept, they would be taken for unstored ones after the next crash.
fn give_up_dirty(file: &CacheFile, loaded: &mut Loaded) -> Result<()> {
    let (dirty, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut loaded.blocks).into_iter().partition(|block| block.record == BlockRecord::Dirty);
    loaded.blocks = kept;
    let drops: Vec<Change> = dirty.iter().map(|lost| Change::Drop { block: lost.block, slot: lost.slot }).collect();
    drops.chunks(file.max_batch()).try_for_each(|group| file.apply(group, true).map(|_| ()))
}

/// The file to mount from, which must be there: none is made.
pub(super) fn existing(settings: &Settings, disk: Option<Arc<dyn CacheDisk>>) -> Result<Arc<dyn CacheDisk>> {
    let Some(path) = &settings.block_cache.file else {
        return Err(Error::config("--offline mounts from a cache file; name it: --block-cache-file=FILE"));
    };
    match disk {
        Some(disk) => Ok(disk),
        None if !path.exists() => Err(Error::config(format!(
            "--offline --block-cache-file={}: there is no such file; mount once with the store, `s3b warm` fills it",
            path.display()
        ))),
        None => Ok(Arc::new(FileDisk::open(path, settings.block_cache.file_advise)?)),
    }
}

/// The shape of the volume the file belongs to, from the file alone.
pub(super) fn shape(settings: &Settings, disk: &dyn CacheDisk) -> Result<Shape> {
    let name = disk.name();
    let Some(identity) = Identity::read(disk, &name)? else {
        return Err(Error::config(format!(
            "--offline --block-cache-file={name}: the file is empty; mount once with the store, `s3b warm` fills it"
        )));
    };
    let geometry = identity.geometry;
    let (size, block_size) = (geometry.size(), u64::from(geometry.block_size()));
    let given = [("size", settings.volume.size, size), ("block-size", settings.volume.block_size, block_size)];
    for (flag, asked, has) in given {
        if let Some(asked) = asked.filter(|asked| *asked != has) {
            return Err(Error::config(format!(
                "--{flag}={asked}: the volume of --block-cache-file={name} has --{flag}={has}; leave --{flag} out"
            )));
        }
    }
    let naming = Naming::new(settings.volume.prefix.as_str(), identity.hashed_names);
    Ok(Shape { geometry, naming, is_new: false })
}

/// Bucket or directory, and prefix.
pub(super) fn location(settings: &Settings) -> String {
    let place = match &settings.location {
        Location::Memory => "memory".to_string(),
        Location::Directory(path) => path.display().to_string(),
        Location::Bucket(bucket) => bucket.clone(),
    };
    format!("{place}/{}", settings.volume.prefix)
}
