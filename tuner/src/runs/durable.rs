//! Files and names that survive a power loss. A file's own sync does not keep its name: its directory has to be synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Makes the names in a directory survive.
///
/// # Errors
/// The file system's.
pub fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file whole or not at all: whoever looks finds what was there before, or all of this.
///
/// # Errors
/// The file system's; what was there before is then still whole.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let mut file = File::create(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_whole_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outcome.json");
        write(&path, "first").unwrap();
        // The name that it is written under first is taken by a directory.
        fs::create_dir(dir.path().join("outcome.json.new")).unwrap();
        write(&path, "second").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        fs::remove_dir(dir.path().join("outcome.json.new")).unwrap();
        write(&path, "third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }
}
