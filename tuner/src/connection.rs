//! Where the store is and how to reach it, as given on the command line and in a config file.
//!
//! A stand-in of the smallest size for the engine's table of flags (`settings::flags`): everything else here sees
//! only [`Connection::settings`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use s3b_engine::settings::{CacheSize, Location, Settings};
use s3b_scenarios::scenario::Size;

/// The flags that both `replay` and `sweep` take.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Store")]
pub struct Connection {
    /// Settings file (TOML, keys = long flag names), as `s3b mount` takes it; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A local directory instead of a bucket; it must exist
    #[arg(long, value_name = "DIR", conflicts_with = "bucket")]
    pub test: Option<PathBuf>,
    /// S3 bucket, or bucket/directory
    #[arg(long, value_name = "BUCKET[/DIR]")]
    pub bucket: Option<String>,
    /// Endpoint of an S3-compatible server, e.g. http://127.0.0.1:9000/
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Region of the bucket, e.g. eu-west-1
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
    /// Access key id
    #[arg(long, value_name = "ID")]
    pub access_id: Option<String>,
    /// Environment variable that holds the secret key
    #[arg(long, value_name = "VAR")]
    pub access_key_env: Option<String>,
    /// File with lines id:key
    #[arg(long, value_name = "FILE")]
    pub access_file: Option<PathBuf>,
}

/// What a recommendation repeats so that `s3b mount --config` reaches the same store: flags, never secrets.
pub type ConnectionKeys = Vec<(&'static str, String)>;

impl Connection {
    /// The settings of the config file with the flags on top.
    pub fn settings(&self) -> Result<Settings> {
        let mut settings = match &self.config {
            Some(path) => read_config(path)?,
            None => Settings::default(),
        };
        if let Some(dir) = &self.test {
            settings.location = Location::Directory(dir.clone());
        }
        if let Some(bucket) = &self.bucket {
            let (bucket, dir) = bucket.split_once('/').unwrap_or((bucket, ""));
            if bucket.is_empty() {
                bail!("--bucket={}: the name is empty; try --bucket=mybucket", self.bucket.as_deref().unwrap_or(""));
            }
            settings.location = Location::Bucket(bucket.to_owned());
            if !dir.is_empty() {
                settings.volume.prefix = format!("{}/", dir.trim_end_matches('/'));
            }
        }
        for (key, value) in self.keys() {
            set(&mut settings, key, &value).map_err(|what| anyhow!("--{key}={value}: {what}"))?;
        }
        Ok(settings)
    }

    /// The connection flags given, as config keys.
    pub fn keys(&self) -> ConnectionKeys {
        let file = self.access_file.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("base-url", self.base_url.clone()),
            ("region", self.region.clone()),
            ("access-id", self.access_id.clone()),
            ("access-key-env", self.access_key_env.clone()),
            ("access-file", file),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

fn read_config(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--config={}: cannot be read", path.display()))?;
    parse_config(&text).with_context(|| format!("--config={}", path.display()))
}

/// Reads flat TOML: keys are long flag names.
pub fn parse_config(text: &str) -> Result<Settings> {
    let table: toml::Table = text.parse()?;
    let mut settings = Settings::default();
    for (key, value) in &table {
        let value = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            other => bail!("{key} = {other}: expected a string, a number or true/false"),
        };
        set(&mut settings, key, &value).map_err(|what| anyhow!("{key} = {value}: {what}"))?;
    }
    Ok(settings)
}

fn set(settings: &mut Settings, key: &str, value: &str) -> Result<(), String> {
    let size = || Size::parse(value).map(|size| size.0).ok_or("is not a size; try 64k".to_owned());
    let number = || value.parse::<u32>().map_err(|_| "is not a number; try 20".to_owned());
    match key {
        "size" => settings.volume.size = Some(size()?),
        "block-size" => settings.volume.block_size = Some(size()?),
        "prefix" => settings.volume.prefix = value.to_owned(),
        "block-cache-threads" => settings.block_cache.threads = number()?,
        "block-cache-write-delay" => settings.block_cache.write_delay = delay(value)?,
        "block-cache-size" => settings.block_cache.size = cache_size(value)?,
        "read-ahead" => settings.block_cache.read_ahead = Some(number()?),
        "base-url" => settings.s3.base_url = Some(value.to_owned()),
        "region" => settings.s3.region = Some(value.to_owned()),
        "access-id" => settings.s3.credentials.access_id = Some(value.to_owned()),
        "access-key-env" => settings.s3.credentials.access_key_env = Some(value.to_owned()),
        "access-file" => settings.s3.credentials.access_file = Some(value.into()),
        _ => return Err("no such setting here; known: size, block-size, block-cache-threads, ...".to_owned()),
    }
    Ok(())
}

/// Milliseconds, or a number with its unit: `250`, `250ms`, `5s`.
pub fn delay(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => text.strip_suffix('s').map_or((text, 1), |digits| (digits, 1000)),
    };
    let number: Option<u64> = digits.parse().ok();
    let delay = number.and_then(|number| number.checked_mul(factor)).filter(|ms| *ms <= 86_400_000);
    delay.map(Duration::from_millis).ok_or_else(|| "is not a delay of up to a day; try 250ms or 5s".to_owned())
}

/// Blocks, or bytes with a unit.
fn cache_size(text: &str) -> Result<CacheSize, String> {
    match text.parse() {
        Ok(blocks) => Ok(CacheSize::Blocks(blocks)),
        Err(_) => Size::parse(text).map(|size| CacheSize::Bytes(size.0)).ok_or("is not a size; try 512m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_the_file_and_errors_name_option_and_value() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s3b.toml");
        std::fs::write(&file, "block-size = \"64k\"\nregion = \"a\"\nblock-cache-write-delay = 500\n").unwrap();
        let flags = Connection {
            config: Some(file),
            bucket: Some("b/sub".into()),
            region: Some("eu-west-1".into()),
            ..Connection::default()
        };
        let settings = flags.settings().unwrap();
        assert_eq!(settings.volume.block_size, Some(65536));
        assert_eq!(settings.s3.region.as_deref(), Some("eu-west-1"));
        assert_eq!(settings.block_cache.write_delay, Duration::from_millis(500));
        assert_eq!((settings.location, &*settings.volume.prefix), (Location::Bucket("b".into()), "sub/"));
        for (text, parts) in [
            ("block-size = \"64q\"", ["block-size", "64q", "64k"]),
            ("colour = 1", ["colour", "no such setting", "block-size"]),
            ("block-cache-write-delay = \"1h\"", ["write-delay", "1h", "250ms"]),
        ] {
            let message = format!("{:#}", parse_config(text).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
