//! The front end's own options, and their part of the table of flags.

use std::path::PathBuf;
use std::time::Duration;

use s3b_engine::error::{Error, Result};
use s3b_engine::field;
use s3b_engine::settings::flags::ValueKind::{Required, Switch};
use s3b_engine::settings::flags::{Field, Flag};
use s3b_engine::settings::parse::{self, show_duration, show_size};

/// What a mount needs beyond the engine's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct MountOptions {
    /// The bucket is a directory.
    pub test: bool,
    pub direct_io: bool,
    /// `None`: 0600, or 0400 read-only.
    pub file_mode: Option<u32>,
    pub filename: String,
    /// Empty: no stats file.
    pub stats_filename: String,
    pub stats_file_mirror: Option<PathBuf>,
    pub stats_file_mirror_interval: Duration,
    /// Where operations are recorded.
    pub record: Option<PathBuf>,
    /// Bytes; 0: no limit.
    pub record_max_size: u64,
    /// Bytes the kernel reads ahead on the file.
    pub kernel_read_ahead: u64,
    /// `None`: as many as there are CPUs, 2 to 8.
    pub fuse_threads: Option<u32>,
    pub debug: bool,
    pub quiet: bool,
    pub foreground: bool,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            test: false,
            direct_io: false,
            file_mode: None,
            filename: "file".into(),
            stats_filename: "stats".into(),
            stats_file_mirror: None,
            stats_file_mirror_interval: Duration::from_secs(1),
            record: None,
            record_max_size: 256 << 20,
            // One request of the largest size in flight ahead of each reader; the engine reads ahead further.
            kernel_read_ahead: 1 << 20,
            fuse_threads: None,
            debug: false,
            quiet: false,
            foreground: false,
        }
    }
}

const FILES: &str = "Files in the mount";
const PROCESS: &str = "Process";

fn file_name(name: &str) -> Result<String> {
    match name {
        "" | "." | ".." => Err(Error::config("a file needs a name")),
        _ if name.contains('/') => Err(Error::config("a file name holds no slash")),
        _ => Ok(name.to_owned()),
    }
}

fn stats_file_name(name: &str) -> Result<String> {
    if name.is_empty() { Ok(String::new()) } else { file_name(name) }
}

pub static MOUNT: &[Flag<MountOptions>] = &[
    Flag::new(
        "test",
        Switch,
        "Test store",
        "true",
        "The bucket is a directory of files",
        field!(MountOptions; test, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::bytes_come_back"),
    Flag::new(
        "direct-io",
        Switch,
        FILES,
        "true",
        "Keep the file out of the kernel's page cache; parallel writes",
        field!(MountOptions; direct_io, parse::boolean, bool::to_string),
    )
    .legacy("directIO")
    .shown_by("fuse-frontend/tests/mount.rs::direct_io_and_names_are_as_asked"),
    Flag::new(
        "file-mode",
        Required("OCTAL"),
        FILES,
        "0640",
        "Mode of the file; default 0600, 0400 read-only",
        field!(MountOptions; opt file_mode, parse::mode, |m| format!("{m:04o}")),
    )
    .legacy("fileMode")
    .shown_by("fuse-frontend/tests/mount.rs::direct_io_and_names_are_as_asked"),
    Flag::new(
        "filename",
        Required("NAME"),
        FILES,
        "disk",
        "Name of the file; default `file`",
        field!(MountOptions; filename, file_name, String::clone),
    )
    .shown_by("fuse-frontend/tests/mount.rs::direct_io_and_names_are_as_asked"),
    Flag::new(
        "stats-filename",
        Required("NAME"),
        FILES,
        "counters",
        "Name of the stats file; empty: none; default `stats`",
        field!(MountOptions; stats_filename, stats_file_name, String::clone),
    )
    .legacy("statsFilename")
    .shown_by("fuse-frontend/tests/mount.rs::direct_io_and_names_are_as_asked"),
    Flag::new(
        "stats-file-mirror",
        Required("PATH"),
        FILES,
        "/run/s3b/stats",
        "Copy the stats to PATH at intervals; removing PATH resets the counters",
        field!(MountOptions; opt stats_file_mirror, |v: &str| parse::text(v).map(PathBuf::from), |p| p.display().to_string()),
    )
    .legacy("statsFileMirror")
    .shown_by("fuse-frontend/src/stats_file.rs::a_vanished_mirror_resets_the_counters"),
    Flag::new(
        "stats-file-mirror-interval",
        Required("MS"),
        FILES,
        "5s",
        "Time between copies; default 1s",
        field!(MountOptions; stats_file_mirror_interval, positive_millis, show_duration),
    )
    .legacy("statsFileMirrorInterval")
    .shown_by("fuse-frontend/src/stats_file.rs::the_mirror_is_written_anew_at_each_interval"),
    Flag::new(
        "record",
        Required("FILE"),
        FILES,
        "day.s3bt",
        "Record the file's I/O to FILE, for s3b-tuner: offsets, lengths, kinds and times, never content",
        field!(MountOptions; opt record, |v: &str| parse::text(v).map(PathBuf::from), |p| p.display().to_string()),
    )
    .shown_by("fuse-frontend/tests/e2e/record.rs::a_trace_holds_exactly_what_was_asked_and_no_content"),
    Flag::new(
        "record-max-size",
        Required("SIZE"),
        FILES,
        "1g",
        "Largest size of that FILE; the recording ends there; 0: no limit; default 256m",
        field!(MountOptions; record_max_size, recording_size, show_size),
    )
    .shown_by("fuse-frontend/tests/e2e/record.rs::a_recording_stops_at_its_largest_size"),
    Flag::new(
        "kernel-read-ahead",
        Required("SIZE"),
        FILES,
        "4m",
        "What the kernel reads ahead of sequential readers of the file; default 1m",
        field!(MountOptions; kernel_read_ahead, parse::size, show_size),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_kernel_reads_ahead"),
    Flag::new(
        "fuse-threads",
        Required("N"),
        PROCESS,
        "4",
        "Threads that answer the kernel; default: one per CPU, 2 to 8",
        field!(MountOptions; opt fuse_threads, threads, u32::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_process_behaves_as_asked"),
    Flag::new(
        "debug",
        Switch,
        PROCESS,
        "true",
        "Log what happens inside",
        field!(MountOptions; debug, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_process_behaves_as_asked"),
    Flag::new(
        "quiet",
        Switch,
        PROCESS,
        "true",
        "Say nothing at start but errors",
        field!(MountOptions; quiet, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_process_behaves_as_asked"),
    Flag::new(
        "foreground",
        Switch,
        PROCESS,
        "true",
        "Stay in the foreground and log to stderr (also -f)",
        field!(MountOptions; foreground, parse::boolean, bool::to_string),
    )
    .shown_by("fuse-frontend/tests/mount.rs::the_process_behaves_as_asked"),
    Flag::new("nbd", Switch, PROCESS, "true", "Serve a network block device instead of a mount", Field::NONE)
        .ignored("this version mounts through FUSE only; put a loop device on the file"),
    Flag::new("nbd-flag", Required("TEXT"), PROCESS, "-v", "Extra argument of nbdkit", Field::NONE)
        .ignored("see --nbd"),
    Flag::new("nbd-param", Required("TEXT"), PROCESS, "x=1", "Extra parameter of the nbdkit plugin", Field::NONE)
        .ignored("see --nbd"),
];

fn positive_millis(value: &str) -> Result<Duration> {
    match parse::millis(value)? {
        Duration::ZERO => Err(Error::config("an interval is longer than nothing")),
        interval => Ok(interval),
    }
}

fn recording_size(value: &str) -> Result<u64> {
    match parse::size(value)? {
        bytes @ (0 | 0x1_0000..) => Ok(bytes),
        _ => Err(Error::config("a recording holds at least 64k; 0 means no limit")),
    }
}

fn threads(value: &str) -> Result<u32> {
    match parse::count(value)? {
        threads @ 1..=64 => Ok(threads),
        _ => Err(Error::config("1 to 64 threads make sense")),
    }
}

#[cfg(test)]
mod tests {
    use s3b_engine::settings::flags::{Effect, Given};

    use super::*;

    #[test]
    fn every_flag_reaches_its_setting() {
        let engine: Vec<&str> = Given::engine_names().collect();
        for flag in MOUNT {
            assert!(!engine.contains(&flag.name), "{} is the engine's already", flag.name);
            if matches!(flag.effect, Effect::Ignored(_)) {
                continue;
            }
            let mut options = MountOptions::default();
            flag.set(&mut options, flag.example).unwrap_or_else(|e| panic!("{e}"));
            assert_ne!(options, MountOptions::default(), "--{}", flag.name);
            let mut again = MountOptions::default();
            flag.set(&mut again, &flag.get(&options).unwrap()).unwrap();
            assert_eq!(again, options, "--{}", flag.name);
        }
    }

    #[test]
    fn the_engine_knows_which_flags_are_ours_alone() {
        let ours: Vec<&str> = MOUNT.iter().flat_map(|flag| [Some(flag.name), flag.legacy]).flatten().collect();
        assert_eq!(s3b_engine::settings::config_file::MOUNT_ONLY, ours);
    }

    #[test]
    fn names_hold_no_slash() {
        assert!(file_name("a/b").is_err() && file_name("").is_err() && file_name("..").is_err());
        assert_eq!(stats_file_name("").unwrap(), "");
    }
}
