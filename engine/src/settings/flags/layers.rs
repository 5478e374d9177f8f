//! Flags of the volume and of the layers above the connection.

use super::ValueKind::{Optional, Required, Switch};
use super::{Field, Flag, path, show_path};
use crate::error::{Error, Result};
use crate::field;
use crate::settings::parse::{self, show_cache_size, show_duration, show_size};
use crate::settings::{CipherName, Compression, Durability, Settings, SurveyMode};

const VOLUME: &str = "Volume";
const CODEC: &str = "Encryption and compression";
const CACHE: &str = "Block cache";
const MD5: &str = "MD5 cache";
const ZEROS: &str = "Zero blocks";

const SURVEYS: &[(&str, SurveyMode)] = &[("auto", SurveyMode::Auto), ("on", SurveyMode::On), ("off", SurveyMode::Off)];
const DURABILITIES: &[(&str, Durability)] =
    &[("store", Durability::Store), ("journal", Durability::Journal), ("none", Durability::None)];

fn cipher(value: &str) -> Result<CipherName> {
    let value = if value.eq_ignore_ascii_case("true") { "AES-128-CBC" } else { value };
    parse::one_of(value, parse::CIPHERS)
}

fn show_compression(compression: &Option<Compression>) -> String {
    match compression {
        None => "none".into(),
        Some(Compression::Deflate(_)) => "deflate".into(),
        Some(Compression::Zstd(_)) => "zstd".into(),
    }
}

fn set_level(settings: &mut Settings, value: &str) -> Result<()> {
    let level = value.trim().parse().map_err(|_| Error::config("not a whole number"))?;
    let algorithm = settings.codec.compress.ok_or_else(|| Error::config("a level needs --compress"))?;
    settings.codec.compress = Some(parse::compression_level(algorithm, level)?);
    Ok(())
}

fn level(settings: &Settings) -> Option<String> {
    settings.codec.compress.map(|(Compression::Deflate(level) | Compression::Zstd(level))| level.to_string())
}

fn prefix(value: &str) -> Result<String> {
    if value.split('/').any(|part| part == "." || part == "..") {
        return Err(Error::config("`.` and `..` get folded away on the way to the server"));
    }
    Ok(value.to_owned())
}

pub static LAYERS: &[Flag<Settings>] = &[
    Flag::new(
        "size",
        Required("SIZE"),
        VOLUME,
        "10g",
        "Size of the volume; default: as recorded in the bucket",
        field!(Settings; opt volume.size, parse::size, show_size),
    )
    .shown_by("fuse-frontend/tests/mount.rs::s3backers_command_line_mounts"),
    Flag::new(
        "block-size",
        Required("SIZE"),
        VOLUME,
        "64k",
        "Size of a block, a power of two; default: as recorded in the bucket, 256k for a new volume. It can never be changed",
        field!(Settings; opt volume.block_size, parse::size, show_size),
    )
    .legacy("blockSize")
    .shown_by("fuse-frontend/tests/mount.rs::s3backers_command_line_mounts"),
    Flag::new(
        "prefix",
        Required("TEXT"),
        VOLUME,
        "disk1/",
        "In front of every key, verbatim; `bucket/dir` is short for --prefix=dir/",
        field!(Settings; volume.prefix, prefix, String::clone),
    )
    .shown_by("engine/src/object_blocks/resolve/tests.rs::a_new_volume_gets_256_kib_blocks_and_a_superblock"),
    Flag::new(
        "block-hash-prefix",
        Switch,
        VOLUME,
        "true",
        "Start keys with a hash of the block number, to spread load over old S3 partitions",
        field!(Settings; volume.block_hash_prefix, parse::boolean, bool::to_string),
    )
    .legacy("blockHashPrefix")
    .shown_by("fuse-frontend/tests/e2e/interop.rs::hashed_names"),
    Flag::new(
        "no-auto-detect",
        Switch,
        VOLUME,
        "true",
        "Do not look in the bucket for size and block size",
        Field {
            set: |s: &mut Settings, v| {
                s.volume.auto_detect = !parse::boolean(v)?;
                Ok(())
            },
            get: |s: &Settings| (!s.volume.auto_detect).then(|| "true".into()),
        },
    )
    .legacy("noAutoDetect")
    .shown_by("engine/src/object_blocks/resolve/tests.rs::no_auto_detect_wants_a_size_and_believes_no_less_than_the_store"),
    Flag::new(
        "read-only",
        Switch,
        VOLUME,
        "true",
        "Never write to the bucket, nor lock the volume",
        field!(Settings; volume.read_only, parse::boolean, bool::to_string),
    )
    .legacy("readOnly")
    .shown_by("fuse-frontend/tests/mount.rs::read_only_mounts_refuse_every_change"),
    Flag::new(
        "shared-disk-mode",
        Switch,
        VOLUME,
        "true",
        "Several mounts at once, for cluster file systems: no caches, no lock",
        field!(Settings; volume.shared_disk, parse::boolean, bool::to_string),
    )
    .legacy("sharedDiskMode")
    .shown_by("engine/tests/semantics/mounting.rs::shared_disk_mounts_see_each_others_blocks"),
    Flag::new(
        "force",
        Switch,
        VOLUME,
        "true",
        "Override another mount's lock and a different size, do not ask before erasing; never overrides the block size",
        field!(Settings; volume.force, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/e2e/mount_lock.rs::a_token_left_by_a_crash_goes_by_force_or_by_reset"),
    Flag::new(
        "durability",
        Required("WHERE"),
        VOLUME,
        "none",
        "What fsync waits for: store (in the bucket), journal (in the cache file), none; default store",
        field!(Settings; durability, |v: &str| parse::one_of(v, DURABILITIES), |v| parse::word_of(v, DURABILITIES)),
    )
    .shown_by("engine/tests/semantics/durability.rs::with_durability_journal_a_flush_needs_no_store"),
    Flag::new(
        "compress",
        Optional { name: "ALGORITHM", bare: "deflate" },
        CODEC,
        "zstd",
        "Compress new blocks: deflate, zstd, or a deflate level",
        field!(Settings; codec.compress, parse::compression, show_compression),
    )
    .shown_by("fuse-frontend/tests/e2e/interop.rs::deflated_blocks"),
    Flag::new("compress-level", Required("N"), CODEC, "5", "Level of --compress", Field { set: set_level, get: level })
    .shown_by("engine/src/object_blocks/codec/tests.rs::zlib_levels_are_zlibs"),
    Flag::new(
        "encrypt",
        Optional { name: "CIPHER", bare: "AES-128-CBC" },
        CODEC,
        "AES-256-CBC",
        "Encrypt blocks: AES-128-CBC, AES-192-CBC, AES-256-CBC or DES-EDE3-CBC; compresses too",
        field!(Settings; opt codec.encrypt, cipher, |c| parse::word_of(c, parse::CIPHERS)),
    )
    .shown_by("fuse-frontend/tests/e2e/interop.rs::encrypted_blocks"),
    Flag::new(
        "key-length",
        Required("BYTES"),
        CODEC,
        "32",
        "Length of the derived key; default: the cipher's",
        Field {
            set: |s: &mut Settings, v| {
                // 0 is s3backer's way to say the default.
                s.codec.key_length = Some(parse::count(v)?).filter(|n| *n != 0);
                Ok(())
            },
            get: |s: &Settings| s.codec.key_length.map(|n| n.to_string()),
        },
    )
    .legacy("keyLength")
    .shown_by("engine/src/object_blocks/cipher.rs::other_ciphers_and_key_lengths"),
    Flag::new(
        "default-content-encoding",
        Required("TEXT"),
        CODEC,
        "deflate",
        "Content-Encoding assumed for objects whose store lost it",
        field!(Settings; opt codec.default_content_encoding, parse::text, String::clone),
    )
    .legacy("defaultContentEncoding")
    .shown_by("engine/src/object_blocks/codec/tests.rs::the_default_encoding_stands_in_for_a_missing_header"),
    Flag::new(
        "survey",
        Required("MODE"),
        ZEROS,
        "on",
        "List the bucket in the background to learn which blocks are zero: auto (unless costly), on, off; default auto",
        field!(Settings; zero_map.survey, |v: &str| parse::one_of(v, SURVEYS), |v| parse::word_of(v, SURVEYS)),
    )
    .shown_by("engine/tests/layers/zero_map.rs::a_survey_finds_what_is_zero_but_for_what_was_touched"),
    Flag::new(
        "list-blocks",
        Switch,
        ZEROS,
        "true",
        "s3backer's name for --survey=on",
        Field {
            set: |s: &mut Settings, v| {
                s.zero_map.survey = if parse::boolean(v)? { SurveyMode::On } else { SurveyMode::Off };
                Ok(())
            },
            get: |_| None,
        },
    )
    .legacy("listBlocks")
    .shown_by("engine/tests/flags.rs::surveys_list_as_asked"),
    Flag::new(
        "list-blocks-threads",
        Required("N"),
        ZEROS,
        "8",
        "Listings of a survey at a time, and deletes when erasing; default 16",
        field!(Settings; zero_map.threads, parse::count, u32::to_string),
    )
    .legacy("listBlocksThreads")
    .shown_by("engine/tests/flags.rs::surveys_list_as_asked"),
    Flag::new(
        "survey-max-cost",
        Required("DOLLARS"),
        ZEROS,
        "0.5",
        "Skip an automatic survey whose requests would cost more; default 0.05",
        field!(Settings; zero_map.max_cost, parse::price, f64::to_string),
    )
    .shown_by("engine/src/zero_map/survey.rs::a_survey_runs_up_to_its_price"),
    Flag::new(
        "delete-delay",
        Required("MS"),
        ZEROS,
        "50ms",
        "Gather deletes for at most this long into one request; default 20ms",
        field!(Settings; zero_map.delete_delay, parse::millis, show_duration),
    )
    .shown_by("engine/tests/layers/zero_map.rs::a_write_never_overtakes_a_delete_nor_waits_out_its_delay"),
    Flag::new(
        "md5-cache-size",
        Required("BLOCKS"),
        MD5,
        "10000",
        "Remember the ETags of so many written blocks, against stale reads; default 0, off",
        field!(Settings; md5_cache.size, parse::count, u32::to_string),
    )
    .legacy("md5CacheSize")
    .shown_by("engine/tests/layers/md5_cache.rs::a_full_table_delays_writes_until_the_oldest_entry_goes"),
    Flag::new(
        "md5-cache-time",
        Required("MS"),
        MD5,
        "10s",
        "Remember an ETag for so long; default 0, for ever",
        field!(Settings; md5_cache.time, parse::millis, show_duration),
    )
    .legacy("md5CacheTime")
    .shown_by("engine/tests/layers/md5_cache.rs::rewrites_of_one_block_keep_the_least_time_apart"),
    Flag::new(
        "min-write-delay",
        Required("MS"),
        MD5,
        "500ms",
        "Least time between two stores of one block; default 0",
        field!(Settings; md5_cache.min_write_delay, parse::millis, show_duration),
    )
    .legacy("minWriteDelay")
    .shown_by("engine/tests/layers/md5_cache.rs::rewrites_of_one_block_keep_the_least_time_apart"),
    Flag::new(
        "block-cache-size",
        Required("SIZE"),
        CACHE,
        "512m",
        "Capacity in bytes (512m) or blocks (1000), 0: no cache; default auto: an eighth of memory, 64m to 1g",
        field!(Settings; block_cache.size, parse::cache_size, show_cache_size),
    )
    .legacy("blockCacheSize")
    .shown_by("engine/tests/flags.rs::the_cache_holds_what_was_asked"),
    Flag::new(
        "block-cache-threads",
        Required("N"),
        CACHE,
        "48",
        "Stores and read-aheads at a time; demand reads come on top; default 32",
        field!(Settings; block_cache.threads, parse::count, u32::to_string),
    )
    .legacy("blockCacheThreads")
    .shown_by("engine/tests/flags.rs::no_more_stores_at_a_time_than_asked"),
    Flag::new(
        "block-cache-write-delay",
        Required("MS"),
        CACHE,
        "1s",
        "Store a written block after this long at the latest; default 250ms",
        field!(Settings; block_cache.write_delay, parse::millis, show_duration),
    )
    .legacy("blockCacheWriteDelay")
    .shown_by("engine/tests/flags.rs::a_block_is_stored_after_the_write_delay"),
    Flag::new(
        "block-cache-timeout",
        Required("MS"),
        CACHE,
        "60s",
        "Drop clean blocks unused for this long; default 0, never",
        field!(Settings; block_cache.timeout, parse::millis, show_duration),
    )
    .legacy("blockCacheTimeout")
    .shown_by("engine/tests/semantics/reading_and_writing.rs::unused_blocks_leave_after_the_timeout"),
    Flag::new(
        "block-cache-max-dirty",
        Required("BLOCKS"),
        CACHE,
        "500",
        "Writers wait while more blocks are dirty; default 0, no limit but the capacity",
        field!(Settings; block_cache.max_dirty, parse::count, u32::to_string),
    )
    .legacy("blockCacheMaxDirty")
    .shown_by("engine/tests/semantics/outages.rs::writers_wait_at_the_dirty_limit"),
    Flag::new(
        "block-cache-sync",
        Switch,
        CACHE,
        "true",
        "A write returns when it is stored; needs --block-cache-write-delay=0",
        field!(Settings; block_cache.sync, parse::boolean, bool::to_string),
    )
    .legacy("blockCacheSync")
    .shown_by("engine/tests/semantics/durability.rs::sync_mode_stores_before_a_write_returns"),
    Flag::new(
        "block-cache-file",
        Required("FILE"),
        CACHE,
        "/var/cache/s3b/disk1",
        "Keep the cache in this file across mounts",
        field!(Settings; opt block_cache.file, path, |p| show_path(p)),
    )
    .legacy("blockCacheFile")
    .shown_by("engine/tests/semantics/cache_file.rs::the_cache_survives_a_restart_and_is_verified"),
    Flag::new(
        "block-cache-memory",
        Required("SIZE"),
        CACHE,
        "256m",
        "With a cache file: blocks also held in memory; default auto",
        field!(Settings; block_cache.memory, parse::cache_size, show_cache_size),
    )
    .shown_by("engine/tests/flags.rs::the_cache_holds_what_was_asked"),
    Flag::new(
        "block-cache-no-verify",
        Switch,
        CACHE,
        "true",
        "Believe blocks of the cache file without asking the store",
        field!(Settings; block_cache.no_verify, parse::boolean, bool::to_string),
    )
    .legacy("blockCacheNoVerify")
    .shown_by("engine/tests/semantics/cache_file.rs::without_verification_nobody_is_asked"),
    Flag::new(
        "block-cache-recover-dirty-blocks",
        Switch,
        CACHE,
        "true",
        "Store the dirty blocks that a crash left in the cache file",
        field!(Settings; block_cache.recover_dirty, parse::boolean, bool::to_string),
    )
    .legacy("blockCacheRecoverDirtyBlocks")
    .shown_by("engine/tests/semantics/cache_file.rs::unstored_blocks_of_a_crash_are_refused_until_somebody_decides"),
    Flag::new(
        "block-cache-num-protected",
        Required("BLOCKS"),
        CACHE,
        "100",
        "The first so many blocks of the volume are evicted last; default 0",
        field!(Settings; block_cache.protected, parse::count, u32::to_string),
    )
    .legacy("blockCacheNumProtected")
    .shown_by("engine/tests/semantics/reading_and_writing.rs::the_least_recently_used_block_leaves_first_and_protected_ones_last"),
    Flag::new(
        "block-cache-file-advise",
        Switch,
        CACHE,
        "true",
        "Tell the kernel not to keep pages of the cache file",
        field!(Settings; block_cache.file_advise, parse::boolean, bool::to_string),
    )
    .legacy("blockCacheFileAdvise")
    .shown_by("engine/src/block_cache/disk/device.rs::advised_pages_leave_memory"),
    Flag::new(
        "read-ahead",
        Required("BLOCKS"),
        CACHE,
        "8",
        "Blocks fetched ahead of sequential reads; default: as many as latency and bandwidth call for; 0: none",
        Field {
            set: |s: &mut Settings, v| {
                s.block_cache.read_ahead = if v == "auto" { None } else { Some(parse::count(v)?) };
                Ok(())
            },
            get: |s: &Settings| s.block_cache.read_ahead.map(|n| n.to_string()),
        },
    )
    .legacy("readAhead")
    .shown_by("engine/tests/flags.rs::reading_ahead_starts_and_goes_as_far_as_asked"),
    Flag::new(
        "read-ahead-trigger",
        Required("N"),
        CACHE,
        "3",
        "Sequential reads that start reading ahead; default 2",
        field!(Settings; block_cache.read_ahead_trigger, parse::count, u32::to_string),
    )
    .legacy("readAheadTrigger")
    .shown_by("engine/tests/flags.rs::reading_ahead_starts_and_goes_as_far_as_asked"),
    Flag::new(
        "preload",
        Switch,
        CACHE,
        "true",
        "Fill the cache after mounting",
        field!(Settings; block_cache.preload, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_process_behaves_as_asked"),
    Flag::new(
        "offline",
        Switch,
        CACHE,
        "true",
        "Mount from the cache file without the store; verify when it is back. Turns --direct-io on",
        field!(Settings; block_cache.offline, parse::boolean, bool::to_string),
    )
    .shown_by("engine/tests/flags.rs::offline_mounts_from_the_cache_file_and_verifies_on_return"),
];
