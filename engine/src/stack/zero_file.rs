//! The saved zero map, `FILE.zeros` beside the cache file: read at mount, gone while mounted, written at a clean unmount.
//!
//! When one may be believed is told at the head of [`crate::zero_map`]. A map that is missing, damaged, stale or
//! cannot be written costs requests, never a mount or an unmount.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache_file;
use crate::error::{Error, ErrorKind, Result};
use crate::etag::ETag;
use crate::geometry::{BlockNumber, Geometry};
use crate::mount_lock::MountLock;
use crate::object::ObjectBackend;
use crate::object_blocks::{Naming, Resolved, Session};
use crate::settings::{Location, Settings, SurveyMode};
use crate::zero_map::{SavedMap, ZeroMap, survey_is_too_dear};

/// More than head, identity and checksum of a saved map: a prefix has at most 1024 bytes.
const BESIDE_THE_BITS: u64 = 4096;

/// The file of a mount that holds the lock and may write, or will once it has joined its store.
#[derive(Clone)]
pub(super) struct ZeroFile {
    path: PathBuf,
    backend: Arc<dyn ObjectBackend>,
    naming: Naming,
    /// Bucket and prefix.
    location: String,
    /// Of this mount.
    session: Session,
}

impl ZeroFile {
    /// `None` for mounts that keep no map: without a cache file or a lock, reading only, or where listings cost nothing.
    pub(super) fn of_mount(
        settings: &Settings,
        backend: &Arc<dyn ObjectBackend>,
        naming: &Naming,
        lock: Option<&MountLock>,
    ) -> Option<Self> {
        let alone = !settings.volume.read_only && !settings.volume.shared_disk;
        // A read-only mount's lock holds nothing.
        lock.and_then(MountLock::token).filter(|_| alone)?;
        Self::of_offline_mount(settings, backend, naming)
    }

    /// Of a mount without a lock: to be read, and only after joining to be changed.
    pub(super) fn of_offline_mount(
        settings: &Settings,
        backend: &Arc<dyn ObjectBackend>,
        naming: &Naming,
    ) -> Option<Self> {
        let file = settings.block_cache.file.as_ref().filter(|_| matches!(settings.location, Location::Bucket(_)))?;
        let mut path = file.clone().into_os_string();
        path.push(".zeros");
        Some(Self {
            path: path.into(),
            backend: backend.clone(),
            naming: naming.clone(),
            location: cache_file::location(settings),
            session: Session::fresh(),
        })
    }

    /// To be recorded before the first write, and after [`ZeroFile::take`].
    pub(super) fn session(&self) -> Session {
        self.session
    }

    /// What the last mount left, if it may be believed and the settings want it. The file is gone then, in any case.
    pub(super) fn take(&self, settings: &Settings, resolved: &Resolved) -> Option<SavedMap> {
        let believed = self.believe(settings, resolved);
        if let Err(error) = self.forget() {
            // It stays beside a new session, and so is never believed.
            tracing::warn!("{error}");
        }
        match &believed {
            Ok(Some(map)) => tracing::info!("{} blocks are known to be zero since the last unmount", map.known_zero()),
            Ok(None) => {}
            // Another host's mount: nothing is wrong.
            Err(error) if error.kind() == ErrorKind::Stale => tracing::info!("{error}"),
            Err(error) => tracing::warn!("{}: {error}", self.path.display()),
        }
        believed.ok().flatten()
    }

    /// What the last clean unmount left, for as long as nobody can be asked: as old as the cache file's blocks.
    pub(super) fn remembered(&self, geometry: Geometry) -> Option<SavedMap> {
        let here = format!("{}\n", self.location);
        let map = read(&self.path, geometry).and_then(|bytes| {
            let ours = |identity: &[u8]| identity.starts_with(here.as_bytes());
            bytes.map(|bytes| SavedMap::from_bytes_if(&bytes, geometry, ours)).transpose()
        });
        map.unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", self.path.display());
            None
        })
    }

    fn believe(&self, settings: &Settings, resolved: &Resolved) -> Result<Option<SavedMap>> {
        let zero = &settings.zero_map;
        let geometry = resolved.geometry;
        // What a listing can tell for little money, a listing tells.
        let wanted = zero.survey == SurveyMode::Auto && survey_is_too_dear(zero, geometry.blocks());
        let (Some(session), Some(etag)) = (resolved.session(), resolved.block_zero_etag) else { return Ok(None) };
        if !wanted || resolved.is_new {
            return Ok(None);
        }
        let Some(bytes) = read(&self.path, geometry)? else { return Ok(None) };
        SavedMap::from_bytes(&bytes, geometry, &self.identity(session, etag)).map(Some)
    }

    /// After the volume was closed and before the lock is given back.
    pub(super) async fn save(&self, map: &ZeroMap) -> Result<()> {
        let info = self.backend.head(&self.naming.key(BlockNumber(0))).await;
        let info = info.map_err(|error| error.context("look at block 0"))?;
        let Some(etag) = info.map_or(Some(ETag::ZERO_BLOCK), |info| info.etag) else {
            // Changes by others would go unnoticed.
            return Ok(());
        };
        let bytes = map.to_bytes(&self.identity(self.session, etag));
        let written = replace(&self.path, &bytes);
        written.map_err(|error| Error::from(error).context(self.path.display()))
    }

    /// Deletes the file, if there is one.
    pub(super) fn forget(&self) -> Result<()> {
        remove(&self.path).map_err(|error| Error::from(error).context(format!("delete {}", self.path.display())))
    }

    fn identity(&self, session: Session, block_zero: ETag) -> Vec<u8> {
        format!("{}\n{session}\n{block_zero}", self.location).into_bytes()
    }
}

/// `None` when there is no such file.
fn read(path: &Path, geometry: Geometry) -> Result<Option<Vec<u8>>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let most = u64::from(geometry.blocks()) / 8 + BESIDE_THE_BITS;
    if !metadata.is_file() || metadata.len() > most {
        return Err(Error::corrupt("saved zero map: not one of this volume; it is ignored and will be replaced"));
    }
    Ok(Some(fs::read(path)?))
}

/// All of it is there after a crash, or nothing.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A crash left it; nobody else is here, the cache file is locked.
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // A full disk is why most often: it leaves no ruin behind.
        let _ = remove(&temporary);
        return Err(error);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
