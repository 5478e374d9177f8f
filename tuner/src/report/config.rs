//! `s3b.toml`: the recommended settings, ready for `s3b mount --config`, with the reasons as comments.
//!
//! The file carries a checksum of itself, so that the next sweep may replace its own, unedited result, but never a
//! file somebody else wrote or edited.

use std::path::Path;

use anyhow::{Context, Result, bail};
use s3b_engine::settings::Settings;
use s3b_engine::settings::flags::engine;

use crate::output;

/// Begins the first line of every file written here; the checksum of what follows ends it.
const MARK: &str = "# Written by s3b-tuner sweep. Replaced by the next sweep unless edited. ";

/// Where this sweep happened and how large its volumes were is nobody else's setting.
const LEFT_OUT: [&str; 8] =
    ["size", "prefix", "force", "read-only", "test-delays", "test-errors", "test-discard", "test-seed"];

/// A line of explanation for one setting.
pub struct Reason {
    pub flag: &'static str,
    pub text: String,
}

/// The file's text. `chosen` are the flags that were tuned: written even where the value is the default.
pub fn text(settings: &Settings, chosen: &[(&'static str, String)], head: &[String], reasons: &[Reason]) -> String {
    let mut body = String::new();
    for line in head {
        comment(&mut body, line);
    }
    for (name, value) in chosen {
        body.push('\n');
        for reason in reasons.iter().filter(|reason| reason.flag == *name) {
            comment(&mut body, &reason.text);
        }
        body.push_str(&line(name, value));
    }
    let others = engine().filter(|flag| !LEFT_OUT.contains(&flag.name) && !chosen.iter().any(|(n, _)| *n == flag.name));
    let others: Vec<String> = others.filter_map(|flag| Some(line(flag.name, &flag.get(settings)?))).collect();
    if !others.is_empty() {
        body.push_str("\n# As given to the sweep.\n");
        others.iter().for_each(|line| body.push_str(line));
    }
    format!("{MARK}{:016x}\n{body}", checksum(&body))
}

fn line(name: &str, value: &str) -> String {
    let plain = value.parse::<bool>().is_ok() || value.parse::<u32>().is_ok_and(|number| number.to_string() == value);
    let value = if plain { value.to_owned() } else { toml::Value::String(value.to_owned()).to_string() };
    format!("{name} = {value}\n")
}

/// One or more lines, wrapped for reading; control characters cannot end a comment early.
fn comment(body: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let word: String = word.chars().filter(|c| !c.is_control()).collect();
        if column > 0 && column + 1 + word.chars().count() > 100 {
            body.push('\n');
            column = 0;
        }
        body.push_str(if column == 0 { "# " } else { " " });
        body.push_str(&word);
        column += word.chars().count() + 1;
    }
    body.push('\n');
}

/// FNV-1a: to notice an edit, not an attack.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Whether the file may be written: it is absent, or an unedited result of an earlier sweep. Asked before a sweep
/// begins, so that nobody waits for a result that cannot be kept.
///
/// # Errors
/// Names the file and the ways out.
pub fn check_target(path: &Path, force: bool) -> Result<()> {
    let shown = path.display();
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => output::check_target("--output", path),
        Err(error) => Err(error).with_context(|| format!("--output={shown}: cannot be looked at")),
        Ok(old) if force || is_ours_unedited(&old) => Ok(()),
        Ok(_) => bail!(
            "--output={shown}: holds settings that were not written by a sweep, or were edited since; \
             try --output=s3b-new.toml, or --force to replace them"
        ),
    }
}

fn is_ours_unedited(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some((first, body)) = text.split_once('\n') else { return false };
    first.strip_prefix(MARK).is_some_and(|sum| sum == format!("{:016x}", checksum(body)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3b_engine::settings::flags::Given;

    use super::*;
    use crate::output::write;

    fn sample() -> (Settings, String) {
        let mut settings = Settings::default();
        settings.volume.block_size = Some(1 << 20);
        settings.volume.size = Some(1 << 30);
        settings.volume.prefix = "s3b-tuner-1234-".into();
        settings.block_cache.threads = 20;
        settings.block_cache.write_delay = Duration::from_secs(2);
        settings.s3.region = Some("eu-west-1".into());
        let chosen = [
            ("block-size", "1m".to_owned()),
            ("block-cache-threads", "20".to_owned()),
            ("block-cache-write-delay", "2s".to_owned()),
        ];
        let reasons = [Reason { flag: "block-size", text: "64k is slower\nblock-size = \"4k\"".into() }];
        (settings.clone(), text(&settings, &chosen, &["From a test.".into()], &reasons))
    }

    #[test]
    fn the_file_reads_back_as_the_settings() {
        let (mut settings, text) = sample();
        let given = Given::from_toml(&text, "s3b.toml").unwrap();
        given.refuse_unknown(Given::engine_names()).unwrap();
        let mut read = Settings::default();
        given.apply(engine(), &mut read).unwrap();
        // A mount brings its own size and prefix.
        (settings.volume.size, settings.volume.prefix) = (None, String::new());
        assert_eq!(read, settings);
        assert!(text.contains("block-cache-threads = 20\n"), "written although it is the default:\n{text}");
        assert!(text.contains("# 64k is slower block-size = \"4k\"\n"), "a comment stays a comment:\n{text}");
    }

    #[test]
    fn only_an_unedited_result_is_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s3b.toml");
        check_target(&path, false).unwrap();
        write(&path, &sample().1).unwrap();
        check_target(&path, false).unwrap();
        write(&path, &sample().1.replace("20", "30")).unwrap();
        let message = check_target(&path, false).unwrap_err().to_string();
        assert!(message.contains("s3b.toml") && message.contains("--force"), "{message}");
        check_target(&path, true).unwrap();
        std::fs::write(&path, "size = \"1g\"\n").unwrap();
        check_target(&path, false).unwrap_err();
        let message = check_target(&dir.path().join("no/s3b.toml"), false).unwrap_err().to_string();
        assert!(message.contains("no directory"), "{message}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
