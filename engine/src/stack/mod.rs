//! Builds the layers from [`Settings`]: the one place that names them all.
//!
//! Opening goes from looking to taking to writing: check the settings, look at the store (shape, password, naming), open
//! the cache file, take the mount lock, read the saved zero map, write the superblock. Whatever fails, what was taken is
//! given back, and nothing has been written before everything was checked.

mod cache_file;
mod offline;
mod prefill;
mod zero_file;

use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use secrecy::SecretString;

use crate::block_cache::disk::{CacheDisk, CacheFile};
use crate::block_cache::{BlockCache, CacheParts, OpenFile, resolve_size};
use crate::clock;
use crate::cpu::Cpu;
use crate::direct::Direct;
use crate::directory::Directory;
use crate::discard::Discard;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Geometry;
use crate::md5_cache::Md5Cache;
use crate::memory::Memory;
use crate::mount_lock::{LockOptions, MountLock};
use crate::object::ObjectBackend;
use crate::object_blocks::{Codec, Keys, Naming, ObjectBlocks, Resolved, resolve};
use crate::payload::Payload;
use crate::retry::Retrying;
use crate::s3::{self, Credentials, S3Backend, Surroundings};
use crate::settings::check;
use crate::settings::{CacheSize, Location, Settings, SurveyMode, TestSettings};
use crate::stats::Stats;
use crate::store::BlockStore;
use crate::volume::{Blocks, Volume};
use crate::wrap::{Delays, FaultRates, Faults, Latency};
use crate::zero_map::{Known, SavedMap, ZeroMap};

use self::offline::{Joined, Joining, Remembered, Shore};
pub use self::prefill::prefill;
use self::zero_file::ZeroFile;

/// What is not data: components, and secrets.
pub struct Parts {
    /// `None`: built from [`Settings::location`].
    pub backend: Option<Arc<dyn ObjectBackend>>,
    pub cpu: Cpu,
    /// Weightless: for simulations. Needs a block cache in memory or on a modelled disk, and a backend that keeps what bodies stand for.
    pub payload: Payload,
    /// The encryption password.
    pub password: Option<SecretString>,
    /// The S3 secret key, where it was given directly.
    pub access_key: Option<SecretString>,
}

impl Parts {
    /// Production: backend from the settings, heavy work on a pool of as many threads as the machine has cores.
    pub fn for_process(password: Option<SecretString>, access_key: Option<SecretString>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self { backend: None, cpu: Cpu::pool(cores), payload: Payload::Real, password, access_key }
    }
}

/// An open volume with all below it.
pub struct Stack {
    volume: Arc<Volume>,
    stats: Arc<Stats>,
    notices: Vec<String>,
    lock: Arc<Mutex<Option<MountLock>>>,
    file: Option<Arc<CacheFile>>,
    /// The map to save at the end, and where.
    zeros: Option<(ZeroFile, Arc<ZeroMap>)>,
    /// `--offline`.
    offline: Option<Arc<Joining>>,
}

impl Stack {
    /// Opens the volume. Needs a tokio runtime.
    ///
    /// # Errors
    /// With a message for the user; nothing has changed in the store then.
    pub async fn open(settings: &Settings, parts: Parts) -> Result<Stack> {
        Self::open_on(settings, parts, None).await
    }

    /// As [`Stack::open`], with the cache file on this disk instead of at the path the settings name.
    pub async fn open_on(settings: &Settings, parts: Parts, disk: Option<Arc<dyn CacheDisk>>) -> Result<Stack> {
        let stats = Arc::<Stats>::default();
        check_payload(settings, &parts, disk.as_deref())?;
        let keys = derive_keys(settings, parts.password.as_ref())?;
        if settings.block_cache.offline {
            return Self::open_offline(settings, parts, keys, stats, disk).await;
        }
        let backend = connect(settings, &parts, &stats).await?;
        let resolved = resolve(&backend, settings, keys.as_ref()).await?;
        check::speeds(settings, u64::from(resolved.geometry.block_size()))?;
        check_block_size(parts.payload, resolved.geometry)?;
        let codec = Codec::new(&settings.codec, resolved.geometry, keys.clone())?.with_payload(parts.payload);
        let shape = Shape { geometry: resolved.geometry, naming: resolved.naming.clone(), is_new: resolved.is_new };
        // What is kept beside the cache file has no place beside a disk that is none.
        let beside = disk.is_none();
        let opened = cache_file::open(settings, &shape, keys.as_deref(), disk, parts.payload)?;
        let cached_token = opened.as_ref().map(|(_, loaded)| loaded.token).filter(|token| *token != 0);
        let mut notices = resolved.notices.clone();
        let lock = match settings.location {
            // A directory is locked by the file system, since it was opened.
            Location::Directory(_) => None,
            _ => {
                let options = LockOptions::from_settings(settings, cached_token);
                let (lock, more) = MountLock::acquire(&backend, &resolved.naming.token_key(), &options).await?;
                notices.extend(more);
                Some(lock)
            }
        };
        let built = async {
            let resolved = match &lock {
                Some(_) => resolve_again(&backend, settings, keys.as_ref(), &resolved).await?,
                None => resolved,
            };
            let zeros = ZeroFile::of_mount(settings, &backend, &shape.naming, lock.as_ref()).filter(|_| beside);
            let saved = zeros.as_ref().and_then(|zeros| zeros.take(settings, &resolved));
            let known = if shape.is_new { Known::AllZero } else { saved.map_or(Known::Nothing, Known::Saved) };
            resolved.commit(&backend, zeros.as_ref().map(ZeroFile::session)).await?;
            let cache_file = cache_file::take(settings, opened, lock.as_ref())?;
            let objects =
                ObjectBlocks::new(backend, shape.geometry, shape.naming, codec, parts.cpu.clone(), stats.clone());
            let store = Arc::new(objects.with_survey_threads(settings.zero_map.threads));
            let known = AtMount { known, remembered: None };
            Ok((build(settings, store, known, cache_file, &parts, stats.clone())?, zeros))
        };
        match built.await {
            Ok((built, zeros)) => {
                notices.extend(built.notices);
                let (volume, lock) = (Arc::new(built.volume), Arc::new(Mutex::new(lock)));
                let zeros = zeros.zip(built.zero_map);
                Ok(Stack { volume, stats, notices, lock, file: built.file, zeros, offline: None })
            }
            Err(error) => Err(give_back(lock, error).await),
        }
    }

    /// From the cache file, without asking the store.
    async fn open_offline(
        settings: &Settings,
        parts: Parts,
        keys: Option<Arc<Keys>>,
        stats: Arc<Stats>,
        disk: Option<Arc<dyn CacheDisk>>,
    ) -> Result<Stack> {
        let backend = build_backend(settings, &parts, &stats)?;
        let disk = cache_file::existing(settings, disk)?;
        let shape = cache_file::shape(settings, &*disk)?;
        check::speeds(settings, u64::from(shape.geometry.block_size()))?;
        let codec = Codec::new(&settings.codec, shape.geometry, keys.clone())?;
        let Some((file, mut loaded)) = cache_file::open(settings, &shape, keys.as_deref(), Some(disk), parts.payload)?
        else {
            return Err(Error::config("--offline and --shared-disk-mode exclude each other; drop one of them"));
        };
        loaded.notices.push("mounted offline, from the cache file; joining the store when it answers".into());
        let lock = Arc::new(Mutex::new(None));
        let (geometry, naming) = (shape.geometry, shape.naming);
        let below =
            ObjectBlocks::new(backend.clone(), geometry, naming.clone(), codec, parts.cpu.clone(), stats.clone());
        let below = Arc::new(below.with_survey_threads(settings.zero_map.threads));
        let zeros = ZeroFile::of_offline_mount(settings, &backend, &naming);
        let remembered = zeros.as_ref().and_then(|zeros| zeros.remembered(geometry));
        let (file_of_lock, zero_file) = (file.clone(), zeros.clone());
        let shore =
            Shore { settings: settings.clone(), backend, keys, geometry, naming, file: file_of_lock, zero_file };
        let joining = Joining::new(shore, lock.clone());
        let store = Arc::new(Joined { joining: joining.clone(), below });
        let known = AtMount { known: Known::Nothing, remembered: remembered.map(|zeros| (joining.clone(), zeros)) };
        let open = Some(OpenFile { file, loaded });
        let built = build(settings, store, known, open, &parts, stats.clone())?;
        let volume = Arc::new(built.volume);
        joining.start(&volume);
        // Saved if joined; with a session that no superblock has: for the next offline mount only.
        let zeros = zeros.zip(built.zero_map);
        Ok(Stack { volume, stats, notices: built.notices, lock, file: built.file, zeros, offline: Some(joining) })
    }

    pub fn volume(&self) -> Arc<Volume> {
        self.volume.clone()
    }

    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    /// What the user should know at mount, a line each.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Stores everything (as long as it takes), stops background work, releases the lock. Call it once.
    pub async fn close(&self) -> Result<()> {
        self.volume.close().await?;
        // The lock of a dead mount that the file speaks of is still held for it by a mount that never took one.
        let took_file = !self.volume.is_read_only() && self.offline.as_ref().is_none_or(|offline| offline.is_joined());
        if let Some(file) = self.file.as_ref().filter(|_| took_file)
            && let Err(error) = file.set_token(0)
        {
            tracing::warn!("{error}: the next mount will take the cache file for that of a crashed one");
        }
        if let Some((zeros, map)) = self.zeros.as_ref().filter(|_| took_file)
            && let Err(error) = zeros.save(map).await
        {
            tracing::warn!("the zero map is not saved, the next mount learns it anew: {error}");
        }
        let lock = self.lock.lock().take();
        if let Some(lock) = lock
            && let Some(notice) = lock.release().await?
        {
            tracing::warn!("{notice}");
            // Somebody else may have written since.
            if let Some((zeros, _)) = &self.zeros
                && let Err(error) = zeros.forget()
            {
                tracing::warn!("{error}; delete it, it may be untrue");
            }
        }
        Ok(())
    }

    /// What to tell the user when the process ends without [`Stack::close`] having finished.
    pub fn left_behind(&self) -> Option<String> {
        self.lock.lock().as_ref().and_then(MountLock::left_behind)
    }
}

/// What a weightless volume cannot do.
fn check_payload(settings: &Settings, parts: &Parts, disk: Option<&dyn CacheDisk>) -> Result<()> {
    if parts.payload == Payload::Real {
        return Ok(());
    }
    let cache = &settings.block_cache;
    let real_file = cache.offline || disk.map_or(cache.file.is_some(), |disk| !disk.takes_cells());
    if real_file || settings.volume.shared_disk || without_cache(settings) {
        return Err(Error::config(
            "a weightless volume has its blocks in a block cache in memory: no --block-cache-file but on a modelled disk, no \
             --shared-disk-mode, no --block-cache-size=0; try --block-cache-size=1000",
        ));
    }
    if parts.backend.is_none() && settings.location != Location::Memory {
        return Err(Error::config("a weightless volume needs a backend in memory"));
    }
    Ok(())
}

fn check_block_size(payload: Payload, geometry: Geometry) -> Result<()> {
    let (block_size, most) = (geometry.block_size(), Payload::LARGEST_WEIGHTLESS_BLOCK);
    if payload == Payload::Weightless && block_size > most {
        return Err(Error::config(format!(
            "--block-size={block_size}: blocks of a weightless volume are at most {most} bytes; try --block-size={most}"
        )));
    }
    Ok(())
}

fn without_cache(settings: &Settings) -> bool {
    matches!(settings.block_cache.size, CacheSize::Blocks(0) | CacheSize::Bytes(0))
}

/// What must be known of a volume before its layers can be built.
struct Shape {
    geometry: Geometry,
    naming: Naming,
    /// No block exists.
    is_new: bool,
}

/// The backend of the settings, with patience around it. Fails in seconds on what patience would not mend.
pub(crate) async fn connect(settings: &Settings, parts: &Parts, stats: &Arc<Stats>) -> Result<Arc<dyn ObjectBackend>> {
    if parts.backend.is_none()
        && !settings.test.discard
        && let Location::Bucket(bucket) = &settings.location
    {
        open_bucket(bucket, settings, parts, stats).await?;
    }
    build_backend(settings, parts, stats)
}

/// A bucket without patience around it, that has answered once: within `mount_patience` it fails on what patience would
/// not mend, and on an address where nobody answers. For who needs the bucket itself rather than a volume in it.
///
/// # Errors
/// Names the bucket, the cause, and what to check.
pub async fn open_bucket(bucket: &str, settings: &Settings, parts: &Parts, stats: &Arc<Stats>) -> Result<S3Backend> {
    let backend = s3_backend(bucket, settings, parts, stats)?;
    reach(&backend, settings).await.map_err(|error| error.context(format!("bucket {bucket}")))?;
    Ok(backend)
}

/// Asks until it answers, for some seconds: nobody waits half a minute for a mount to say that the address is wrong.
async fn reach(backend: &S3Backend, settings: &Settings) -> Result<()> {
    let deadline = clock::now() + settings.retry.mount_patience;
    loop {
        let rest = deadline.saturating_duration_since(clock::now());
        let answer = clock::timeout(rest, backend.check_bucket()).await;
        match answer {
            Some(Err(error)) if error.is_transient() && clock::now() + settings.retry.initial_pause < deadline => {
                clock::sleep(settings.retry.initial_pause).await;
            }
            Some(answer) => return answer,
            None => {
                let text =
                    format!("no answer within {:?}: check --base-url and the network", settings.retry.mount_patience);
                return Err(Error::new(ErrorKind::Timeout, text));
            }
        }
    }
}

fn s3_backend(bucket: &str, settings: &Settings, parts: &Parts, stats: &Arc<Stats>) -> Result<S3Backend> {
    let credentials = Credentials::resolve(&settings.s3, parts.access_key.clone(), &Surroundings::PROCESS)?;
    S3Backend::new(bucket, &settings.s3, credentials, stats.clone())
}

/// As [`connect`], but asks nobody.
fn build_backend(settings: &Settings, parts: &Parts, stats: &Arc<Stats>) -> Result<Arc<dyn ObjectBackend>> {
    s3::check_prefix(&settings.volume.prefix)?;
    let backend: Arc<dyn ObjectBackend> = match (&parts.backend, &settings.location) {
        (Some(backend), _) => backend.clone(),
        (None, _) if settings.test.discard => Arc::new(Discard::new()),
        (None, Location::Memory) => Arc::new(Memory::new()),
        (None, Location::Directory(path)) => {
            let directory = Directory::open(path)?;
            if !settings.volume.read_only {
                directory.lock()?;
            }
            Arc::new(directory)
        }
        (None, Location::Bucket(bucket)) => Arc::new(s3_backend(bucket, settings, parts, stats)?),
    };
    let backend = with_test_troubles(backend, &settings.test);
    let (retry, stats) = (settings.retry.clone(), stats.clone());
    Ok(Arc::new(match settings.test.seed {
        Some(seed) => Retrying::with_seed(backend, retry, stats, seed),
        None => Retrying::new(backend, retry, stats),
    }))
}

/// `--test-delays` and `--test-errors`.
fn with_test_troubles(mut backend: Arc<dyn ObjectBackend>, test: &TestSettings) -> Arc<dyn ObjectBackend> {
    let seed = test.seed.unwrap_or_else(|| rand::rng().random());
    if test.delays {
        backend = Arc::new(Latency::new(backend, Delays::of_test(), seed));
    }
    if let Some(share) = test.errors {
        tracing::info!("injecting errors into {share} of the requests, seed {seed}");
        backend = Arc::new(Faults::new(backend, FaultRates::of_test(share), seed));
    }
    backend
}

fn derive_keys(settings: &Settings, password: Option<&SecretString>) -> Result<Option<Arc<Keys>>> {
    let bucket = match &settings.location {
        Location::Bucket(bucket) => bucket.as_str(),
        _ => "",
    };
    Ok(Keys::from_settings(&settings.codec, password, bucket, &settings.volume.prefix)?.map(Arc::new))
}

/// The look under the lock: what was decided without it must still hold.
async fn resolve_again(
    backend: &Arc<dyn ObjectBackend>,
    settings: &Settings,
    keys: Option<&Arc<Keys>>,
    before: &Resolved,
) -> Result<Resolved> {
    let resolved = resolve(backend, settings, keys).await?;
    if !resolved.same_volume(before) {
        let text = "another mount changed the volume's shape just now; mount again";
        return Err(Error::new(ErrorKind::Busy, text));
    }
    Ok(resolved)
}

/// What is known of zero blocks at mount.
struct AtMount {
    known: Known,
    /// Believed until the volume is joined to its store.
    remembered: Option<(Arc<Joining>, SavedMap)>,
}

/// The volume, and what lies below it that [`Stack`] speaks to.
struct Built {
    volume: Volume,
    file: Option<Arc<CacheFile>>,
    zero_map: Option<Arc<ZeroMap>>,
    notices: Vec<String>,
}

/// Puts the layers above the object blocks on each other.
fn build(
    settings: &Settings,
    mut store: Arc<dyn BlockStore>,
    AtMount { known, remembered }: AtMount,
    cache_file: Option<OpenFile>,
    parts: &Parts,
    stats: Arc<Stats>,
) -> Result<Built> {
    let geometry = store.geometry();
    let local = !matches!(settings.location, Location::Bucket(_));
    let mut notices = Vec::new();
    let shared = settings.volume.shared_disk;
    let mut zero_map = None;
    if !shared {
        let mut zero = settings.zero_map.clone();
        if local && zero.survey == SurveyMode::Auto {
            // Listings cost nothing here.
            zero.survey = SurveyMode::On;
        }
        let map = Arc::new(ZeroMap::new(store, &zero, known, stats.clone()));
        notices.extend(map.start_survey());
        zero_map = Some(map.clone());
        store = map;
    }
    if settings.md5_cache.size > 0 && !shared && !settings.volume.read_only {
        store = Arc::new(Md5Cache::new(store, &settings.md5_cache, stats.clone())?);
    }
    if let Some((joining, zeros)) = remembered {
        store = Arc::new(Remembered { joining, zeros, below: store });
    }
    if shared || without_cache(settings) {
        let volume = Volume::new(geometry, settings.volume.read_only, Blocks::Direct(Direct::new(store)));
        return Ok(Built { volume, file: None, zero_map, notices });
    }
    let file = cache_file.as_ref().map(|open| open.file.clone());
    notices.extend(cache_file.iter().flat_map(|open| open.loaded.notices.clone()));
    let parts = CacheParts {
        store,
        cpu: parts.cpu.clone(),
        payload: parts.payload,
        stats,
        file: cache_file,
        durability: settings.durability,
        read_only: settings.volume.read_only,
        blocks: resolve_size(&settings.block_cache, geometry, machine_memory()),
    };
    let cache = BlockCache::open(&settings.block_cache, &settings.retry, parts)?;
    let volume = Volume::new(geometry, settings.volume.read_only, Blocks::Cached(cache));
    Ok(Built { volume, file, zero_map, notices })
}

/// A mount that fails after taking the lock leaves none behind.
async fn give_back(lock: Option<MountLock>, error: Error) -> Error {
    let Some(lock) = lock else { return error };
    match lock.release().await {
        Ok(_) => error,
        Err(left) => error.context(format!("and the mount token is left behind ({left})")),
    }
}

/// Bytes of memory this process may use.
fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}
