//! The command line: ours with subcommands, s3backer's without, and mount(8)'s. All of it comes from the tables of flags.

mod args;
pub mod kernel_options;
pub mod markdown;
pub mod options;
pub mod secrecy;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use s3b_engine::error::{Error, Result};
use s3b_engine::settings::flags::{self, Given, SECRETS, Secrets};
use s3b_engine::settings::{Location, Settings, check, config_file, parse};

use args::args_from_flags;
use kernel_options::{KernelOptions, Taken};
use options::{MOUNT, MountOptions};

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

/// A volume and how to use it.
#[derive(Debug)]
pub struct Request {
    pub settings: Settings,
    pub secrets: Secrets,
    pub options: MountOptions,
    pub kernel: KernelOptions,
    /// The bucket or directory as it was written.
    pub source: String,
    /// What the user should know, a line each.
    pub notices: Vec<String>,
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
    let mut command = Command::new(name)
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .bin_name(if name == "s3backer" { name.to_owned() } else { format!("s3b {name}") })
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
        .arg(Arg::new("f").short('f').action(ArgAction::Count).help("Same as --foreground"))
        .arg(Arg::new("d").short('d').action(ArgAction::Count).help("Same as --foreground --debug"))
        .arg(Arg::new("s").short('s').action(ArgAction::Count).help("Same as --fuse-threads=1"))
        .arg(Arg::new("positional").value_name(positionals(name)).num_args(0..).action(ArgAction::Append));
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

/// Puts config files, flags and `-o` together.
fn request(command: &str, matches: &ArgMatches, read: ReadFile<'_>) -> Result<Action> {
    let mut notices = Vec::new();
    let mut kernel = KernelOptions::default();
    let mut given = Given::default();
    for path in matches.get_many::<String>("config").into_iter().flatten() {
        let text = read(Path::new(path))
            .map_err(|e| Error::config(format!("--config={path}: {e}; `s3b-tuner sweep` writes one, s3b.toml")))?;
        given.extend(Given::from_toml(&text, path)?);
    }
    given.extend(from_command_line(matches, &mut kernel, &mut notices)?);
    given.refuse_unknown(all_names())?;
    given.canonical(flags::engine());
    given.canonical(SECRETS.iter());
    given.canonical(MOUNT.iter());

    let mut request = Request {
        settings: Settings::default(),
        secrets: Secrets::default(),
        options: MountOptions::default(),
        kernel,
        source: String::new(),
        notices,
    };
    given.apply(flags::engine(), &mut request.settings)?;
    given.apply(SECRETS.iter(), &mut request.secrets)?;
    given.apply(MOUNT.iter(), &mut request.options)?;
    for (letter, count) in ["f", "d", "s"].map(|l| (l, matches.get_count(l))) {
        match letter {
            _ if count == 0 => {}
            "f" => request.options.foreground = true,
            "d" => (request.options.foreground, request.options.debug) = (true, true),
            _ => request.options.fuse_threads = Some(1),
        }
    }
    let positionals: Vec<&String> = matches.get_many("positional").into_iter().flatten().collect();
    let mountpoint = place(command, &positionals, &mut request)?;
    if request.settings.volume.shared_disk {
        request.options.direct_io = true;
    }
    request.notices.extend(check::settle(&mut request.settings)?);
    request.notices.extend(check::ignored(&given));
    request.notices.extend(markdown::ignored_mount_flags(&given));
    if request.secrets.access_key.is_some() && request.settings.s3.credentials.access_id.is_none() {
        return Err(Error::config("--access-key needs --access-id=ID"));
    }
    if request.secrets.access_key.is_some() && request.settings.s3.credentials.access_key_env.is_some() {
        return Err(Error::config("--access-key and --access-key-env exclude each other; keep --access-key-env"));
    }
    Ok(match (command, mountpoint) {
        ("mount", Some(mountpoint)) => Action::Mount(request, mountpoint),
        ("erase", _) => Action::Erase(request),
        ("reset-mounted-flag", _) => Action::ResetMountedFlag(request),
        ("info", _) => Action::Info(request),
        _ => Action::Warm(request),
    })
}

/// Flags and `-o` lists in the order they were given, so that the last one wins.
fn from_command_line(matches: &ArgMatches, kernel: &mut KernelOptions, notices: &mut Vec<String>) -> Result<Given> {
    let mut ordered: Vec<(usize, &str, String)> = Vec::new();
    let engine = flags::engine().map(|f| f.name);
    let names = engine.chain(SECRETS.iter().map(|f| f.name)).chain(MOUNT.iter().map(|f| f.name)).chain(["o"]);
    for name in names {
        if matches.value_source(name) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        let values = matches.get_many::<String>(name).into_iter().flatten();
        let indices = matches.indices_of(name).into_iter().flatten();
        ordered.extend(indices.zip(values).map(|(index, value)| (index, name, value.clone())));
    }
    ordered.sort();
    let mut given = Given::default();
    for (_, name, value) in ordered {
        if name != "o" {
            given.add(name, value, "");
            continue;
        }
        for option in kernel_options::split(&value) {
            one_option(&option, &mut given, kernel, notices)?;
        }
    }
    Ok(given)
}

fn one_option(option: &str, given: &mut Given, kernel: &mut KernelOptions, notices: &mut Vec<String>) -> Result<()> {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    if option == "ro" {
        given.add("read-only", "true", "-o ro");
        return Ok(());
    }
    if let Some(flag) = LEADING.iter().flat_map(|group| group_of(group)).find(|f| f.is_called(name)) {
        let value = value
            .or(flag.value.bare())
            .ok_or_else(|| Error::config(format!("-o {name}: a value is missing; try -o {name}={}", flag.example)))?;
        given.add(flag.name, value, "");
        return Ok(());
    }
    match kernel.take(option)? {
        Taken::Yes => Ok(()),
        Taken::Ignored(notice) => {
            notices.push(notice);
            Ok(())
        }
        Taken::Unknown => {
            let hint = match parse::nearest(name, all_names().chain(KernelOptions::names())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`s3b flags` lists all".to_owned(),
            };
            Err(Error::config(format!("-o {name}: unknown option; {hint}")))
        }
    }
}

/// Bucket or directory, and mount point.
fn place(command: &str, positionals: &[&String], request: &mut Request) -> Result<Option<PathBuf>> {
    let (source, mountpoint) = match (command, positionals) {
        ("mount", [source, mountpoint]) => (source, Some(PathBuf::from(mountpoint))),
        ("mount", [first, ..]) if positionals.len() != 2 && !Path::new(first).exists() => {
            let known = VOLUME_COMMANDS.iter().map(|(name, ..)| *name).chain(["umount", "flags"]);
            let hint = match parse::nearest(first, known) {
                Some(near) => format!("did you mean `s3b {near}`?"),
                None => "try s3b mount mybucket/disk1 /mnt/s3b".to_owned(),
            };
            return Err(Error::config(format!(
                "a bucket and a mount point are needed, got {}; {hint}",
                list(positionals)
            )));
        }
        ("mount", _) => {
            return Err(Error::config(format!(
                "a bucket and a mount point are needed, got {}; try s3b mount mybucket/disk1 /mnt/s3b",
                list(positionals)
            )));
        }
        (_, [source]) => (source, None),
        _ => {
            return Err(Error::config(format!(
                "one bucket is needed, got {}; try s3b {command} mybucket/disk1",
                list(positionals)
            )));
        }
    };
    request.source = (*source).clone();
    if request.options.test {
        let directory = std::path::absolute(source)
            .map_err(|e| Error::config(format!("{source}: {e}; with --test name a directory")))?;
        request.settings.location = Location::Directory(directory);
        return Ok(mountpoint);
    }
    let (bucket, prefix) = parse::bucket(source)?;
    if !prefix.is_empty() && !request.settings.volume.prefix.is_empty() {
        return Err(Error::config(format!(
            "`{source}` and --prefix={} both say where in the bucket; keep one of them",
            request.settings.volume.prefix
        )));
    }
    if !prefix.is_empty() {
        request.settings.volume.prefix = prefix;
    }
    request.settings.location = Location::Bucket(bucket);
    Ok(mountpoint)
}

fn list(words: &[&String]) -> String {
    if words.is_empty() {
        return "nothing".into();
    }
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
