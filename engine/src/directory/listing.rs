//! Keys of a directory, a page at a time. Each page reads the names of the whole directory: right for the thousands of a
//! test directory, wrong for millions.

use std::io;

use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;

use super::{Place, TEMPORARY};
use crate::error::{Error, Result};
use crate::object::ListPage;

/// Keys in one page, as in S3.
const PAGE: usize = 1000;

impl Place {
    pub(super) fn list(&self, prefix: &str, after: &str) -> Result<ListPage> {
        self.still_there()?;
        let mut found = Found { prefix, after, keys: Vec::new(), more: false };
        let top = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
        if !top.is_empty() {
            self.check(top)?;
        }
        self.walk(top, &mut found)
            .map_err(|error| Error::from(io::Error::from(error)).context(format!("list {}", self.path.display())))?;
        found.shorten();
        found.keys.sort_unstable();
        Ok(ListPage { keys: found.keys, truncated: found.more })
    }

    /// Adds the keys in one directory and below.
    fn walk(&self, dir: &str, found: &mut Found<'_>) -> rustix::io::Result<()> {
        for (name, is_dir) in self.names(dir)? {
            if name.starts_with(TEMPORARY) {
                continue;
            }
            let key = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if is_dir {
                let below = format!("{key}/");
                if below.starts_with(found.prefix) || found.prefix.starts_with(&below) {
                    self.walk(&key, found)?;
                }
            } else {
                found.add(key);
            }
        }
        Ok(())
    }

    /// What is in one directory, each with whether it is a directory itself. No such directory: nothing.
    pub(super) fn names(&self, dir: &str) -> rustix::io::Result<Vec<(String, bool)>> {
        let opened = match self.open_at(dir, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                    stat.map(|stat| FileType::from_raw_mode(stat.st_mode)).unwrap_or(FileType::Unknown)
                }
                kind => kind,
            };
            names.push((name.to_owned(), kind == FileType::Directory));
        }
        Ok(names)
    }
}

/// The smallest keys of a walk, a page of them and perhaps one walk's worth more.
struct Found<'a> {
    prefix: &'a str,
    after: &'a str,
    keys: Vec<String>,
    more: bool,
}

impl Found<'_> {
    fn add(&mut self, key: String) {
        if !key.starts_with(self.prefix) || key.as_str() <= self.after {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= 16 * PAGE {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        if self.keys.len() > PAGE {
            self.keys.select_nth_unstable(PAGE);
            self.keys.truncate(PAGE);
            self.more = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_keeps_the_smallest() {
        let mut found = Found { prefix: "k", after: "k00000010", keys: Vec::new(), more: false };
        for number in (0..40_000).rev() {
            found.add(format!("k{number:08}"));
        }
        found.shorten();
        found.keys.sort_unstable();
        assert_eq!((found.keys.len(), found.more), (1000, true));
        assert_eq!((found.keys[0].as_str(), found.keys[999].as_str()), ("k00000011", "k00001010"));
    }
}
