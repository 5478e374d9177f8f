//! The life of a mount: checks, background, volume, FUSE session, signals, the end.
//!
//! The mount point is checked before the volume is opened, so a typing error never reaches the bucket; whatever fails
//! after that closes the volume again, which releases its lock.

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{Config, MountOption, Session, SessionACL};
use s3b_engine::error::{Error, Result};
use s3b_engine::settings::flags::to_toml;
use s3b_engine::settings::{Location, Settings};
use s3b_engine::stack::{Parts, Stack};
use s3b_engine::volume::Volume;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::cli::Request;
use crate::cli::kernel_options::KernelOptions;
use crate::daemon::{self, Starting};
use crate::filesystem::{Identity, Look, VolumeFilesystem};
use crate::presence::Presence;
use crate::record::{Counts, Recording};
use crate::signals::{GaveUp, Signals};
use crate::stats_file::{self, Sections};
use crate::umount::{How, unmount};
use crate::{logging, mount_point, parts, presence, record};

/// Mounts and serves until unmounted. In the background unless asked otherwise; then only the child returns from here.
pub fn run(mut request: Request, mountpoint: &Path) -> Result<()> {
    let mountpoint = mount_point::check(mountpoint)?;
    if let Some(path) = &request.options.record {
        record::check(path)?;
    }
    let parts = parts::assemble(&request)?;
    make_absolute(&mut request);
    let starting = if request.options.foreground {
        Starting::foreground()
    } else {
        daemon::detach().map_err(|e| Error::failed(format!("going into the background: {e}")))?
    };
    start_logging(&request)?;
    // From here on, memory that this process needs to serve writes is not reclaimed by waiting for those very writes.
    mark_io_flusher();
    let runtime = Runtime::new().map_err(|e| Error::failed(format!("starting threads: {e}")))?;
    let (stack, signals) = runtime.block_on(open(&request, parts))?;
    for notice in stack.notices() {
        tracing::warn!("{notice}");
    }
    if request.settings.block_cache.preload {
        runtime.spawn(preload(stack.volume()));
    }
    let result = serve(&request, &mountpoint, &stack, signals, &runtime, starting);
    // Requests of a dead session may still sit in blocking threads.
    runtime.shutdown_background();
    result
}

/// `--preload`: fills the cache beside the first reads, and never stands in a mount's way.
async fn preload(volume: Arc<Volume>) {
    match volume.preload().await {
        Ok(blocks) => tracing::info!("preloaded {blocks} blocks"),
        Err(error) => tracing::warn!("preloading stopped: {error}"),
    }
}

/// Opens the volume. A signal meanwhile must not leave its lock behind, so signals are heard from here on.
async fn open(request: &Request, parts: Parts) -> Result<(Stack, Signals)> {
    let mut signals = Signals::listen().map_err(|e| Error::failed(format!("listening for signals: {e}")))?;
    let opened = signals.unless_again("opening the volume", Stack::open(&request.settings, parts)).await;
    let stack = opened.map_err(|GaveUp| {
        Error::failed("a second signal ended it while the volume was being opened; if its lock is left, `s3b reset-mounted-flag` removes it")
    })??;
    if signals.asked() {
        stack.close().await?;
        return Err(Error::failed("stopped by a signal before the mount was up"));
    }
    Ok((stack, signals))
}

/// Sets up the log and writes what the command line gave rise to.
fn start_logging(request: &Request) -> Result<()> {
    let detail = logging::Detail {
        debug: request.options.debug,
        debug_http: request.settings.s3.debug_http,
        quiet: request.options.quiet,
    };
    if request.options.foreground {
        logging::to_stderr(detail);
    } else {
        let fallback = presence::directory().unwrap_or_else(|_| std::env::temp_dir());
        let file = logging::to_syslog(detail, &fallback)
            .map_err(|e| Error::failed(format!("no syslog, and no log file in {}: {e}", fallback.display())))?;
        if let Some(file) = file.filter(|_| !request.options.quiet) {
            eprintln!("s3b: no syslog here; the log goes to {}", file.display());
        }
    }
    for notice in &request.notices {
        tracing::warn!("{notice}");
    }
    // Secrets are never part of settings.
    tracing::debug!("settings: {}", to_toml(&request.settings).trim_end().replace('\n', ", "));
    Ok(())
}

/// A background process works in `/`: relative paths mean the directory it was started in.
fn make_absolute(request: &mut Request) {
    let settings = &mut request.settings;
    let paths = [
        &mut settings.block_cache.file,
        &mut settings.s3.cacert,
        &mut settings.s3.credentials.access_file,
        &mut request.options.stats_file_mirror,
        &mut request.options.record,
    ];
    for path in paths.into_iter().flatten() {
        if let Ok(absolute) = std::path::absolute(&path) {
            *path = absolute;
        }
    }
}

fn serve(
    request: &Request,
    mountpoint: &Path,
    stack: &Stack,
    signals: Signals,
    runtime: &Runtime,
    starting: Starting,
) -> Result<()> {
    let mounted = mount(request, mountpoint, stack, runtime);
    let Mounted { session, over, recording } = match mounted {
        Ok(mounted) => mounted,
        Err(error) => {
            if let Err(closing) = runtime.block_on(stack.close()) {
                tracing::error!("closing the volume again: {closing}");
            }
            return Err(error);
        }
    };
    // Dropping it would unmount whatever is mounted there by then: somebody else's file system, after ours is gone.
    let _session = ManuallyDrop::new(session);
    let presence = Presence::announce(mountpoint);
    if let Err(e) = &presence {
        tracing::warn!("`s3b umount --wait` will not find this process: {e}");
    }
    raise_read_ahead(mountpoint, request.options.kernel_read_ahead);
    let geometry = stack.volume().geometry();
    tracing::info!(
        "{} is mounted on {}: {} blocks of {} bytes",
        request.source,
        mountpoint.display(),
        geometry.blocks(),
        geometry.block_size()
    );
    starting.up();
    let outcome = runtime.block_on(async {
        let mirror = request.options.stats_file_mirror.clone().map(|path| {
            let sections = Sections::of(&request.settings, recording.as_ref().map(Recording::counts));
            tokio::spawn(stats_file::mirror(stack.stats(), sections, path, request.options.stats_file_mirror_interval))
        });
        let outcome = until_stored(mountpoint, stack, signals, over).await;
        if let Some(mirror) = mirror {
            mirror.abort();
        }
        outcome
    });
    if let Some(recording) = recording {
        recording.finish();
    }
    if let Ok(presence) = presence {
        presence.finish(&outcome);
    }
    match outcome {
        Ok(()) => {
            tracing::info!("{}: everything is stored", mountpoint.display());
            Ok(())
        }
        Err(words) => {
            // In the background nobody sees what main prints.
            if !request.options.foreground {
                tracing::error!("{}: not everything is stored: {words}", mountpoint.display());
            }
            Err(Error::failed(words))
        }
    }
}

const STORING: &str = "storing what was written";

/// Serves until the session is over, then stores what is left. The error is what `s3b umount --wait` says.
async fn until_stored(
    mountpoint: &Path,
    stack: &Stack,
    mut signals: Signals,
    mut over: oneshot::Receiver<()>,
) -> std::result::Result<(), String> {
    let gave_up =
        |GaveUp| "a second signal ended it; the lock and the cache file are kept, mount again to go on".to_owned();
    tokio::select! {
        biased;
        _ = &mut over => {}
        () = signals.stop() => {
            tracing::warn!("{}: asked to stop; storing what was written first", mountpoint.display());
            if let Err(e) = signals.unless_again(STORING, stack.volume().flush()).await.map_err(gave_up)? {
                tracing::error!("storing what was written: {e}");
            }
            leave(mountpoint).await;
            // Nothing more to hear from a sender that is gone: the session is over then, too.
            let _ = signals.unless_again("serving its users", &mut over).await.map_err(gave_up)?;
        }
    }
    tracing::info!("{} is unmounted; storing what is left", mountpoint.display());
    signals.unless_again(STORING, stack.close()).await.map_err(gave_up)?.map_err(|e| e.to_string())
}

/// Unmounts from within; if somebody still uses the file, it goes on serving them.
async fn leave(mountpoint: &Path) {
    let target = mountpoint.to_owned();
    let left = tokio::task::spawn_blocking(move || match unmount(&target, How::WhenIdle) {
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => unmount(&target, How::Lazily).map(|()| true),
        other => other.map(|()| false),
    });
    match left.await {
        Ok(Ok(true)) => tracing::warn!(
            "{} is in use and was detached; this process ends when its last user is gone, or at a second signal",
            mountpoint.display()
        ),
        Ok(Ok(false)) => {}
        Ok(Err(e)) => tracing::error!("unmounting {}: {e}", mountpoint.display()),
        Err(e) => tracing::error!("unmounting {}: {e}", mountpoint.display()),
    }
}

/// What is up while the volume is mounted.
struct Mounted {
    session: fuser::BackgroundSession,
    /// Heard from when the session is over.
    over: oneshot::Receiver<()>,
    recording: Option<Recording>,
}

fn mount(request: &Request, mountpoint: &Path, stack: &Stack, runtime: &Runtime) -> Result<Mounted> {
    let options = &request.options;
    let record = |path: &PathBuf| Recording::start(path, options.record_max_size, stack.volume().geometry());
    let recording = options.record.as_ref().map(record).transpose()?;
    let (over, ended) = oneshot::channel();
    let look = look(request, recording.as_ref().map(Recording::counts));
    let recorder = recording.as_ref().map(Recording::intake);
    let volume = (stack.volume(), stack.stats());
    let filesystem = VolumeFilesystem::new(volume, runtime.handle().clone(), look, recorder, over);
    match Session::new(filesystem, mountpoint, &config(request)).and_then(Session::spawn) {
        Ok(session) => Ok(Mounted { session, over: ended, recording }),
        Err(e) => {
            if let Some(recording) = recording {
                recording.abandon();
            }
            Err(cannot_mount(mountpoint, &request.kernel, &e))
        }
    }
}

fn look(request: &Request, recording: Option<Arc<Counts>>) -> Look {
    let options = &request.options;
    let read_only = request.settings.volume.read_only;
    Look {
        filename: options.filename.clone(),
        stats_filename: Some(options.stats_filename.clone()).filter(|name| !name.is_empty()),
        direct_io: options.direct_io,
        identity: Identity {
            uid: request.kernel.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
            gid: request.kernel.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
            file_mode: options.file_mode.unwrap_or(if read_only { 0o400 } else { 0o600 }),
        },
        sections: Sections::of(&request.settings, recording),
    }
}

fn config(request: &Request) -> Config {
    let kernel = &request.kernel;
    let given = |option: &str| kernel.passed.iter().any(|o| o == option);
    let mut options = vec![MountOption::DefaultPermissions, MountOption::CUSTOM("subtype=s3b".into())];
    let name = kernel.passed.iter().find_map(|o| o.strip_prefix("fsname="));
    options.push(MountOption::FSName(name.map_or_else(|| description(&request.settings), str::to_owned)));
    let flags = [
        ("dev", MountOption::Dev),
        ("suid", MountOption::Suid),
        ("noexec", MountOption::NoExec),
        ("noatime", MountOption::NoAtime),
        ("sync", MountOption::Sync),
        ("dirsync", MountOption::DirSync),
    ];
    options.extend(flags.into_iter().filter(|(name, _)| given(name)).map(|(_, option)| option));
    for (name, on, off) in
        [("dev", MountOption::Dev, MountOption::NoDev), ("suid", MountOption::Suid, MountOption::NoSuid)]
    {
        if !given(name) || given(&format!("no{name}")) {
            options.retain(|option| *option != on);
            options.push(off);
        }
    }
    if request.settings.volume.read_only {
        options.push(MountOption::RO);
    }
    let mut config = Config::default();
    config.mount_options = options;
    config.acl = match kernel {
        KernelOptions { allow_other: true, .. } => SessionACL::All,
        KernelOptions { allow_root: true, .. } => SessionACL::RootAndOwner,
        _ => SessionACL::Owner,
    };
    let threads = request.options.fuse_threads.map_or_else(default_threads, |n| n as usize);
    config.n_threads = Some(threads);
    config.clone_fd = threads > 1;
    config
}

/// A thread only copies bytes, so more than CPUs help nobody; two let one request through while another is copied.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8))
}

/// What `mount` shows as the device.
fn description(settings: &Settings) -> String {
    match &settings.location {
        Location::Bucket(bucket) => format!("s3b:{bucket}/{}", settings.volume.prefix),
        Location::Directory(path) => format!("s3b:{}", path.display()),
        Location::Memory => "s3b".into(),
    }
}

fn cannot_mount(mountpoint: &Path, kernel: &KernelOptions, error: &io::Error) -> Error {
    let root = rustix::process::geteuid().is_root();
    let for_others = kernel.allow_other || kernel.allow_root;
    let hint = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV) => "is the kernel's fuse module loaded? try `modprobe fuse`",
        // fusermount's own words come without a number.
        Some(libc::EACCES) if !root => "may this user open /dev/fuse? `chmod 666 /dev/fuse`, as udev does it",
        _ if for_others && !root => "for allow_other and allow_root, /etc/fuse.conf must say user_allow_other",
        _ => "without root it takes the package fuse3 and a mount point of your own",
    };
    Error::failed(format!("mounting on {}: {}; {hint}", mountpoint.display(), error.to_string().trim_end()))
}

/// Lets the kernel read further ahead than FUSE's 128 KiB. Needs root; without it reads are a little slower.
fn raise_read_ahead(mountpoint: &Path, bytes: u64) {
    let raise = || -> io::Result<()> {
        let device = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(mountpoint)?);
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let path = PathBuf::from(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"));
        std::fs::write(path, (bytes / 1024).to_string())
    };
    if let Err(e) = raise() {
        tracing::debug!("--kernel-read-ahead is not set: {e}");
    }
}

/// `PR_SET_IO_FLUSHER`: inherited by the threads started later. Needs CAP_SYS_RESOURCE; without it nothing changes.
fn mark_io_flusher() {
    /// From linux/prctl.h; the libc crate does not have it.
    const PR_SET_IO_FLUSHER: libc::c_int = 57;
    // SAFETY: a prctl with plain numbers; it only sets flags of this thread.
    if unsafe { libc::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) } != 0 {
        tracing::debug!("PR_SET_IO_FLUSHER: {}", io::Error::last_os_error());
    }
}
