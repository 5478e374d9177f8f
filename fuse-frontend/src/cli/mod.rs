//! The command line: ours with subcommands, s3backer's without, and mount(8)'s. All of it comes from the tables of flags.

mod args;
pub mod kernel_options;
pub mod markdown;
pub mod options;
mod request;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use s3b_engine::error::{Error, Result};
use s3b_engine::settings::config_file;
use s3b_engine::settings::flags::{self, Given, SECRETS};

use args::args_from_flags;
use options::MOUNT;
pub use request::Request;
use request::request;

/// What to do.
#[derive(Debug)]
pub enum Action {
    Mount(Request, PathBuf),
    Erase(Request),
    ResetMountedFlag(Request),
    Info(Request),
    Warm(Request),
    Umount {
        mountpoint: PathBuf,
        wait: bool,
        lazy: bool,
    },
    Flags {
        markdown: bool,
    },
    /// Text for stdout: help or version.
    Say(String),
    /// `mount -f`: all is checked, nothing is done.
    Nothing,
}

const VOLUME_COMMANDS: &[(&str, &str, &str)] = &[
    ("mount", "Mount a volume: its bytes become one file in MOUNTPOINT", MOUNT_EXAMPLES),
    ("erase", "Delete every block of a volume, its superblock and its lock", ""),
    ("reset-mounted-flag", "Remove the lock that a crashed mount left behind", ""),
    ("info", "Show what is known of a volume: size, block size, naming, lock", ""),
    ("warm", "Read a volume's blocks into its cache file", ""),
];

const EXAMPLES: &str = "\
Examples:
  s3b mount --size 10g mybucket/disk1 /mnt/s3b      a new volume of 10 GiB
  mkfs.ext4 /mnt/s3b/file && mount -o loop,discard /mnt/s3b/file /mnt/disk
  umount /mnt/disk && s3b umount --wait /mnt/s3b    returns when all is stored
  s3b mount mybucket/disk1 /mnt/s3b                 later: size and block size are known
  s3b mount --test --size 1g /some/dir /mnt/s3b     a directory instead of a bucket
  s3b info mybucket/disk1

s3backer's command line works too: s3b [flags] bucket mountpoint. In /etc/fstab:
  mybucket/disk1  /mnt/s3b  fuse.s3b  _netdev,size=10g  0 0";

const MOUNT_EXAMPLES: &str = "\
Examples:
  s3b mount --size 10g --block-size 256k mybucket/disk1 /mnt/s3b
  s3b mount --config s3b.toml mybucket/disk1 /mnt/s3b
  s3b mount --base-url http://127.0.0.1:8333/ --access-file keys mybucket /mnt/s3b
  s3b mount --block-cache-file /var/cache/s3b/disk1 --durability journal mybucket/disk1 /mnt/s3b
  s3b mount --encrypt --password-file /root/pw --size 10g mybucket/disk1 /mnt/s3b

Sizes: 4096, 256k, 10g. Durations: 250 (in the flag's unit), 250ms, 5s. Every flag also works as -o flag=value, as a
line of a config file, and under its s3backer name.";

/// Understands the arguments of this process, program name first.
///
/// # Errors
/// One line that names the option, its value and one that works.
pub fn parse(args: Vec<String>, read: &dyn Fn(&Path) -> std::io::Result<String>) -> Result<Action> {
    let program = args.first().map(|arg| arg.rsplit('/').next().unwrap_or_default().to_owned()).unwrap_or_default();
    let mut rest: Vec<String> = args.into_iter().skip(1).collect();
    let mut fake = false;
    let subcommand = match program.as_str() {
        "mount.s3b" | "mount.fuse.s3b" => {
            rest = from_mount_program(rest, &mut fake);
            None
        }
        "s3backer" => None,
        _ => rest.first().filter(|first| is_subcommand(first)).cloned(),
    };
    let action = match subcommand {
        Some(name) => {
            rest.remove(0);
            parse_subcommand(&name, rest, read)?
        }
        None if program != "s3backer" && (rest.is_empty() || matches!(rest[0].as_str(), "help" | "--help" | "-h")) => {
            Action::Say(overview().render_long_help().to_string())
        }
        None => parse_legacy(rest, read)?,
    };
    Ok(if fake { Action::Nothing } else { action })
}

fn is_subcommand(word: &str) -> bool {
    matches!(word, "umount" | "flags") || VOLUME_COMMANDS.iter().any(|(name, ..)| *name == word)
}

/// `mount.s3b SOURCE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`, as mount(8) calls it.
fn from_mount_program(args: Vec<String>, fake: &mut bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-N" | "-t" => drop(args.next()),
            "-o" => out.extend([arg].into_iter().chain(args.next())),
            flags if flags.len() > 1 && flags.starts_with('-') && flags[1..].chars().all(|c| "sfnv".contains(c)) => {
                *fake |= flags.contains('f');
            }
            _ => out.push(arg),
        }
    }
    out
}

/// The page that `s3b --help` shows.
fn overview() -> Command {
    let mut command = Command::new("s3b")
        .about("An S3 bucket as a virtual disk")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("s3b COMMAND [FLAGS] ...")
        .disable_help_subcommand(true)
        .after_help(EXAMPLES);
    for (name, about, _) in VOLUME_COMMANDS {
        command = command.subcommand(Command::new(*name).about(*about));
    }
    command.subcommand(umount_command()).subcommand(flags_command())
}

fn umount_command() -> Command {
    Command::new("umount")
        .about("Unmount; with --wait return when everything is stored")
        .arg(Arg::new("wait").long("wait").action(ArgAction::SetTrue).help("Return when everything is stored"))
        .arg(Arg::new("lazy").long("lazy").action(ArgAction::SetTrue).help("Detach now, unmount when nobody uses it"))
        .arg(Arg::new("mountpoint").value_name("MOUNTPOINT").required(true))
}

fn flags_command() -> Command {
    Command::new("flags")
        .about("List every flag, s3backer's name for it, and its effect")
        .arg(Arg::new("markdown").long("markdown").action(ArgAction::SetTrue).help("As docs/FLAGS.md"))
}

/// A command that opens a volume: all tables of flags, the config files, and positionals.
fn volume_command(name: &'static str, about: &'static str, examples: &'static str) -> Command {
    let program = if name == "s3backer" { name.to_owned() } else { format!("s3b {name}") };
    let mut command = Command::new(name)
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .bin_name(program.clone())
        .override_usage(format!("{program} [FLAGS] {}", positionals(name)))
        .after_help(examples)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(
            Arg::new("version")
                .long("version")
                .short('v')
                .short_alias('V')
                .action(ArgAction::SetTrue)
                .help("Show the version"),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .action(ArgAction::Append)
                .help("TOML file whose keys are flag names; the command line takes precedence"),
        )
        .arg(
            Arg::new("config-file")
                .long("config-file")
                .alias("configFile")
                .short('F')
                .value_name("FILE")
                .help("s3backer's format: one argument per line, put in where this flag stands"),
        )
        .arg(
            Arg::new("o")
                .short('o')
                .value_name("FLAG[=VALUE],...")
                .action(ArgAction::Append)
                .help("Flags or mount options such as allow_other, ro, nodev, uid=N"),
        )
        .arg(Arg::new("f").short('f').action(ArgAction::SetTrue).help("Same as --foreground"))
        .arg(Arg::new("d").short('d').action(ArgAction::SetTrue).help("Same as --foreground --debug"))
        .arg(Arg::new("s").short('s').action(ArgAction::SetTrue).help("Same as --fuse-threads=1"))
        .arg(Arg::new("positional").hide(true).num_args(0..).action(ArgAction::Append));
    command = command.args(args_from_flags(LEADING.iter().flat_map(|group| group_of(group))));
    if name == "s3backer" {
        for flag in ["erase", "reset-mounted-flag"] {
            command =
                command.arg(Arg::new(flag).long(flag).action(ArgAction::SetTrue).help_heading("Instead of mounting"));
        }
    }
    command
}

fn positionals(command: &str) -> &'static str {
    if matches!(command, "mount" | "s3backer") { "BUCKET[/DIR] MOUNTPOINT" } else { "BUCKET[/DIR]" }
}

/// The order in which the help shows the groups of flags.
const LEADING: &[&str] = &[
    "Volume",
    "Connection",
    "Credentials",
    "Encryption and compression",
    "Block cache",
    "Files in the mount",
    "Process",
    "Speed and patience",
    "Zero blocks",
    "MD5 cache",
    "Test store",
];

/// The flags of one group, of all tables.
fn group_of(group: &'static str) -> impl Iterator<Item = args::FlagText> {
    let engine = flags::engine().map(args::FlagText::of);
    let secrets = SECRETS.iter().map(args::FlagText::of);
    let mount = MOUNT.iter().map(args::FlagText::of);
    engine.chain(secrets).chain(mount).filter(move |flag| flag.group == group)
}

/// Every name that may stand in a config file or after `-o`, in both spellings.
fn all_names() -> impl Iterator<Item = &'static str> + Clone {
    let mount = MOUNT.iter().flat_map(|f| [Some(f.name), f.legacy]).flatten();
    Given::engine_names().chain(mount)
}

type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

fn parse_subcommand(name: &str, rest: Vec<String>, read: ReadFile<'_>) -> Result<Action> {
    match name {
        "umount" => {
            let matches = match matches_of(umount_command().bin_name("s3b umount"), rest)? {
                Ok(matches) => matches,
                Err(text) => return Ok(Action::Say(text)),
            };
            let mountpoint = matches.get_one::<String>("mountpoint").expect("required").into();
            Ok(Action::Umount { mountpoint, wait: matches.get_flag("wait"), lazy: matches.get_flag("lazy") })
        }
        "flags" => Ok(match matches_of(flags_command().bin_name("s3b flags"), rest)? {
            Ok(matches) => Action::Flags { markdown: matches.get_flag("markdown") },
            Err(text) => Action::Say(text),
        }),
        _ => {
            let (name, about, examples) =
                VOLUME_COMMANDS.iter().find(|(n, ..)| *n == name).expect("checked by is_subcommand");
            let rest = config_file::expand(rest, read)?;
            let matches = match matches_of(volume_command(name, about, examples), rest)? {
                Ok(matches) if matches.get_flag("version") => return Ok(Action::Say(version())),
                Ok(matches) => matches,
                Err(text) => return Ok(Action::Say(text)),
            };
            request(name, &matches, read)
        }
    }
}

fn version() -> String {
    format!("s3b {}\n", env!("CARGO_PKG_VERSION"))
}

/// s3backer's command line: what to do is a flag.
fn parse_legacy(rest: Vec<String>, read: ReadFile<'_>) -> Result<Action> {
    let rest: Vec<String> = rest.into_iter().map(|arg| if arg == "-?" { "-h".to_owned() } else { arg }).collect();
    let command = volume_command("s3backer", "s3backer's command line, understood by s3b", MOUNT_EXAMPLES);
    let matches = match matches_of(command, config_file::expand(rest, read)?)? {
        Ok(matches) if matches.get_flag("version") => return Ok(Action::Say(version())),
        Ok(matches) => matches,
        Err(text) => return Ok(Action::Say(text)),
    };
    let (erase, reset) = (matches.get_flag("erase"), matches.get_flag("reset-mounted-flag"));
    match (erase, reset) {
        (true, true) => {
            Err(Error::config("--erase and --reset-mounted-flag exclude each other; erasing resets it too"))
        }
        (true, false) => request("erase", &matches, read),
        (false, true) => request("reset-mounted-flag", &matches, read),
        (false, false) => request("mount", &matches, read),
    }
}

/// Runs clap: matches, or the text that help or version asks for.
fn matches_of(command: Command, rest: Vec<String>) -> Result<std::result::Result<ArgMatches, String>> {
    let name = command.get_bin_name().unwrap_or("s3b").to_owned();
    let args = [name.clone()].into_iter().chain(rest).map(OsString::from);
    match command.no_binary_name(false).try_get_matches_from(args) {
        Ok(matches) => Ok(Ok(matches)),
        Err(e) if !e.use_stderr() => Ok(Err(e.render().to_string())),
        Err(e) => {
            let text = e.render().to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
            let hint = tip.map_or_else(|| format!("`{name} --help` shows what works"), str::to_owned);
            Err(Error::config(format!("{first}; {hint}")))
        }
    }
}

#[cfg(test)]
mod tests;
