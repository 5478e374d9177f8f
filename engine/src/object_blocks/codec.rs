//! From the bytes of a block to the body and headers of its object, and back: compress, then encrypt. Pure.
//!
//! Writes what s3backer reads and reads what s3backer writes, with one thing added: a block that does not get smaller is
//! stored raw. Never trusts an object: lengths, encodings and HMACs are checked before bytes are believed.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::cipher::{HMAC_LEN, Keys};
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::geometry::{BlockNumber, Geometry};
use crate::object::ObjectHeaders;
use crate::payload::{Payload, weigh};
use crate::settings::{CipherName, CodecSettings, Compression};

pub const CONTENT_TYPE: &str = "application/x-s3backer-block";
pub const BLOCK_SIZE_META: &str = "s3backer-blocksize";
pub const FILE_SIZE_META: &str = "s3backer-filesize";
pub const HMAC_META: &str = "s3backer-hmac";
const ENCRYPT: &str = "encrypt-";

/// Most characters of a strange header that a message repeats.
const QUOTED: usize = 60;

/// How the blocks of one volume are coded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Codec {
    geometry: Geometry,
    compress: Option<Compression>,
    keys: Option<Arc<Keys>>,
    default_encoding: Option<String>,
    payload: Payload,
}

impl Codec {
    /// `keys` are those of [`Keys::from_settings`].
    ///
    /// # Errors
    /// `Config`: a level, block size or `--default-content-encoding` that cannot work.
    pub fn new(settings: &CodecSettings, geometry: Geometry, keys: Option<Arc<Keys>>) -> Result<Self> {
        let mut compress = settings.compress;
        if let Some(compression) = compress {
            compression.check()?;
        }
        let default_encoding = settings.default_content_encoding.clone().filter(|text| layers(text).next().is_some());
        if let Some(text) = &default_encoding {
            check_default(text)?;
        }
        // A raw block would be taken for an encoded one when the default says so, and s3backer always compresses
        // what it encrypts.
        if keys.is_some() || default_encoding.is_some() {
            compress = compress.or(Some(Compression::Deflate(-1)));
        }
        Ok(Self { geometry, compress, keys, default_encoding, payload: Payload::Real })
    }

    /// For blocks of this kind.
    #[must_use]
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Whether blocks are stored as they are: no work worth another thread.
    pub fn is_plain(&self) -> bool {
        self.compress.is_none() && self.keys.is_none()
    }

    /// [`max_body_len`] of this volume.
    pub fn max_body_len(&self) -> usize {
        max_body_len(self.geometry.block_size())
    }

    /// Body and headers for a block of exactly block-size bytes (weightless: of as many cells as that has).
    pub fn encode(&self, block: BlockNumber, data: Bytes) -> Result<(ObjectHeaders, Bytes)> {
        let block_size = self.geometry.block_size() as usize;
        let given = self.payload.byte_count(data.len());
        if given != block_size {
            return Err(Error::failed(format!("block {block}: {given} bytes to store, not {block_size}")));
        }
        if self.payload == Payload::Weightless {
            return Ok(self.encode_weightless(block, data));
        }
        let mut headers = self.plain_headers(block);
        let mut body = data;
        if let Some(compression) = self.compress {
            let smaller = compress(compression, &body).map_err(|error| error.context(format!("block {block}")))?;
            if smaller.len() < body.len() || self.must_name_encoding() {
                body = smaller.into();
                headers.content_encoding = Some(compression.encoding().into());
            }
        }
        if let Some(keys) = &self.keys {
            body = keys.encrypt(block, &body).into();
            seal(&mut headers, keys.cipher(), keys.hmac(block, &body));
        }
        Ok((headers, body))
    }

    fn plain_headers(&self, block: BlockNumber) -> ObjectHeaders {
        let mut headers = ObjectHeaders { content_type: Some(CONTENT_TYPE), ..Default::default() };
        if block.0 == 0 {
            headers.meta.push((BLOCK_SIZE_META.into(), self.geometry.block_size().to_string()));
            headers.meta.push((FILE_SIZE_META.into(), self.geometry.size().to_string()));
        }
        headers
    }

    fn must_name_encoding(&self) -> bool {
        self.keys.is_some() || self.default_encoding.is_some()
    }

    /// The block's bytes, exactly block-size many.
    ///
    /// # Errors
    /// `Corrupt`, naming the block and where it lies in the volume.
    pub fn decode(&self, block: BlockNumber, headers: &ObjectHeaders, body: Bytes) -> Result<BlockData> {
        let unpacked = match (&headers.stands_for, self.payload) {
            (Some(cells), Payload::Weightless) => Ok(cells.clone()),
            (Some(_), Payload::Real) => Err("it is of a simulation, and has no bytes".into()),
            (None, Payload::Weightless) => self.unpack(block, headers, body).map(|bytes| weigh(&bytes)),
            (None, Payload::Real) => self.unpack(block, headers, body),
        };
        unpacked.map(BlockData::Bytes).map_err(|why| {
            let offset = u64::from(block.0) * u64::from(self.geometry.block_size());
            Error::corrupt(format!("block {block} at offset {offset}: {why}"))
        })
    }

    fn unpack(&self, block: BlockNumber, headers: &ObjectHeaders, mut body: Bytes) -> Result<Bytes, String> {
        let encoding = headers.content_encoding.as_deref().filter(|text| layers(text).next().is_some());
        let encoding = encoding.or(self.default_encoding.as_deref()).unwrap_or_default();
        let block_size = self.geometry.block_size() as usize;
        let (mut decrypted, mut decompressed) = (false, false);
        // Applied left to right, so undone right to left; compression was the first to be applied.
        for layer in layers(encoding).rev() {
            if decompressed {
                return Err(format!("it is encoded as {:?}, but compression comes first", quote(encoding)));
            }
            if let Some(cipher) = strip_prefix_ignoring_case(layer, ENCRYPT) {
                body = self.decrypt(block, cipher, headers, &body)?;
                decrypted = true;
            } else if layer.eq_ignore_ascii_case("deflate") {
                body = inflate(&body, block_size)?;
                decompressed = true;
            } else if layer.eq_ignore_ascii_case("zstd") {
                body = unzstd(&body, block_size)?;
                decompressed = true;
            } else {
                return Err(format!("its Content-Encoding {:?} is unknown", quote(encoding)));
            }
        }
        if self.keys.is_some() && !decrypted {
            return Err("it was supposed to be encrypted and is not".into());
        }
        if body.len() != block_size {
            return Err(format!("it has {} bytes, not the block size {block_size}", body.len()));
        }
        Ok(body)
    }

    fn decrypt(&self, block: BlockNumber, cipher: &str, headers: &ObjectHeaders, body: &[u8]) -> Result<Bytes, String> {
        let Some(keys) = &self.keys else {
            return Err(format!("it is encrypted ({}), but --encrypt was not given", quote(cipher)));
        };
        let ours = keys.cipher().to_string();
        if !cipher.eq_ignore_ascii_case(&ours) {
            return Err(format!("it is encrypted with {}, not with --encrypt={ours}", quote(cipher)));
        }
        let Some(hmac) = headers.meta(HMAC_META).and_then(parse_hmac) else {
            return Err("it is encrypted but has no valid HMAC".into());
        };
        if !keys.hmac_fits(block, body, &hmac) {
            return Err("its HMAC does not fit: another password or key length, or the object was altered".into());
        }
        keys.decrypt(block, body).map(Bytes::from).ok_or_else(|| "its padding is wrong".into())
    }
}

/// Names the encryption, and puts the HMAC beside it.
fn seal(headers: &mut ObjectHeaders, cipher: CipherName, hmac: [u8; HMAC_LEN]) {
    let name = format!("{}, {ENCRYPT}{cipher}", headers.content_encoding.take().unwrap_or_default());
    headers.content_encoding = Some(name);
    headers.meta.push((HMAC_META.into(), format!("\"{}\"", hex::encode(hmac))));
}

/// The longest body that a valid object can have: bytes that grew under compression, and a cipher's padding.
pub fn max_body_len(block_size: u32) -> usize {
    let block = block_size as usize;
    // Fast levels of some compressors spend nine bits on a byte: zlib's own conservative bound.
    let zlib = block + block.div_ceil(8) + block.div_ceil(64) + 13;
    let zstd = zstd::zstd_safe::compress_bound(block);
    zlib.max(zstd) + 16
}

/// The geometry that block 0 carries; both headers or none.
pub fn geometry_headers(headers: &ObjectHeaders) -> Option<(u64, u64)> {
    let value = |name| headers.meta(name)?.trim().parse::<u64>().ok().filter(|value| *value > 0);
    Some((value(BLOCK_SIZE_META)?, value(FILE_SIZE_META)?))
}

/// Whether an object claims to be encrypted.
pub fn says_encrypted(headers: &ObjectHeaders) -> bool {
    let encoding = headers.content_encoding.as_deref().unwrap_or_default();
    layers(encoding).any(|layer| strip_prefix_ignoring_case(layer, ENCRYPT).is_some())
}

/// The layers of a Content-Encoding, in the order they were applied.
fn layers(encoding: &str) -> impl DoubleEndedIterator<Item = &str> {
    encoding.split([' ', '\t', '\r', '\n', ',']).filter(|layer| !layer.is_empty())
}

fn check_default(text: &str) -> Result<()> {
    for layer in layers(text) {
        let cipher = strip_prefix_ignoring_case(layer, ENCRYPT);
        let known = match cipher {
            Some(cipher) => cipher.parse::<crate::settings::CipherName>().is_ok(),
            None => layer.eq_ignore_ascii_case("deflate") || layer.eq_ignore_ascii_case("zstd"),
        };
        if !known {
            return Err(Error::config(format!(
                "--default-content-encoding={text}: {layer:?} is unknown; try --default-content-encoding=deflate"
            )));
        }
    }
    Ok(())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// A missing and an all-zero HMAC are the same to s3backer.
fn parse_hmac(value: &str) -> Option<[u8; HMAC_LEN]> {
    let digits = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut hmac = [0; HMAC_LEN];
    hex::decode_to_slice(digits, &mut hmac).ok()?;
    (hmac != [0; HMAC_LEN]).then_some(hmac)
}

/// The start of a header of any length and content.
fn quote(text: &str) -> String {
    let mut start: String = text.chars().take(QUOTED).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    start
}

thread_local! {
    // Setting up a zlib state zeroes 256 KiB, longer than compressing 4 KiB takes.
    static DEFLATE: RefCell<Option<(i32, Compress)>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

fn compress(compression: Compression, data: &[u8]) -> Result<Vec<u8>> {
    match compression {
        Compression::Deflate(level) => DEFLATE.with_borrow_mut(|state| deflate(state, level, data)),
        Compression::Zstd(level) => ZSTD.with_borrow_mut(|state| {
            if state.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
                *state = Some((level, zstd::bulk::Compressor::new(level)?));
            }
            let (_, compressor) = state.as_mut().expect("just made");
            Ok(compressor.compress(data)?)
        }),
    }
}

fn deflate(state: &mut Option<(i32, Compress)>, level: i32, data: &[u8]) -> Result<Vec<u8>> {
    if state.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
        let flate = u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
        *state = Some((level, Compress::new(flate, true)));
    }
    let (_, compress) = state.as_mut().expect("just made");
    compress.reset();
    // zlib's own bound, so one call always finishes.
    let mut out = Vec::with_capacity(data.len() + (data.len() >> 10) + 64);
    loop {
        let taken = compress.total_in() as usize;
        match compress.compress_vec(&data[taken..], &mut out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return Ok(out),
            Ok(_) => out.reserve(data.len().max(64)),
            Err(error) => return Err(Error::failed(format!("zlib: {error}"))),
        }
    }
}

/// One whole zlib stream that holds exactly `block_size` bytes; no more than that is ever made room for.
fn inflate(body: &[u8], block_size: usize) -> Result<Bytes, String> {
    let mut out = Vec::with_capacity(block_size + 1);
    let mut state = Decompress::new(true);
    match state.decompress_vec(body, &mut out, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) if state.total_in() == body.len() as u64 => Ok(out.into()),
        Ok(Status::StreamEnd) => Err("bytes follow its zlib stream".into()),
        Ok(_) if out.len() > block_size => Err(format!("it holds more bytes than the block size {block_size}")),
        Ok(_) => Err("its zlib stream is cut short".into()),
        Err(error) => Err(format!("its zlib stream is damaged: {error}")),
    }
}

fn unzstd(body: &[u8], block_size: usize) -> Result<Bytes, String> {
    let mut out = Vec::with_capacity(block_size);
    // One frame after another until the body ends, as the one-shot call of the C library does.
    match zstd::zstd_safe::decompress(&mut out, body).map_err(zstd::zstd_safe::get_error_name) {
        Ok(_) => Ok(out.into()),
        Err(error) => Err(format!("its zstd frame is damaged or longer than the block size {block_size}: {error}")),
    }
}

mod weightless;

#[cfg(test)]
mod tests;
