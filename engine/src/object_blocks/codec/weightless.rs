//! Weightless blocks: lengths and headers as they would be, nothing computed.

use bytes::Bytes;

use super::{Codec, HMAC_LEN, seal};
use crate::cpu::Work;
use crate::geometry::BlockNumber;
use crate::object::ObjectHeaders;
use crate::payload::{compressed_len, page};
use crate::settings::Compression;

/// A compressor's frame around data that it could not make smaller, about.
const FRAME: usize = 11;

/// As long as any, and not the one that counts as missing.
const HMAC: [u8; HMAC_LEN] = [0x5a; HMAC_LEN];

impl Codec {
    pub(super) fn encode_weightless(&self, block: BlockNumber, cells: Bytes) -> (ObjectHeaders, Bytes) {
        let mut headers = self.plain_headers(block);
        let mut len = self.geometry.block_size() as usize;
        if let Some(compression) = self.compress {
            let smaller = compressed_len(&cells) + FRAME;
            if smaller < len || self.must_name_encoding() {
                len = smaller;
                headers.content_encoding = Some(compression.encoding().into());
            }
        }
        if let Some(keys) = &self.keys {
            len = keys.cipher().padded_len(len);
            seal(&mut headers, keys.cipher(), HMAC);
        }
        // While a raw block is sent its body is the cache's own buffer, which is not written meanwhile; an encoded one is not.
        let raw = headers.content_encoding.is_none();
        headers.stands_for = Some(if raw { cells } else { Bytes::copy_from_slice(&cells) });
        (headers, page(len))
    }

    /// The work of having encoded a block into a body of `len` bytes.
    pub fn encoding_work(&self, len: usize) -> impl Iterator<Item = (Work, usize)> + use<> {
        let block_size = self.geometry.block_size() as usize;
        let compress = self.compress.map(|compression| (Work::Compress(compression), block_size));
        let encrypt = self.keys.as_ref().map(|keys| (Work::Encrypt(keys.cipher()), len));
        [compress, encrypt].into_iter().flatten()
    }

    /// The work of decoding an object with this encoding and a body of `len` bytes.
    pub fn decoding_work(&self, encoding: Option<&str>, len: usize) -> impl Iterator<Item = (Work, usize)> + use<> {
        let block_size = self.geometry.block_size() as usize;
        let encoding = encoding.or(self.default_encoding.as_deref()).unwrap_or_default();
        let starts = |compression: Compression| encoding.starts_with(compression.encoding());
        let decrypt = self.keys.as_ref().map(|keys| (Work::Decrypt(keys.cipher()), len));
        let inflate = starts(Compression::Deflate(0)).then_some((Work::Inflate, block_size));
        let unzstd = starts(Compression::Zstd(0)).then_some((Work::Unzstd, block_size));
        [decrypt, inflate, unzstd].into_iter().flatten()
    }
}
