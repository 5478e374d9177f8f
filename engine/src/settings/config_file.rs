//! s3backer's config file format: one argument per line. (Ours is TOML: [`Given::from_toml`](super::flags::Given::from_toml).)

use std::path::Path;

use crate::error::{Error, Result};

/// Flags that only a mount understands, in both spellings: other programs skip them in a config file that they share with it.
pub const MOUNT_ONLY: &[&str] = &[
    "test",
    "direct-io",
    "directIO",
    "file-mode",
    "fileMode",
    "filename",
    "stats-filename",
    "statsFilename",
    "stats-file-mirror",
    "statsFileMirror",
    "stats-file-mirror-interval",
    "statsFileMirrorInterval",
    "record",
    "record-max-size",
    "kernel-read-ahead",
    "fuse-threads",
    "debug",
    "quiet",
    "foreground",
    "nbd",
    "nbd-flag",
    "nbd-param",
];

/// Files within files, at most; as in s3backer.
const DEEPEST: usize = 100;

/// Replaces every `--configFile FILE` (also `--configFile=FILE`, `--config-file`, `-F FILE`, `-oconfigFile=FILE`)
/// by the arguments in FILE. `read` reads a file.
///
/// # Errors
/// Names the file that cannot be read, or that includes itself without end.
pub fn expand(args: Vec<String>, read: &dyn Fn(&Path) -> std::io::Result<String>) -> Result<Vec<String>> {
    let mut out = Vec::new();
    expand_into(args, read, 0, &mut out)?;
    Ok(out)
}

fn expand_into(
    args: Vec<String>,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
    depth: usize,
    out: &mut Vec<String>,
) -> Result<()> {
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let file = match arg.as_str() {
            "--configFile" | "--config-file" | "-F" => Some(args.next().ok_or_else(|| {
                Error::config(format!("{arg}: a file name is missing; try {arg} /etc/s3b/disk1.conf"))
            })?),
            "-o" => {
                let Some(options) = args.next() else {
                    out.push(arg);
                    continue;
                };
                split_options(&options, read, depth, out)?;
                continue;
            }
            other => match other.strip_prefix("--configFile=").or_else(|| other.strip_prefix("--config-file=")) {
                Some(file) => Some(file.to_owned()),
                None => other.strip_prefix("-F").filter(|file| !file.is_empty()).map(str::to_owned),
            },
        };
        match (file, arg.strip_prefix("-o").filter(|rest| !rest.is_empty())) {
            (Some(file), _) => include(&file, read, depth, out)?,
            (None, Some(options)) => split_options(options, read, depth, out)?,
            (None, None) => out.push(arg),
        }
    }
    Ok(())
}

/// Takes `configFile=FILE` out of an `-o` list and leaves the rest.
fn split_options(
    options: &str,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
    depth: usize,
    out: &mut Vec<String>,
) -> Result<()> {
    let mut rest = Vec::new();
    for option in options.split(',') {
        match option.strip_prefix("configFile=").or_else(|| option.strip_prefix("config-file=")) {
            Some(file) => include(file, read, depth, out)?,
            None => rest.push(option),
        }
    }
    if !rest.is_empty() {
        out.extend(["-o".to_owned(), rest.join(",")]);
    }
    Ok(())
}

fn include(
    file: &str,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
    depth: usize,
    out: &mut Vec<String>,
) -> Result<()> {
    if depth >= DEEPEST {
        return Err(Error::config(format!(
            "--config-file={file}: files include each other {DEEPEST} deep; break the circle"
        )));
    }
    let text =
        read(Path::new(file)).map_err(|e| Error::config(format!("--config-file={file}: {e}; name a readable file")))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // `-o options` may stand on one line in s3backer's files, as it does in their manual.
    let args = lines.flat_map(|line| match line.strip_prefix("-o ") {
        Some(options) => vec!["-o".to_owned(), options.trim().to_owned()],
        None => vec![line.to_owned()],
    });
    expand_into(args.collect(), read, depth + 1, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_with(args: &[&str], files: &[(&str, &str)]) -> Result<Vec<String>> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        };
        expand(args.iter().map(|a| (*a).to_owned()).collect(), &read)
    }

    #[test]
    fn files_are_spliced_in_where_they_stand() {
        let files = [("a", "# comment\n\n  --blockSize=4k  \n--configFile=b\n"), ("b", "--ssl\nbucket\n")];
        let got = expand_with(&["--size=1g", "--configFile=a", "/mnt"], &files);
        assert_eq!(got.unwrap(), ["--size=1g", "--blockSize=4k", "--ssl", "bucket", "/mnt"]);
        for args in [&["-F", "b"][..], &["-Fb"], &["--config-file", "b"], &["-o", "configFile=b"], &["-oconfigFile=b"]]
        {
            assert_eq!(expand_with(args, &files).unwrap(), ["--ssl", "bucket"], "{args:?}");
        }
        let got = expand_with(&["-o", "ro,configFile=b,allow_other"], &files).unwrap();
        assert_eq!(got, ["--ssl", "bucket", "-o", "ro,allow_other"]);
    }

    #[test]
    fn circles_and_missing_files_are_named() {
        let error = expand_with(&["-F", "a"], &[("a", "--configFile=a\n")]).unwrap_err().to_string();
        assert!(error.contains("--config-file=a"), "{error}");
        assert!(expand_with(&["-F", "nowhere"], &[]).unwrap_err().to_string().contains("nowhere"));
        assert!(expand_with(&["-F"], &[]).is_err());
    }
}
