//! Keys of a directory, a page at a time. Each page reads the names of the whole directory: right for the thousands of a
//! test directory, wrong for millions.

use std::fs;
use std::io;

use super::{Place, TEMPORARY};
use crate::error::{Error, Result};
use crate::object::ListPage;

/// Keys in one page, as in S3.
const PAGE: usize = 1000;

impl Place {
    pub(super) fn list(&self, prefix: &str, after: &str) -> Result<ListPage> {
        self.still_there()?;
        let mut found = Found { prefix, after, keys: Vec::new(), more: false };
        let inside = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
        self.walk(inside, &mut found)
            .map_err(|error| Error::from(error).context(format!("list {}", self.path.display())))?;
        found.shorten();
        found.keys.sort_unstable();
        Ok(ListPage { keys: found.keys, truncated: found.more })
    }

    /// Adds the keys below `inside`, which is empty or ends with a slash.
    fn walk(&self, inside: &str, found: &mut Found<'_>) -> io::Result<()> {
        let entries = match fs::read_dir(self.path.join(inside)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(TEMPORARY) {
                continue;
            }
            let key = format!("{inside}{name}");
            if entry.file_type()?.is_dir() {
                let below = format!("{key}/");
                if below.starts_with(found.prefix) || found.prefix.starts_with(&below) {
                    self.walk(&below, found)?;
                }
            } else {
                found.add(key);
            }
        }
        Ok(())
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
