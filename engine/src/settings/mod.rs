//! Everything a person can choose about an engine, as plain data.
//!
//! A mount's config file is one of these, a sweep is a list of them, and every s3backer flag maps onto a field
//! ([`flags`]). Components with behaviour (backend, clock, CPU, password, cache disk) are arguments of [`crate::stack`].
//! All durations of the engine are here: virtual time can be dilated only because no literal hides elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod check;
mod codec;
pub mod config_file;
pub mod flags;
pub mod parse;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    pub location: Location,
    pub volume: VolumeSettings,
    pub s3: S3Settings,
    pub retry: RetrySettings,
    pub codec: CodecSettings,
    pub zero_map: ZeroMapSettings,
    pub md5_cache: Md5CacheSettings,
    pub block_cache: BlockCacheSettings,
    pub durability: Durability,
    pub test: TestSettings,
}

/// Where the objects are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// In this process; gone with it. Tests and simulations.
    #[default]
    Memory,
    /// `--test`: files in a directory.
    Directory(PathBuf),
    /// An S3 bucket, without the prefix.
    Bucket(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VolumeSettings {
    /// Bytes; `None`: as recorded in the bucket.
    pub size: Option<u64>,
    /// Bytes; `None`: as recorded in the bucket, or [`VolumeSettings::NEW_BLOCK_SIZE`] for a new volume.
    pub block_size: Option<u64>,
    /// In front of every key, verbatim. `bucket/dir` on the command line gives `dir/`.
    pub prefix: String,
    /// Keys start with a hash of the block number.
    pub block_hash_prefix: bool,
    /// Look at the bucket for geometry before believing the settings.
    pub auto_detect: bool,
    pub read_only: bool,
    /// Several mounts at once, no caches, no lock.
    pub shared_disk: bool,
    /// Override a size mismatch and another mount's token; never the block size.
    pub force: bool,
    /// On servers that ignore conditional PUTs: the pause before the mount token is read back.
    pub lock_settle: Duration,
}

impl VolumeSettings {
    /// Block size of a new volume: 1 TiB written costs $21 in PUTs, a 4 KiB change rewrites 256 KiB.
    pub const NEW_BLOCK_SIZE: u64 = 256 << 10;
}

impl Default for VolumeSettings {
    fn default() -> Self {
        Self {
            size: None,
            block_size: None,
            prefix: String::new(),
            block_hash_prefix: false,
            auto_detect: true,
            read_only: false,
            shared_disk: false,
            force: false,
            lock_settle: Duration::from_secs(1),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct S3Settings {
    /// `http://host:port/`; `None`: Amazon's endpoint for the region.
    pub base_url: Option<String>,
    /// `None`: us-east-1, and path style. Naming a region turns vhost style on unless said otherwise, as in s3backer.
    pub region: Option<String>,
    /// `Some(true)`: `http://bucket.host/key`; `Some(false)`: `http://host/bucket/key`; `None`: vhost style
    /// when a region is named.
    pub vhost: Option<bool>,
    /// https for the default endpoint.
    pub ssl: bool,
    /// PEM bundle used instead of the system's roots.
    pub cacert: Option<PathBuf>,
    /// Do not verify the server's certificate.
    pub insecure: bool,
    /// Offer HTTP/2 over TLS. Off: block requests want many connections, not many streams on one.
    pub http2: bool,
    /// Idle connections kept at most.
    pub max_idle_connections: usize,
    /// Idle connections are dropped after this, before servers drop them under a request (S3: 20 s or less).
    pub idle_timeout: Duration,
    pub connect_timeout: Duration,
    /// A request fails after this long without any progress.
    pub timeout: Duration,
    /// `x-amz-server-side-encryption`.
    pub sse: Option<String>,
    pub sse_key_id: Option<String>,
    /// `x-amz-storage-class`; any value passes.
    pub storage_class: Option<String>,
    /// `x-amz-acl` on PUTs; `None`: no such header.
    pub access_type: Option<String>,
    pub auth_version: AuthVersion,
    pub credentials: CredentialSource,
    /// Bits per second of one connection.
    pub max_upload_speed: Option<u64>,
    pub max_download_speed: Option<u64>,
    /// Bits per second of all connections together.
    pub total_upload_speed: Option<u64>,
    pub total_download_speed: Option<u64>,
    /// Log requests and replies, without secrets.
    pub debug_http: bool,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            region: None,
            vhost: None,
            ssl: false,
            cacert: None,
            insecure: false,
            http2: false,
            max_idle_connections: 128,
            idle_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            sse: None,
            sse_key_id: None,
            storage_class: None,
            access_type: Some("private".into()),
            auth_version: AuthVersion::Aws4,
            credentials: CredentialSource::default(),
            max_upload_speed: None,
            max_download_speed: None,
            total_upload_speed: None,
            total_download_speed: None,
            debug_http: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthVersion {
    Aws2,
    #[default]
    Aws4,
}

/// Where credentials come from; the secrets themselves are never settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CredentialSource {
    /// `--access-id`; `Some("")`: unsigned requests.
    pub access_id: Option<String>,
    /// `--access-key-env`: the variable that holds the secret key.
    pub access_key_env: Option<String>,
    /// `--access-file`: lines `id:key`.
    pub access_file: Option<PathBuf>,
    /// `--access-ec2-iam`: the instance's role.
    pub ec2_role: Option<String>,
    /// Ask the metadata service for a session token first (IMDSv2).
    pub ec2_imds_v2: bool,
    /// Another metadata endpoint than 169.254.169.254 (tests).
    pub ec2_endpoint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetrySettings {
    /// First pause; doubled each time, with jitter.
    pub initial_pause: Duration,
    /// The longest a read waits in pauses, all told. Zero: one attempt. `None`: for ever.
    pub max_pause: Option<Duration>,
    /// The longest single pause between attempts of what is retried for ever (writes).
    pub longest_backoff: Duration,
    /// How long a mount waits for the first answer of its bucket.
    pub mount_patience: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial_pause: Duration::from_millis(200),
            max_pause: Some(Duration::from_secs(30)),
            longest_backoff: Duration::from_secs(30),
            mount_patience: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodecSettings {
    pub compress: Option<Compression>,
    pub encrypt: Option<CipherName>,
    /// Bytes of derived key; `None`: the cipher's.
    pub key_length: Option<u32>,
    /// Content-Encoding assumed for objects that have none.
    pub default_content_encoding: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// zlib stream; level -1 (zlib's default) or 0 to 9.
    Deflate(i32),
    /// zstd frame; negative levels allowed.
    Zstd(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CipherName {
    #[serde(rename = "AES-128-CBC")]
    Aes128Cbc,
    #[serde(rename = "AES-192-CBC")]
    Aes192Cbc,
    #[serde(rename = "AES-256-CBC")]
    Aes256Cbc,
    #[serde(rename = "DES-EDE3-CBC")]
    DesEde3Cbc,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZeroMapSettings {
    pub survey: SurveyMode,
    /// Listings in parallel.
    pub threads: u32,
    /// Dollars a survey may cost before it is skipped under [`SurveyMode::Auto`].
    pub max_cost: f64,
    /// Deletes gathered for at most this long before a batch goes out.
    pub delete_delay: Duration,
}

impl Default for ZeroMapSettings {
    fn default() -> Self {
        Self { survey: SurveyMode::Auto, threads: 16, max_cost: 0.05, delete_delay: Duration::from_millis(20) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SurveyMode {
    Off,
    /// Unless it costs more than `max_cost`.
    Auto,
    On,
}

/// All off by default, as in s3backer: S3 has been strongly consistent since 2020.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Md5CacheSettings {
    /// Blocks; 0: no such layer.
    pub size: u32,
    /// How long an ETag is kept; zero: for ever.
    pub time: Duration,
    /// Least time between two stores of one block.
    pub min_write_delay: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BlockCacheSettings {
    pub size: CacheSize,
    /// Write-backs, merges and read-aheads at a time, together. Demand reads are not counted.
    pub threads: u32,
    /// Age at which a dirty block is due.
    pub write_delay: Duration,
    /// Clean blocks unused for this long are dropped; zero: never.
    pub timeout: Duration,
    /// Most dirty blocks; zero: only the cache's size limits them.
    pub max_dirty: u32,
    /// A write returns when it is stored.
    pub sync: bool,
    /// The cache file; `None`: memory only.
    pub file: Option<PathBuf>,
    /// With a cache file: blocks held in memory on top of it.
    pub memory: CacheSize,
    /// Believe reloaded blocks without asking the store.
    pub no_verify: bool,
    /// Store dirty blocks a crash left in the cache file.
    pub recover_dirty: bool,
    /// The first so many blocks are evicted last.
    pub protected: u32,
    /// Tell the kernel not to keep cache file pages.
    pub file_advise: bool,
    /// Read-ahead in blocks; `None`: sized to latency x bandwidth; 0: off.
    pub read_ahead: Option<u32>,
    /// Sequential reads that start a stream.
    pub read_ahead_trigger: u32,
    /// Fill the cache after mount.
    pub preload: bool,
    /// Mount from the cache file without the store.
    pub offline: bool,
}

impl Default for BlockCacheSettings {
    fn default() -> Self {
        Self {
            size: CacheSize::Auto,
            threads: 32,
            write_delay: Duration::from_millis(250),
            timeout: Duration::ZERO,
            max_dirty: 0,
            sync: false,
            file: None,
            memory: CacheSize::Auto,
            no_verify: false,
            recover_dirty: false,
            protected: 0,
            file_advise: false,
            read_ahead: None,
            read_ahead_trigger: 2,
            preload: false,
            offline: false,
        }
    }
}

/// A capacity, in blocks or in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheSize {
    /// An eighth of the machine's memory, from 64 MiB to 1 GiB, but never more than the volume.
    Auto,
    Blocks(u64),
    Bytes(u64),
}

/// What a completed flush promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// It is in the bucket.
    #[default]
    Store,
    /// It is in the synced cache file, replayed after any crash.
    Journal,
    /// Nothing; flush returns at once (s3backer's way).
    None,
}

impl TestSettings {
    /// The longest of the delays, as in s3backer.
    pub const LONGEST_DELAY: Duration = Duration::from_millis(199);
}

/// What `--test` adds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TestSettings {
    /// Sleep 0 to 199 ms per operation.
    pub delays: bool,
    /// Share of operations that fail, 0 to 1.
    pub errors: Option<f64>,
    /// No I/O at all; reads are zero.
    pub discard: bool,
    /// Seed of delays and errors; `None`: a random one, logged.
    pub seed: Option<u64>,
}
