//! Where the store is, how to reach it, and every setting of a mount: the engine's table of flags as arguments here.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use s3b_engine::settings::config_file::MOUNT_ONLY;
use s3b_engine::settings::flags::{Effect, Flag, Given, SECRETS, Secrets, ValueKind, engine};
use s3b_engine::settings::{Location, Settings, check, parse};
use secrecy::SecretString;

/// The flags that `replay` and `sweep` share with `s3b mount`.
#[derive(Clone, Default)]
pub struct Connection {
    pub config: Option<PathBuf>,
    pub test: Option<PathBuf>,
    pub bucket: Option<String>,
    pub given: Given,
}

/// What the flags come to.
#[derive(Clone)]
pub struct Access {
    pub settings: Settings,
    pub password: Option<SecretString>,
    pub access_key: Option<SecretString>,
}

/// Flags of a mount without a meaning here: volumes are always new ones of our own.
const NOT_HERE: [&str; 1] = ["force"];

/// Shown by `-h`; the others by `--help` only.
const COMMON: [&str; 8] = [
    "base-url",
    "region",
    "access-id",
    "access-key-env",
    "access-file",
    "block-size",
    "block-cache-threads",
    "block-cache-write-delay",
];

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        let where_to = [
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Settings file (TOML, keys = long flag names), as `s3b mount` takes it; flags override it"),
            Arg::new("test")
                .long("test")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("bucket")
                .help("A local directory instead of a bucket; it must exist"),
            Arg::new("bucket").long("bucket").value_name("BUCKET[/DIR]").help("S3 bucket, and a directory in it"),
        ];
        let command = command.args(where_to.map(|arg| arg.help_heading("Store")));
        let command = command.args(flags().map(argument));
        command.args(SECRETS.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flags() -> impl Iterator<Item = &'static Flag<Settings>> {
    engine().filter(|flag| !NOT_HERE.contains(&flag.name))
}

fn argument<T>(flag: &'static Flag<T>) -> Arg {
    let mut arg = Arg::new(flag.name).long(flag.name).help(flag.help).help_heading(flag.group);
    if let Some(legacy) = flag.legacy {
        arg = arg.alias(legacy);
    }
    if let Some(bare) = flag.value.bare() {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value(bare);
    }
    let secret = matches!(flag.value, ValueKind::Secret(_));
    arg.value_name(flag.value.placeholder())
        .action(ArgAction::Set)
        .overrides_with(flag.name)
        // As `s3b mount` does: nobody should be offered what does nothing.
        .hide(matches!(flag.effect, Effect::Ignored(_)))
        .hide_short_help(secret || !COMMON.contains(&flag.name))
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut connection = Connection {
            config: matches.get_one("config").cloned(),
            test: matches.get_one("test").cloned(),
            bucket: matches.get_one("bucket").cloned(),
            given: Given::default(),
        };
        for name in flags().map(|flag| flag.name).chain(SECRETS.iter().map(|flag| flag.name)) {
            if let Some(value) = matches.get_one::<String>(name) {
                connection.given.add(name, value, "");
            }
        }
        Ok(connection)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Connection {
    /// The settings of the config file with the flags on top, checked against each other.
    ///
    /// # Errors
    /// Names the file or flag, the value, and one that works.
    pub fn resolve(&self) -> Result<Access> {
        let (access, notices) = self.resolve_quietly()?;
        notices.iter().for_each(|notice| eprintln!("{notice}"));
        Ok(access)
    }

    /// The same; what the user should be told is answered, a line each.
    ///
    /// # Errors
    /// As [`Connection::resolve`].
    pub fn resolve_quietly(&self) -> Result<(Access, Vec<String>)> {
        let mut given = Given::default();
        if let Some(path) = &self.config {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(|| format!("--config={name}: cannot be read"))?;
            given = Given::from_toml(&text, &name)?;
            given.skip(MOUNT_ONLY);
        }
        given.extend(self.given.clone());
        given.canonical(engine());
        given.canonical(SECRETS.iter());
        given.refuse_unknown(Given::engine_names())?;
        let mut settings = Settings::default();
        given.apply(engine(), &mut settings)?;
        let mut secrets = Secrets::default();
        given.apply(SECRETS.iter(), &mut secrets)?;
        if let Some(directory) = &self.test {
            settings.location = Location::Directory(directory.clone());
        }
        if let Some(bucket) = &self.bucket {
            let (bucket, prefix) = parse::bucket(bucket).with_context(|| format!("--bucket={bucket}"))?;
            settings.location = Location::Bucket(bucket);
            settings.volume.prefix.push_str(&prefix);
        }
        for secret in SECRETS.iter().filter(|flag| matches!(flag.value, ValueKind::Secret(_))) {
            if self.given.has(secret.name) {
                eprintln!(
                    "--{}: a secret on the command line shows in the process list for a moment, and stays in the shell's \
                     history; {}",
                    secret.name, secret.help
                );
            }
        }
        let mut notices = check::settle(&mut settings)?;
        notices.extend(check::ignored(&given));
        let password = secrets.find_password(|variable| std::env::var(variable).ok())?;
        Ok((Access { settings, password, access_key: secrets.access_key }, notices))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn resolve(args: &[&str]) -> Result<Settings> {
        let command = Connection::augment_args(Command::new("test"));
        let matches = command.try_get_matches_from([&["test"], args].concat())?;
        Ok(Connection::from_arg_matches(&matches)?.resolve()?.settings)
    }

    #[test]
    fn flags_override_the_file_in_either_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s3b.toml");
        std::fs::write(&file, "block-size = \"64k\"\nregion = \"a\"\nblockCacheWriteDelay = 500\nquiet = true\n")
            .unwrap();
        let config = format!("--config={}", file.display());
        let settings =
            resolve(&[&config, "--bucket=bucket/sub", "--region=eu-west-1", "--blockCacheThreads", "7"]).unwrap();
        assert_eq!(settings.volume.block_size, Some(65536));
        assert_eq!(settings.s3.region.as_deref(), Some("eu-west-1"));
        assert_eq!((settings.block_cache.threads, settings.block_cache.write_delay), (7, Duration::from_millis(500)));
        assert_eq!((settings.location, &*settings.volume.prefix), (Location::Bucket("bucket".into()), "sub/"));
    }

    #[test]
    fn what_is_ignored_is_taken_but_not_offered() {
        let help = Connection::augment_args(Command::new("test")).render_long_help().to_string();
        let ignored: Vec<_> = flags().filter(|flag| matches!(flag.effect, Effect::Ignored(_))).collect();
        assert!(ignored.iter().any(|flag| flag.name == "http11") && help.contains("--http2"), "{help}");
        for flag in ignored {
            assert!(!help.contains(&format!("--{}", flag.name)), "{}: {help}", flag.name);
            resolve(&[&format!("--{}={}", flag.name, flag.example)]).unwrap();
        }
    }

    #[test]
    fn errors_name_option_value_and_one_that_works() {
        for (args, parts) in [
            (&["--block-size=64q"][..], &["--block-size=64q", "try --block-size="][..]),
            (&["--config=/no/such/file"], &["--config=/no/such/file"]),
            (&["--bucket="], &["--bucket="]),
        ] {
            let message = format!("{:#}", resolve(args).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bad.toml");
        std::fs::write(&file, "blok-size = 1\n").unwrap();
        let message = resolve(&[&format!("--config={}", file.display())]).unwrap_err().to_string();
        assert!(message.contains("block-size") && message.contains("bad.toml"), "{message}");
    }
}
