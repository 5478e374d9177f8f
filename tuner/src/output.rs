//! What goes out: text on stdout, whole files. Never panics because nobody reads.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// To stdout. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// Of another kind: a full disk behind a redirection.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Whether a file of this name could be made, before anybody waits for what it is to hold.
///
/// # Errors
/// Names the option, and the directory that is missing or in its place.
pub fn check_target(option: &str, path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("{option}={}: a directory is there; name a file in it", path.display());
    }
    let parent = parent(path);
    if !parent.is_dir() {
        bail!("{option}={}: there is no directory {}; make it first", path.display(), parent.display());
    }
    Ok(())
}

/// Writes the whole file or none of it.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let save = || -> Result<()> {
        let mut file = tempfile::Builder::new().prefix(".s3b-tuner-").tempfile_in(parent(path))?;
        file.write_all(text.as_bytes())?;
        // Results are for everybody to read; the temporary file's mode is not.
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
