//! From matched arguments and config files to a checked request.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use s3b_engine::error::{Error, Result};
use s3b_engine::settings::flags::{self, Given, SECRETS, Secrets};
use s3b_engine::settings::{Location, Settings, check, parse};

use super::kernel_options::{self, KernelOptions, Taken};
use super::options::{MOUNT, MountOptions};
use super::{Action, LEADING, ReadFile, VOLUME_COMMANDS, all_names, group_of, markdown};

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

/// Puts config files, flags and `-o` together.
pub fn request(command: &str, matches: &ArgMatches, read: ReadFile<'_>) -> Result<Action> {
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
    let [f, d, single] = ["f", "d", "s"].map(|letter| matches.get_flag(letter));
    request.options.foreground |= f || d;
    request.options.debug |= d;
    if single {
        request.options.fuse_threads = Some(1);
    }
    let positionals: Vec<&String> = matches.get_many("positional").into_iter().flatten().collect();
    let mountpoint = place(command, &positionals, &mut request)?;
    // Nor does the kernel cache what other mounts may change: in shared-disk mode, and in one that began offline.
    if request.settings.volume.shared_disk || request.settings.block_cache.offline {
        request.options.direct_io = true;
    }
    request.notices.extend(check::settle(&mut request.settings)?);
    request.notices.extend(check::ignored(&given));
    request.notices.extend(markdown::ignored_mount_flags(command, &given));
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
