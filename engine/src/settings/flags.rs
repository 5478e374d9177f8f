//! The one table of flags: names (ours and s3backer's), what they set, what they say of themselves.
//!
//! Command lines, TOML config files, s3backer's config files and `docs/FLAGS.md` all come from it.
