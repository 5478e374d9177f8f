//! Where volumes live in these tests, and what is written to them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use s3b_testkit::seaweed::Seaweed;
use s3b_testkit::{Mount, Proxy, S3b, S3backer, port_of, require_root_and_fuse, within, xorshift};

/// Nothing here takes this long, also on a busy machine; what does, hangs.
pub const LONG: Duration = Duration::from_secs(240);

const KEYS: (&str, &str) = (Seaweed::ACCESS_ID, Seaweed::SECRET);

/// The program under test.
pub fn s3b() -> S3b {
    S3b::new(std::env::var_os("S3B_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_s3b").into()))
}

/// A bucket of its own on the server that all tests share.
pub struct Bucket {
    name: &'static str,
    port: u16,
    _server: Arc<Seaweed>,
}

impl Bucket {
    /// `None`: the test is skipped, and that was said.
    pub fn make(name: &'static str) -> Option<Self> {
        if !require_root_and_fuse() {
            return None;
        }
        let server = Seaweed::required()?;
        server.create_bucket(name).expect("a bucket can be made");
        let port = port_of(&server.endpoint()).expect("an endpoint has a port");
        Some(Self { name, port, _server: server })
    }

    /// A proxy in front of the server.
    pub fn proxy(&self, latency: Duration) -> Proxy {
        Proxy::start(self.port, latency).expect("a proxy can listen")
    }

    pub fn s3b(&self, flags: &[&str]) -> Command {
        self.s3b_through(self.port, flags)
    }

    pub fn s3b_through(&self, port: u16, flags: &[&str]) -> Command {
        s3b().mount_bucket(port, KEYS, self.name, flags)
    }

    pub fn s3b_reset_mounted_flag(&self, flags: &[&str]) -> Command {
        s3b().reset_mounted_flag(self.port, KEYS, self.name, flags)
    }

    pub fn s3b_erase(&self, flags: &[&str]) -> Command {
        s3b().erase(self.port, KEYS, self.name, flags)
    }

    pub fn s3backer(&self, s3backer: &S3backer, flags: &[&str]) -> Command {
        s3backer.mount_bucket(self.port, KEYS, self.name, flags)
    }

    pub fn s3backer_erase(&self, s3backer: &S3backer, flags: &[&str]) -> Command {
        s3backer.erase(self.port, KEYS, self.name, flags)
    }
}

/// Names and contents of everything in a `--test` directory.
pub fn snapshot(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(store).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// Mounts, with the program's words in the panic if it does not.
pub fn mount(mut command: Command) -> Mount {
    Mount::start(&mut command).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What a program says that must refuse to mount.
pub fn refusal(mut command: Command) -> String {
    match Mount::start(&mut command) {
        Ok(_) => panic!("{command:?} was to be refused, and mounted"),
        Err(error) => format!("{error:#}"),
    }
}

pub fn unmount(mount: Mount) -> String {
    mount.unmount().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Open for reading and writing.
pub fn open(file: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(file).unwrap()
}

/// Closing may wait for the store, and reading for a fetch: both on a thread with a limit.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    within(LONG, work).unwrap_or_else(|| panic!("{what} hangs: not done within {LONG:?}"))
}

pub fn read_all(file: &Path) -> Vec<u8> {
    let file = file.to_owned();
    in_time("reading the volume", move || std::fs::read(file).unwrap())
}

pub fn write_at(file: &Path, offset: u64, bytes: Vec<u8>) {
    let file = file.to_owned();
    in_time("writing to the volume", move || open(&file).write_all_at(&bytes, offset).unwrap());
}

/// `len` bytes that do not compress; the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(|| xorshift(&mut state)).take(len / 8 + 1).flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// Panics at the first byte that differs, and says where.
pub fn assert_same(found: &[u8], expected: &[u8], when: &str) {
    assert_eq!(found.len(), expected.len(), "{when}: the length");
    if let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) {
        let (a, b) = (found[at], expected[at]);
        let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        panic!("{when}: byte {at} is {a:#04x} instead of {b:#04x}, {differing} bytes differ in all");
    }
}
