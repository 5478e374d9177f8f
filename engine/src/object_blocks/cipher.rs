//! Encryption of blocks, bit for bit s3backer's: PBKDF2 twice, an IV from the block number, CBC with PKCS#7, HMAC-SHA1
//! over block number, cipher name and ciphertext. Pure.
//!
//! Its weaknesses are the format's: one IV for every version of a block, no protection against
//! rollback, absent blocks are not authenticated. Keys are wiped when dropped and never printed.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};
use cipher::block_padding::Pkcs7;
use cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::geometry::BlockNumber;
use crate::settings::{CipherName, CodecSettings};

/// Iterations of both key derivations.
const ITERATIONS: u32 = 5000;

/// Most bytes of derived key (OpenSSL's EVP_MAX_KEY_LENGTH).
const MAX_KEY: u32 = 64;

/// Bytes of an HMAC-SHA1.
pub const HMAC_LEN: usize = 20;

impl CipherName {
    /// Bytes of key the cipher itself uses.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Cbc => 16,
            Self::Aes192Cbc | Self::DesEde3Cbc => 24,
            Self::Aes256Cbc => 32,
        }
    }

    /// Bytes per cipher block, and of the IV.
    fn iv_len(self) -> usize {
        if self == Self::DesEde3Cbc { 8 } else { 16 }
    }

    /// Bytes of ciphertext for so many bytes: padding is never empty.
    pub fn padded_len(self, len: usize) -> usize {
        (len / self.iv_len() + 1) * self.iv_len()
    }
}

/// What a password and a place give: the keys of all blocks of one volume.
pub struct Keys {
    cipher: CipherName,
    /// For data (its first bytes) and for HMACs (all).
    key: Zeroizing<Vec<u8>>,
    /// For IVs.
    iv_key: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// Derives the keys the settings ask for, `None` without `--encrypt`. Takes 5000 iterations twice, some
    /// milliseconds. `bucket` is the bucket's name, empty for a directory, which may move.
    ///
    /// # Errors
    /// `Config`: no password, or a key length that does not fit the cipher.
    pub fn from_settings(
        codec: &CodecSettings,
        password: Option<&SecretString>,
        bucket: &str,
        prefix: &str,
    ) -> Result<Option<Self>> {
        let Some(cipher) = codec.encrypt else {
            return Ok(None);
        };
        let Some(password) = password.filter(|password| !password.expose_secret().is_empty()) else {
            return Err(Error::config(format!(
                "--encrypt={cipher} needs a password: give --password-file=FILE or --password=PASSWORD"
            )));
        };
        let key_len = match codec.key_length.filter(|len| *len > 0) {
            None => cipher.key_len(),
            Some(len) if (cipher.key_len()..=MAX_KEY as usize).contains(&(len as usize)) => len as usize,
            Some(len) => {
                return Err(Error::config(format!(
                    "--key-length={len}: {cipher} takes {} to {MAX_KEY} bytes; try --key-length={}",
                    cipher.key_len(),
                    cipher.key_len()
                )));
            }
        };
        Ok(Some(Self::derive(cipher, key_len, password, bucket, prefix)))
    }

    fn derive(cipher: CipherName, key_len: usize, password: &SecretString, bucket: &str, prefix: &str) -> Self {
        let salt = format!("{bucket}/{prefix}");
        let key = stretch(password.expose_secret().as_bytes(), salt.as_bytes(), key_len);
        let iv_key = stretch(&key, &key, key_len);
        Self { cipher, key, iv_key }
    }

    pub fn cipher(&self) -> CipherName {
        self.cipher
    }

    /// Bytes of derived key.
    pub fn key_len(&self) -> usize {
        self.key.len()
    }

    pub fn encrypt(&self, block: BlockNumber, plain: &[u8]) -> Vec<u8> {
        self.encrypt_with(&self.key, &self.iv(block), plain)
    }

    /// `None` when the padding is wrong: the caller has checked the HMAC, so this is no oracle.
    pub fn decrypt(&self, block: BlockNumber, encrypted: &[u8]) -> Option<Vec<u8>> {
        let (key, iv) = (&self.key[..self.cipher.key_len()], self.iv(block));
        match self.cipher {
            CipherName::Aes128Cbc => decrypt_vec(Decryptor::<Aes128>::new_from_slices(key, &iv), encrypted),
            CipherName::Aes192Cbc => decrypt_vec(Decryptor::<Aes192>::new_from_slices(key, &iv), encrypted),
            CipherName::Aes256Cbc => decrypt_vec(Decryptor::<Aes256>::new_from_slices(key, &iv), encrypted),
            CipherName::DesEde3Cbc => decrypt_vec(Decryptor::<TdesEde3>::new_from_slices(key, &iv), encrypted),
        }
    }

    /// The HMAC that travels with an encrypted block.
    pub fn hmac(&self, block: BlockNumber, encrypted: &[u8]) -> [u8; HMAC_LEN] {
        self.mac(&[block.to_string().as_bytes(), self.cipher.to_string().as_bytes(), encrypted])
    }

    /// Compares in a time that does not tell where the difference is.
    pub fn hmac_fits(&self, block: BlockNumber, encrypted: &[u8], hmac: &[u8; HMAC_LEN]) -> bool {
        self.hmac(block, encrypted).ct_eq(hmac).into()
    }

    /// Proof of knowing the keys, bound to `text`. The HMACs of blocks start with eight hex digits, this does not, so
    /// neither can be taken for the other; whoever guesses passwords could use any block's HMAC as well.
    pub fn check_value(&self, text: &str) -> [u8; HMAC_LEN] {
        self.mac(&[b"s3b superblock\n", text.as_bytes()])
    }

    /// [`Keys::check_value`], compared in constant time.
    pub fn check_value_fits(&self, text: &str, value: &[u8; HMAC_LEN]) -> bool {
        self.check_value(text).ct_eq(value).into()
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; HMAC_LEN] {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The block number in ASCII and zeros, encrypted as one block with the IV key, which is its own IV.
    fn iv(&self, block: BlockNumber) -> Vec<u8> {
        let mut text = block.to_string().into_bytes();
        text.resize(self.cipher.iv_len(), 0);
        let mut iv = self.encrypt_with(&self.iv_key, &self.iv_key[..self.cipher.iv_len()], &text);
        // The format has no padding here; in CBC it only adds a block at the end.
        iv.truncate(self.cipher.iv_len());
        iv
    }

    fn encrypt_with(&self, key: &[u8], iv: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = &key[..self.cipher.key_len()];
        match self.cipher {
            CipherName::Aes128Cbc => encrypt_vec(Encryptor::<Aes128>::new_from_slices(key, iv), plain),
            CipherName::Aes192Cbc => encrypt_vec(Encryptor::<Aes192>::new_from_slices(key, iv), plain),
            CipherName::Aes256Cbc => encrypt_vec(Encryptor::<Aes256>::new_from_slices(key, iv), plain),
            CipherName::DesEde3Cbc => encrypt_vec(Encryptor::<TdesEde3>::new_from_slices(key, iv), plain),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, {} bytes)", self.cipher, self.key.len())
    }
}

fn stretch(password: &[u8], salt: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; len]);
    pbkdf2::<Hmac<Sha1>>(password, salt, ITERATIONS, &mut key).expect("HMAC takes keys of any length");
    key
}

fn encrypt_vec<M: BlockModeEncrypt, E: fmt::Debug>(mode: Result<M, E>, plain: &[u8]) -> Vec<u8> {
    mode.expect("key and IV have the cipher's lengths").encrypt_padded_vec::<Pkcs7>(plain)
}

fn decrypt_vec<M: BlockModeDecrypt, E: fmt::Debug>(mode: Result<M, E>, encrypted: &[u8]) -> Option<Vec<u8>> {
    mode.expect("key and IV have the cipher's lengths").decrypt_padded_vec::<Pkcs7>(encrypted).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// zlib stream of 4096 times 'A', as s3backer made it.
    const DEFLATED: &str = "789cedc1010d000000c2a06cef5fca1e0e28000000e0dd00ffad103d";

    fn keys(cipher: CipherName, key_length: Option<u32>, prefix: &str) -> Keys {
        let settings = CodecSettings { encrypt: Some(cipher), key_length, ..Default::default() };
        let password = SecretString::from("mysecretpw");
        Keys::from_settings(&settings, Some(&password), "mybucket", prefix).unwrap().unwrap()
    }

    #[test]
    fn keys_ivs_and_blocks_are_those_of_the_c_program() {
        let keys = keys(CipherName::Aes128Cbc, None, "disk1/");
        assert_eq!(hex::encode(&*keys.key), "c0a31f233b3cfddeb1b788928013ba5f");
        assert_eq!(hex::encode(&*keys.iv_key), "d2e45b27afec23df8e502b984da964e2");
        assert_eq!(hex::encode(keys.iv(BlockNumber(0))), "d830e2cd167c5a9789483a4d72e25ef0");
        assert_eq!(hex::encode(keys.iv(BlockNumber(2))), "d03a77917f5ea9fa3afdba3f1ff7a0a3");
        let encrypted = keys.encrypt(BlockNumber(0), &hex::decode(DEFLATED).unwrap());
        assert_eq!(hex::encode(&encrypted), "e2b814a4ab4bb66416d71f990f0236c55a59bf5496af7bf09dd92c31021cf773");
        assert_eq!(hex::encode(keys.hmac(BlockNumber(0), &encrypted)), "643f070b9170d2aa3662a627d5d94e84a0c9ada9");
        assert_eq!(hex::encode(keys.decrypt(BlockNumber(0), &encrypted).unwrap()), DEFLATED);
        assert_eq!(keys.decrypt(BlockNumber(0), &encrypted[1..]), None);
    }

    #[test]
    fn a_longer_key_begins_like_the_shorter_one_but_the_iv_key_does_not() {
        let key64 = "81cfc6a4ac9aa444da3372aaac9a7873020d7ca5cc24133516661a7bb02360c5\
                     38c7c18f4701302afef8bc843a0a7681b90e7f00a2f68d34f45e609e2a668b77";
        for (len, iv_key) in [
            (16, "5484298bd4644e562c7ef7c4adaa1a2a"),
            (32, "923dcfba4c8fdcea350d63a55c7d476be854435383953b60cca2696e9b4192ac"),
            (
                64,
                "78a589d6c9e73f6deaf96b93c2750b14786ec660142c953358babb5f351ef6f1\
                 2bc15eb69fced7a84815622ce0d5658e1def1aebf37baec3a1787ee12ff987b8",
            ),
        ] {
            let keys = keys(CipherName::Aes128Cbc, Some(len), "");
            assert_eq!(hex::encode(&*keys.key), key64[..2 * len as usize]);
            assert_eq!(hex::encode(&*keys.iv_key), iv_key);
        }
    }

    #[test]
    fn other_ciphers_and_key_lengths() {
        for (prefix, cipher, key_length, encrypted, hmac) in [
            (
                "a256/",
                CipherName::Aes256Cbc,
                None,
                "072adb4f367477d785aa190e58b761907e0608664c81cdfc88c99cee9d19071b",
                "b99da5cf9965e5aebc1fa909f7d21078fce04cda",
            ),
            (
                "kl64/",
                CipherName::Aes128Cbc,
                Some(64),
                "aee89452360e9259e30c493f8bed81344f58b4104efffe1b6cebbe1dec83d6e3",
                "83534cf23f9db22f330f300eac8ec6dec31fcb7c",
            ),
            (
                "des3/",
                CipherName::DesEde3Cbc,
                None,
                "0f45399f83f1a0f15fa84e4953f21e3de9e53cac06239ac0dd516761e69b6c3a",
                "80521fe0d891c2f2de29b782235079cbc659187f",
            ),
        ] {
            let keys = keys(cipher, key_length, prefix);
            let made = keys.encrypt(BlockNumber(1), &hex::decode(DEFLATED).unwrap());
            assert_eq!(hex::encode(&made), encrypted, "{prefix}");
            assert_eq!(hex::encode(keys.hmac(BlockNumber(1), &made)), hmac, "{prefix}");
            assert_eq!(hex::encode(keys.decrypt(BlockNumber(1), &made).unwrap()), DEFLATED);
        }
        let keys = keys(CipherName::Aes192Cbc, None, "a192/");
        assert_eq!(keys.decrypt(BlockNumber(7), &keys.encrypt(BlockNumber(7), b"text")).unwrap(), b"text");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_value_that_does() {
        let mut settings = CodecSettings { encrypt: Some(CipherName::Aes256Cbc), ..Default::default() };
        let password = SecretString::from("pw");
        for password in [None, Some(&SecretString::from(""))] {
            let error = Keys::from_settings(&settings, password, "b", "").unwrap_err();
            assert!(error.message().contains("--password-file"), "{error}");
        }
        for len in [16, 65] {
            settings.key_length = Some(len);
            let error = Keys::from_settings(&settings, Some(&password), "b", "").unwrap_err();
            assert!(error.message().contains("try --key-length=32"), "{error}");
        }
        assert!(Keys::from_settings(&CodecSettings::default(), Some(&password), "b", "").unwrap().is_none());
    }

    #[test]
    fn keys_are_never_printed() {
        let keys = keys(CipherName::Aes128Cbc, None, "disk1/");
        assert_eq!(format!("{keys:?}"), "Keys(AES-128-CBC, 16 bytes)");
    }
}
