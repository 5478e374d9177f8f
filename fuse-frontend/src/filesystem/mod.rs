//! The file system the kernel sees: a directory with the volume as one file, and a stats file.
//!
//! Hits are answered on the FUSE thread; everything that may wait moves, with its reply, into a task. No FUSE thread
//! ever waits for the store. No allocation and no formatting on the way of a hit.

mod attributes;
mod file;
mod snapshots;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use s3b_engine::stats::Stats;
use s3b_engine::volume::Volume;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::errno::ErrorLog;
use crate::record::Intake;
use crate::stats_file::{self, Sections};
use attributes::{ENTRY_TTL, NO_TTL};
pub use attributes::{Identity, Times};
use snapshots::Snapshots;

/// Largest request: the kernel's own limit for a FUSE read or write (256 pages).
const MAX_WRITE: u32 = 1 << 20;
/// Requests in flight that nobody waits for in a system call: asynchronous direct I/O and the kernel's read-ahead.
/// With the default of 16 a loop device at depth 32 starves (measured: 780 instead of 1,540 IOPS).
const MAX_BACKGROUND: u16 = 128;

const FILE: INodeNo = INodeNo(2);
const STATS: INodeNo = INodeNo(3);
/// The volume's file, opened for reading, or for writing too.
const READER: FileHandle = FileHandle(0);
const WRITER: FileHandle = FileHandle(1);

/// How the files look.
#[derive(Clone, Debug)]
pub struct Look {
    pub filename: String,
    /// `None`: no stats file.
    pub stats_filename: Option<String>,
    pub direct_io: bool,
    pub identity: Identity,
    pub sections: Sections,
}

/// What tasks need after the request has returned.
struct Shared {
    volume: Arc<Volume>,
    errors: ErrorLog,
}

pub struct VolumeFilesystem {
    shared: Arc<Shared>,
    stats: Arc<Stats>,
    runtime: Handle,
    look: Look,
    times: Times,
    snapshots: Snapshots,
    /// Takes note of what the kernel asks of the volume.
    recorder: Option<Arc<Intake>>,
    /// Told when the kernel is done with us.
    over: Option<oneshot::Sender<()>>,
}

impl VolumeFilesystem {
    /// `over` is told when the session has ended.
    pub fn new(
        (volume, stats): (Arc<Volume>, Arc<Stats>),
        runtime: Handle,
        look: Look,
        recorder: Option<Arc<Intake>>,
        over: oneshot::Sender<()>,
    ) -> Self {
        let shared = Arc::new(Shared { volume, errors: ErrorLog::default() });
        let (times, snapshots, over) = (Times::now(), Snapshots::default(), Some(over));
        Self { shared, stats, runtime, look, times, snapshots, recorder, over }
    }

    fn inode(&self, parent: INodeNo, name: &OsStr) -> Option<INodeNo> {
        if parent != INodeNo::ROOT {
            None
        } else if name == self.look.filename.as_str() {
            Some(FILE)
        } else {
            self.look.stats_filename.as_deref().filter(|stats| name == *stats).map(|_| STATS)
        }
    }

    fn attributes(&self, inode: INodeNo) -> Option<fuser::FileAttr> {
        let geometry = self.shared.volume.geometry();
        match inode {
            INodeNo::ROOT => Some(self.look.identity.root(&self.times)),
            FILE => Some(self.look.identity.file(FILE, geometry, &self.times)),
            STATS if self.look.stats_filename.is_some() => {
                Some(self.look.identity.stats(STATS, self.stats_text().len() as u64, &self.times))
            }
            _ => None,
        }
    }

    fn stats_text(&self) -> String {
        stats_file::text(&self.stats, &self.look.sections)
    }
}

impl Filesystem for VolumeFilesystem {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = [
            // Without it the kernel turns asynchronous direct I/O into one request at a time: a loop device at depth 1.
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
        ];
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::info!("this kernel's FUSE lacks {flag:?}; the mount works, some I/O will be slower");
            }
        }
        // Each answers the old value, or the nearest that works; these are all within the limits.
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(MAX_BACKGROUND);
        let _ = config.set_congestion_threshold(MAX_BACKGROUND);
        Ok(())
    }

    fn destroy(&mut self) {
        if let Some(over) = self.over.take() {
            // Nobody listening means that the mount failed and is being taken down anyway.
            let _ = over.send(());
        }
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.inode(parent, name).and_then(|inode| self.attributes(inode)) {
            Some(attributes) => reply.entry_with_ttls(&NO_TTL, &ENTRY_TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&NO_TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// A volume has one size. Size 0 without a handle is `open(O_TRUNC)`, ignored as on a block device; any other
    /// change of size is refused.
    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if mode.is_some() || uid.is_some() || gid.is_some() || inode != FILE {
            return reply.error(Errno::EPERM);
        }
        let volume = &self.shared.volume;
        if let Some(size) = size {
            if volume.is_read_only() {
                return reply.error(Errno::EROFS);
            }
            if size != volume.geometry().size() && !(size == 0 && fh.is_none()) {
                return reply.error(Errno::EPERM);
            }
        }
        self.times.set(atime, mtime);
        self.getattr(_req, inode, fh, reply);
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writing = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match inode {
            FILE if writing && self.shared.volume.is_read_only() => reply.error(Errno::EROFS),
            FILE => {
                let caching =
                    if self.look.direct_io { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE };
                // Closing a file that could not be written has nothing to wait for.
                let closing = if writing { FopenFlags::empty() } else { FopenFlags::FOPEN_NOFLUSH };
                let handle = if writing { WRITER } else { READER };
                reply.opened(handle, caching | closing | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES);
            }
            STATS if writing => reply.error(Errno::EACCES),
            STATS => {
                let handle = self.snapshots.take(self.stats_text());
                reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
            }
            _ => reply.error(Errno::EISDIR),
        }
    }

    fn read(
        &self,
        _req: &Request,
        inode: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match inode {
            FILE => self.read_file(offset, size as usize, reply),
            _ => match self.snapshots.part(fh, offset, size as usize) {
                Some(part) => reply.data(&part),
                None => reply.error(Errno::EBADF),
            },
        }
    }

    fn write(
        &self,
        _req: &Request,
        inode: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match inode {
            FILE => self.write_file(offset, data, reply),
            _ => reply.error(Errno::EACCES),
        }
    }

    fn flush(&self, _req: &Request, inode: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        match (inode, fh) {
            (FILE, WRITER) => self.noted_flush("flush on close", reply),
            _ => reply.ok(),
        }
    }

    /// Pages dirtied through a mapping may arrive after the last close, so a writer's release flushes too. Nobody waits
    /// for it, so a recording does not have it.
    fn release(
        &self,
        _req: &Request,
        inode: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        match (inode, fh) {
            (FILE, WRITER) => self.flush_volume("flush on release", reply),
            (STATS, handle) => {
                self.snapshots.forget(handle);
                reply.ok();
            }
            _ => reply.ok(),
        }
    }

    fn fsync(&self, _req: &Request, inode: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        match inode {
            FILE => self.noted_flush("fsync", reply),
            _ => reply.ok(),
        }
    }

    fn fsyncdir(&self, _req: &Request, _inode: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _req: &Request,
        inode: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
        const ZERO_KEEP: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
        let volume = &self.shared.volume;
        let room = volume.geometry().size().saturating_sub(offset);
        match mode {
            _ if inode != FILE => reply.error(Errno::EOPNOTSUPP),
            PUNCH | ZERO | ZERO_KEEP if volume.is_read_only() => reply.error(Errno::EROFS),
            // A hole past the end is no change, whatever its length.
            PUNCH if room == 0 => reply.ok(),
            PUNCH => self.zero(offset, length.min(room), reply),
            ZERO | ZERO_KEEP if length > room => reply.error(Errno::ENOSPC),
            ZERO | ZERO_KEEP => self.zero(offset, length, reply),
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }

    /// Makes the kernel fall back to its own, in which the whole file is data.
    fn lseek(&self, _req: &Request, _inode: INodeNo, _fh: FileHandle, _offset: i64, _whence: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn readdir(&self, _req: &Request, inode: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if inode != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let root = [(INodeNo::ROOT, FileType::Directory, "."), (INodeNo::ROOT, FileType::Directory, "..")];
        let file = (FILE, FileType::RegularFile, self.look.filename.as_str());
        let stats = self.look.stats_filename.as_deref().map(|name| (STATS, FileType::RegularFile, name));
        let entries = root.into_iter().chain([file]).chain(stats).enumerate().skip(offset as usize);
        for (at, (inode, kind, name)) in entries {
            if reply.add(inode, at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let geometry = self.shared.volume.geometry();
        let files = 2 + u64::from(self.look.stats_filename.is_some());
        reply.statfs(u64::from(geometry.blocks()), 0, 0, files, 0, geometry.block_size(), 255, geometry.block_size());
    }

    /// Removing the stats file resets the counters; it stays.
    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.inode(parent, name) {
            Some(STATS) => {
                self.stats.reset();
                reply.ok();
            }
            Some(_) => reply.error(Errno::EPERM),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// Only asked when the kernel does not check by itself (`default_permissions` is always on).
    fn access(&self, _req: &Request, _inode: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mknod(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn mkdir(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _newparent: INodeNo,
        _newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EPERM);
    }
}
