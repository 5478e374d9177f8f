//! What `-o` carries besides our own flags: options of the kernel's mount, of fstab, and of libfuse.

use s3b_engine::error::{Error, Result};
use s3b_engine::settings::parse;

/// Options of the mount itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelOptions {
    pub allow_other: bool,
    pub allow_root: bool,
    /// Flags and `fsname=` for the kernel, in the order given.
    pub passed: Vec<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Passed to the kernel as they are.
const PASSED: &[&str] = &[
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "noexec",
    "atime",
    "noatime",
    "sync",
    "async",
    "dirsync",
    "default_permissions",
];

/// For mount(8) and systemd, not for us.
const FSTAB: &[&str] = &[
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "nofail",
    "_netdev",
    "relatime",
    "norelatime",
    "strictatime",
    "lazytime",
    "diratime",
    "nodiratime",
    "silent",
    "loud",
    "iversion",
    "noiversion",
];

/// libfuse options that s3b decides by itself.
const LIBFUSE: &[&str] = &[
    "kernel_cache",
    "auto_cache",
    "noauto_cache",
    "nonempty",
    "big_writes",
    "use_ino",
    "readdir_ino",
    "hard_remove",
    "attr_timeout",
    "entry_timeout",
    "negative_timeout",
    "ac_attr_timeout",
    "max_read",
    "max_readahead",
    "max_write",
    "max_background",
    "congestion_threshold",
    "async_read",
    "sync_read",
    "noforget",
    "remember",
    "intr",
    "intr_signal",
    "splice_read",
    "splice_write",
    "splice_move",
    "no_splice_read",
    "no_splice_write",
    "no_splice_move",
    "clone_fd",
    "max_threads",
    "max_idle_threads",
    "blksize",
    "umask",
    "async_dio",
    "no_remote_lock",
    "no_remote_flock",
    "no_remote_posix_lock",
    "parallel_direct_writes",
    "subtype",
    "auto_unmount",
    "nodelay",
    "atomic_o_trunc",
];

/// What became of one option.
#[derive(Debug, PartialEq)]
pub enum Taken {
    Yes,
    /// Understood, without effect; a line for the user.
    Ignored(String),
    /// Neither the kernel's nor fstab's.
    Unknown,
}

impl KernelOptions {
    /// Takes in one option without its comma.
    ///
    /// # Errors
    /// A bad number.
    pub fn take(&mut self, option: &str) -> Result<Taken> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "allow_other" => self.allow_other = true,
            "allow_root" => self.allow_root = true,
            "fsname" => self.passed.push(option.to_owned()),
            "uid" => self.uid = Some(owner(option, value)?),
            "gid" => self.gid = Some(owner(option, value)?),
            _ if PASSED.contains(&option) => self.passed.push(option.to_owned()),
            _ if FSTAB.contains(&name) || name.starts_with("x-") || name == "comment" => {}
            _ if LIBFUSE.contains(&name) => {
                return Ok(Taken::Ignored(format!("-o {option} is ignored: s3b sets this itself")));
            }
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    /// All names, for suggestions.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        ["allow_other", "allow_root", "fsname", "uid", "gid", "ro"].into_iter().chain(PASSED.iter().copied())
    }
}

fn owner(option: &str, value: &str) -> Result<u32> {
    parse::count(value).map_err(|e| Error::config(format!("-o {option}: {e}; try -o uid=1000")))
}

/// Splits an `-o` list at its commas; `\,` is a comma within a value.
pub fn split(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        let part = parts.last_mut().expect("never empty");
        match c {
            '\\' if matches!(chars.peek(), Some(',' | '\\')) => part.extend(chars.next()),
            ',' => parts.push(String::new()),
            c => part.push(c),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_at_commas_but_not_at_escaped_ones() {
        assert_eq!(split("a,b=c\\,d,,e\\\\"), ["a", "b=c,d", "e\\"]);
    }

    #[test]
    fn fstab_options_are_no_news_and_unknown_ones_are() {
        let mut options = KernelOptions::default();
        for option in ["rw", "noauto", "x-systemd.automount", "_netdev", "comment=hi", "nosuid", "allow_other", "uid=7"]
        {
            assert_eq!(options.take(option).unwrap(), Taken::Yes, "{option}");
        }
        assert_eq!(
            (options.allow_other, options.uid, options.passed.as_slice()),
            (true, Some(7), &["nosuid".to_owned()][..])
        );
        assert!(matches!(options.take("max_read=4096").unwrap(), Taken::Ignored(_)));
        assert_eq!(options.take("frobnicate").unwrap(), Taken::Unknown);
        assert!(options.take("uid=me").is_err());
    }
}
