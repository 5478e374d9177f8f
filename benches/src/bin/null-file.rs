//! The ceiling: one file in memory behind FUSE, with the mount options of the product and nothing else. What a request
//! costs here, no FUSE disk can undercut.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

/// Mounts a file that lives in memory and is gone with the process.
#[derive(Parser)]
struct Arguments {
    /// Size of the file in bytes.
    #[arg(long)]
    size: u64,
    /// FUSE threads [default: as the product, one per CPU, 2 to 8].
    #[arg(long)]
    threads: Option<usize>,
    mount_point: PathBuf,
}

/// Largest request; pieces are as large, so an aligned request touches one.
const MAX_WRITE: u32 = 1 << 20;
const PIECE: u64 = MAX_WRITE as u64;
const FILE: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(31_536_000);

struct NullFile {
    size: u64,
    /// A lock per piece: readers share it, and taking it free costs 20 ns of a 7 us request.
    pieces: Vec<RwLock<Box<[u8]>>>,
}

impl NullFile {
    fn new(size: u64) -> Self {
        let pieces = (0..size.div_ceil(PIECE)).map(|_| RwLock::new(vec![0; PIECE as usize].into_boxed_slice()));
        Self { size, pieces: pieces.collect() }
    }

    /// Calls `part` with each piece's index, the place in it, and the place in the request.
    fn parts(&self, offset: u64, len: usize, mut part: impl FnMut(usize, std::ops::Range<usize>, usize)) {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = (at % PIECE) as usize;
            let take = (PIECE as usize - start).min(len - done);
            part((at / PIECE) as usize, start..start + take, done);
            done += take;
        }
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        FileAttr {
            ino: inode,
            size: if is_file { self.size } else { 0 },
            blocks: if is_file { self.size / 512 } else { 0 },
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o755 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for NullFile {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // An answer of `Err` names the nearest value; the kernel's default is then good enough.
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(128);
        let _ = config.set_congestion_threshold(128);
        for flag in [InitFlags::FUSE_ASYNC_DIO, InitFlags::FUSE_MAX_PAGES, InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP] {
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "file" {
            reply.entry(&FOREVER, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &self.attributes(inode));
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES);
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let len = u64::from(size).min(self.size.saturating_sub(offset)) as usize;
        let start = (offset % PIECE) as usize;
        if len > 0 && start + len <= PIECE as usize {
            let piece = self.pieces[(offset / PIECE) as usize].read().expect("never poisoned");
            return reply.data(&piece[start..start + len]);
        }
        let mut out = vec![0; len];
        self.parts(offset, len, |piece, range, at| {
            let piece = self.pieces[piece].read().expect("never poisoned");
            out[at..at + range.len()].copy_from_slice(&piece[range]);
        });
        reply.data(&out);
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if offset + data.len() as u64 > self.size {
            return reply.error(Errno::ENOSPC);
        }
        self.parts(offset, data.len(), |piece, range, at| {
            let mut piece = self.pieces[piece].write().expect("never poisoned");
            let len = range.len();
            piece[range].copy_from_slice(&data[at..at + len]);
        });
        reply.written(data.len() as u32);
    }

    fn flush(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = [(INodeNo::ROOT, FileType::Directory, "."), (FILE, FileType::RegularFile, "file")];
        for (number, (inode, kind, name)) in entries.into_iter().enumerate().skip(offset as usize) {
            if reply.add(inode, number as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("null-file".into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
    ];
    let cpus = std::thread::available_parallelism().map_or(2, |cpus| cpus.get());
    config.n_threads = Some(arguments.threads.unwrap_or(cpus.clamp(2, 8)));
    config.clone_fd = true;
    let session: BackgroundSession = fuser::spawn_mount(NullFile::new(arguments.size), &arguments.mount_point, &config)
        .with_context(|| format!("mounting {}", arguments.mount_point.display()))?;
    s3b_benches::kernel::raise_read_ahead(&arguments.mount_point)?;
    session.join().context("serving the file")
}
