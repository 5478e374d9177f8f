//! Compression and ciphers as people write them: `deflate`, `zstd:5`, `aes-128-cbc`.

use std::fmt;
use std::str::FromStr;

use super::{CipherName, Compression};
use crate::error::{Error, Result};

/// zlib's levels; -1 is its default.
const DEFLATE_LEVELS: std::ops::RangeInclusive<i32> = -1..=9;

impl CipherName {
    pub const ALL: [Self; 4] = [Self::Aes128Cbc, Self::Aes192Cbc, Self::Aes256Cbc, Self::DesEde3Cbc];

    fn name(self) -> &'static str {
        match self {
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
            Self::DesEde3Cbc => "DES-EDE3-CBC",
        }
    }
}

impl fmt::Display for CipherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CipherName {
    type Err = Error;

    /// Case does not matter. OpenSSL's aliases (`AES128`) are refused: s3backer cannot read back what it writes under them.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|cipher| cipher.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::config(format!("--encrypt={text}: this cipher is not supported; these are: {known}"))
        })
    }
}

impl Compression {
    /// The Content-Encoding.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Deflate(_) => "deflate",
            Self::Zstd(_) => "zstd",
        }
    }

    /// The same algorithm at another level (`--compress-level`).
    pub fn with_level(self, level: i32) -> Self {
        match self {
            Self::Deflate(_) => Self::Deflate(level),
            Self::Zstd(_) => Self::Zstd(level),
        }
    }

    /// Whether the algorithm has this level.
    pub fn check(self) -> Result<()> {
        let (level, levels, usual) = match self {
            Self::Deflate(level) => (level, DEFLATE_LEVELS, 6),
            Self::Zstd(level) => (level, zstd::compression_level_range(), 3),
        };
        if levels.contains(&level) {
            return Ok(());
        }
        let (low, high, name) = (levels.start(), levels.end(), self.encoding());
        Err(Error::config(format!(
            "--compress-level={level}: {name} has the levels {low} to {high}; try --compress-level={usual}"
        )))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Deflate(level) | Self::Zstd(level)) = self;
        write!(f, "{}:{level}", self.encoding())
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// `deflate`, `zstd`, either with `:LEVEL`, or a level alone, which is deflate's. Empty: deflate at its default.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::config(format!(
                "--compress={text}: give deflate or zstd, or a level of deflate from -1 to 9; try --compress=zstd"
            ))
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        let chosen = if name.is_empty() || name.eq_ignore_ascii_case("deflate") {
            Self::Deflate(level.unwrap_or(-1))
        } else if name.eq_ignore_ascii_case("zstd") {
            Self::Zstd(level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))
        } else if level.is_none() {
            Self::Deflate(name.parse().map_err(|_| unknown())?)
        } else {
            return Err(unknown());
        };
        chosen.check()?;
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_in_any_case_and_no_others() {
        assert_eq!("aes-128-cbc".parse::<CipherName>().unwrap(), CipherName::Aes128Cbc);
        for cipher in CipherName::ALL {
            assert_eq!(cipher.to_string().parse::<CipherName>().unwrap(), cipher);
            // The setting's name in a config file is the same.
            assert_eq!(serde_json::to_string(&cipher).unwrap(), format!("\"{cipher}\""));
        }
        for other in ["camellia-128-cbc", "AES128", "aes-128-ctr", "aes-128-ecb", ""] {
            let message = other.parse::<CipherName>().unwrap_err().to_string();
            assert!(message.contains(&format!("--encrypt={other}:")) && message.contains("AES-256-CBC"), "{message}");
        }
    }

    #[test]
    fn compression_as_s3backer_writes_it() {
        for (text, meant) in [
            ("", Compression::Deflate(-1)),
            ("DEFLATE", Compression::Deflate(-1)),
            ("9", Compression::Deflate(9)),
            ("-1", Compression::Deflate(-1)),
            ("zstd", Compression::Zstd(3)),
            ("zstd:-7", Compression::Zstd(-7)),
            ("deflate:1", Compression::Deflate(1)),
        ] {
            assert_eq!(text.parse::<Compression>().unwrap(), meant, "{text}");
            assert_eq!(meant.to_string().parse::<Compression>().unwrap(), meant);
        }
        for wrong in ["lzma", "10", "zstd:99", "deflate:x", "lzma:3", "-2"] {
            let message = wrong.parse::<Compression>().unwrap_err().to_string();
            assert!(message.contains("try --compress"), "{message}");
        }
    }
}
