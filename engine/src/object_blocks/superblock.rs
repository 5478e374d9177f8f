//! The superblock: an object beside the blocks that records the volume's shape, for the day block 0 is zero.
//!
//! Text, versioned and checksummed. With encryption it also holds a key check, so that a wrong password (or a
//! superblock somebody altered) is noticed without decrypting a block. s3backer neither reads nor deletes it,
//! so it may be out of date: [`super::resolve`] decides what to believe.
//!
//! A mount that wants to recognise its own work later leaves a [`Session`] here; every other writing mount of ours
//! takes it away. It says nothing of the volume's shape, and the key check does not cover it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::cipher::{HMAC_LEN, Keys};
use super::names::{Naming, mode};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::object::{GetIf, Got, ObjectBackend, ObjectHeaders};
use crate::settings::CipherName;

const VERSION: u32 = 1;
const HEAD: &str = "# s3b superblock: the shape of the volume whose blocks lie beside this object. Do not edit.\n";
const CHECKSUM: &str = "checksum = ";
const CONTENT_TYPE: &str = "text/plain";

const SESSION_DIGITS: usize = 32;

/// Longer than any superblock of this and later versions.
const MAX_LEN: usize = 64 << 10;

/// What is known about a volume without looking at its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    pub geometry: Geometry,
    /// Whether keys start with a hash of the block number.
    pub hashed: bool,
    pub encryption: Option<Encryption>,
    /// The last writing mount, if it may want to be recognised.
    pub session: Option<Session>,
}

/// One writing mount: a random number that no other one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session(u128);

impl Session {
    /// Never from a seed: two mounts with one seed are two sessions.
    pub fn fresh() -> Self {
        Self(rand::rng().random())
    }

    fn parse(digits: &str) -> Option<Self> {
        let whole = digits.len() == SESSION_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(digits, 16).ok().filter(|_| whole).map(Self)
    }
}

/// Always of one length.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0SESSION_DIGITS$x}", self.0)
    }
}

/// How the volume is encrypted, and whether a password fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    pub cipher: CipherName,
    /// Bytes of derived key.
    pub key_length: usize,
    check: [u8; HMAC_LEN],
    /// What the check value is bound to: everything before it in the object.
    bound_to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    version: u32,
    block_size: u64,
    size: u64,
    block_hash_prefix: bool,
    #[serde(default)]
    encrypt: Option<CipherName>,
    #[serde(default)]
    key_length: Option<usize>,
    #[serde(default)]
    key_check: Option<String>,
    #[serde(default)]
    session: Option<String>,
}

impl Superblock {
    pub fn new(geometry: Geometry, hashed: bool, keys: Option<&Keys>) -> Self {
        let encryption = keys.map(|keys| {
            let bound_to = bound_text(geometry, hashed, Some((keys.cipher(), keys.key_len())));
            let check = keys.check_value(&bound_to);
            Encryption { cipher: keys.cipher(), key_length: keys.key_len(), check, bound_to }
        });
        Self { geometry, hashed, encryption, session: None }
    }

    #[must_use]
    pub fn with_session(mut self, session: Option<Session>) -> Self {
        self.session = session;
        self
    }

    /// Whether both describe the same volume, whoever mounted it last.
    pub fn same_volume(&self, other: &Self) -> bool {
        self.clone().with_session(other.session) == *other
    }

    /// The object's body.
    pub fn to_body(&self) -> Bytes {
        let mut text = match &self.encryption {
            None => bound_text(self.geometry, self.hashed, None),
            Some(encryption) => {
                format!("{}key-check = \"{}\"\n", encryption.bound_to, hex::encode(encryption.check))
            }
        };
        // After the key check, which is bound to all before it: a session begins without deriving anything anew.
        if let Some(session) = self.session {
            text.push_str(&format!("session = \"{session}\"\n"));
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("{CHECKSUM}\"{checksum:08x}\"\n"));
        text.into()
    }

    /// Reads an object's body.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, `Config` when it is of a newer version.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::corrupt(format!("the superblock is damaged: {what}"));
        let text = std::str::from_utf8(body).map_err(|_| damaged("it is not text"))?;
        let at = text.rfind(CHECKSUM).ok_or_else(|| damaged("it has no checksum"))?;
        let (checked, checksum) = (&text[..at], text[at + CHECKSUM.len()..].trim().trim_matches('"'));
        if checksum != format!("{:08x}", crc32c::crc32c(checked.as_bytes())) {
            return Err(damaged("its checksum does not fit"));
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = toml::from_str(checked).map_err(|error| damaged(error.message()))?;
        if version > VERSION {
            return Err(Error::config(format!(
                "the superblock has version {version}, this s3b knows {VERSION}: use the s3b that made the volume"
            )));
        }
        let record: Record = toml::from_str(checked).map_err(|error| damaged(error.message()))?;
        let geometry = Geometry::new(record.block_size, record.size).map_err(|error| damaged(error.message()))?;
        let encryption = match (record.encrypt, record.key_length, record.key_check) {
            (None, None, None) => None,
            (Some(cipher), Some(key_length), Some(digits)) => {
                let mut check = [0; HMAC_LEN];
                hex::decode_to_slice(&digits, &mut check).map_err(|_| damaged("its key check is no hex number"))?;
                let end = checked.find("key-check = ").ok_or_else(|| damaged("it has no key check line"))?;
                Some(Encryption { cipher, key_length, check, bound_to: checked[..end].to_owned() })
            }
            _ => return Err(damaged("its encryption is half described")),
        };
        let session = record
            .session
            .map(|digits| Session::parse(&digits).ok_or_else(|| damaged("its session is no hex number of 32 digits")))
            .transpose()?;
        Ok(Self { geometry, hashed: record.block_hash_prefix, encryption, session })
    }

    /// `None` when there is no superblock.
    pub async fn read(backend: &Arc<dyn ObjectBackend>, naming: &Naming) -> Result<Option<Self>> {
        let key = naming.superblock_key();
        match backend.get(&key, GetIf::Always, MAX_LEN).await.map_err(|error| error.context("read the superblock"))? {
            Got::Object(object) => {
                Self::parse(&object.body).map(Some).map_err(|error| error.context(format!("object {key}")))
            }
            Got::Absent => Ok(None),
            Got::NotModified | Got::Mismatch => {
                Err(Error::transient(format!("object {key}: an answer to no question")))
            }
        }
    }

    pub(super) fn headers() -> ObjectHeaders {
        ObjectHeaders { content_type: Some(CONTENT_TYPE), ..Default::default() }
    }

    /// Why these keys (or none) are not the volume's; `Ok` when they are.
    pub fn check_keys(&self, keys: Option<&Keys>) -> Result<()> {
        match (&self.encryption, keys) {
            (None, None) => Ok(()),
            (None, Some(keys)) => Err(Error::config(format!(
                "--encrypt={}: the volume is not encrypted; leave --encrypt out",
                keys.cipher()
            ))),
            (Some(encryption), None) => Err(Error::config(format!(
                "the volume is encrypted: give --encrypt={} and its password (--password-file=FILE)",
                encryption.cipher
            ))),
            (Some(encryption), Some(keys)) => encryption.check_keys(keys),
        }
    }
}

impl Encryption {
    fn check_keys(&self, keys: &Keys) -> Result<()> {
        if self.cipher != keys.cipher() {
            let text = "the volume is encrypted with another cipher; give --encrypt=";
            return Err(Error::config(format!("--encrypt={}: {text}{}", keys.cipher(), self.cipher)));
        }
        if self.key_length != keys.key_len() {
            return Err(Error::config(format!(
                "--key-length={}: the volume's keys have {1} bytes; give --key-length={1}",
                keys.key_len(),
                self.key_length
            )));
        }
        if !keys.check_value_fits(&self.bound_to, &self.check) {
            return Err(Error::config(
                "wrong password: it does not fit the volume's key check (or bucket or prefix are not those the volume \
                 was made with: they are part of the key). Give the password the volume was made with",
            ));
        }
        Ok(())
    }
}

fn bound_text(geometry: Geometry, hashed: bool, encryption: Option<(CipherName, usize)>) -> String {
    let (block_size, size) = (geometry.block_size(), geometry.size());
    let mut text =
        format!("{HEAD}version = {VERSION}\nblock-size = {block_size}\nsize = {size}\nblock-hash-prefix = {hashed}\n");
    if let Some((cipher, key_length)) = encryption {
        text.push_str(&format!("encrypt = \"{cipher}\"\nkey-length = {key_length}\n"));
    }
    text
}

/// As the options that would make it.
impl fmt::Display for Superblock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (block_size, size) = (self.geometry.block_size(), self.geometry.size());
        write!(f, "--block-size={} --size={}, {}", sized(block_size.into()), sized(size), mode(self.hashed))?;
        match &self.encryption {
            Some(encryption) => write!(f, ", --encrypt={}", encryption.cipher),
            None => Ok(()),
        }
    }
}

/// A size as an option takes it.
pub(super) fn sized(bytes: u64) -> String {
    let suffixes = [(40, 't'), (30, 'g'), (20, 'm'), (10, 'k')];
    let fits = suffixes.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    fits.map_or_else(|| bytes.to_string(), |(shift, suffix)| format!("{}{suffix}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::error::ErrorKind;
    use crate::settings::CodecSettings;

    fn keys(password: &str) -> Keys {
        let settings = CodecSettings { encrypt: Some(CipherName::Aes128Cbc), ..Default::default() };
        Keys::from_settings(&settings, Some(&SecretString::from(password)), "b", "").unwrap().unwrap()
    }

    fn geometry() -> Geometry {
        Geometry::new(65536, 1 << 30).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let key = keys("right");
        for superblock in [Superblock::new(geometry(), true, None), Superblock::new(geometry(), false, Some(&key))] {
            assert_eq!(Superblock::parse(&superblock.to_body()).unwrap(), superblock);
        }
        let text = Superblock::new(geometry(), true, None).to_string();
        assert_eq!(text, "--block-size=64k --size=1g, hashed keys (--block-hash-prefix)");
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let whole = Superblock::new(geometry(), false, None).to_body();
        for at in 0..whole.len() {
            let mut altered = whole.to_vec();
            altered[at] ^= 0x10;
            // But for the white space at the very end.
            if at < whole.len() - 1 {
                assert_eq!(Superblock::parse(&altered).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
            }
            assert!(at >= whole.len() - 2 || Superblock::parse(&whole[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_session_comes_and_goes_and_the_volume_stays_the_same() {
        let key = keys("right");
        for plain in [Superblock::new(geometry(), true, None), Superblock::new(geometry(), false, Some(&key))] {
            let marked = plain.clone().with_session(Some(Session::fresh()));
            let read = Superblock::parse(&marked.to_body()).unwrap();
            assert_eq!(read, marked);
            assert!(read != plain && read.same_volume(&plain));
            assert_ne!(read, plain.clone().with_session(Some(Session::fresh())));
            assert_eq!(read.with_session(None).to_body(), plain.to_body());
        }
        assert!(!Superblock::new(geometry(), true, None).same_volume(&Superblock::new(geometry(), false, None)));
        let marked = Superblock::new(geometry(), false, Some(&key)).with_session(Some(Session::fresh()));
        Superblock::parse(&marked.to_body()).unwrap().check_keys(Some(&key)).unwrap();
        for digits in ["", "12", &"g".repeat(32), &format!("+{}", "1".repeat(31))] {
            assert_eq!(Session::parse(digits), None, "{digits:?}");
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_number() {
        let text = "version = 2\nshape = \"round\"\n";
        let text = format!("{text}{CHECKSUM}\"{:08x}\"\n", crc32c::crc32c(text.as_bytes()));
        let error = Superblock::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("version 2"), "{error}");
    }

    #[test]
    fn only_the_right_keys_fit() {
        let encrypted = Superblock::new(geometry(), false, Some(&keys("right")));
        let encrypted = Superblock::parse(&encrypted.to_body()).unwrap();
        encrypted.check_keys(Some(&keys("right"))).unwrap();
        let message = encrypted.check_keys(Some(&keys("wrong"))).unwrap_err();
        assert!(message.message().contains("wrong password"), "{message}");
        assert!(encrypted.check_keys(None).unwrap_err().message().contains("--encrypt=AES-128-CBC"));
        let open = Superblock::new(geometry(), false, None);
        assert!(open.check_keys(Some(&keys("right"))).unwrap_err().message().contains("not encrypted"));
        // Somebody who does not know the password cannot change the recorded size.
        let body = String::from_utf8(encrypted.to_body().to_vec()).unwrap();
        let text = body.replace("size = 1073741824", "size = 2147483648");
        let checked = &text[..text.rfind(CHECKSUM).unwrap()];
        let forged = format!("{checked}{CHECKSUM}\"{:08x}\"\n", crc32c::crc32c(checked.as_bytes()));
        assert!(Superblock::parse(forged.as_bytes()).unwrap().check_keys(Some(&keys("right"))).is_err());
    }
}
