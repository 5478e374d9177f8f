//! A trace file as a stream of fixed-size records: opened, unpacked, and counted, so that an error can say where.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::TraceError;

pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Enough to recognise every format: two vscsi v2 records.
pub const HEAD_BYTES: usize = 80;

/// The unpacked bytes of one file.
pub struct Source {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    head: Vec<u8>,
    /// Bytes of `head` handed out.
    head_used: usize,
    /// Unpacked bytes handed out.
    position: u64,
    /// Records begun.
    records: u64,
    /// Where the record last begun starts.
    record_start: u64,
}

impl Source {
    /// Opens a plain, gzip or zstd file, told apart by content.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|error| TraceError::open(path, &error))?;
        Self::from_reader(path, Box::new(file))
    }

    /// The same, from any reader; `path` is for messages.
    pub fn from_reader(path: &Path, raw: Box<dyn Read + Send>) -> Result<Self, TraceError> {
        let failed = |error: io::Error| TraceError::open(path, &error);
        let mut raw = BufReader::new(raw);
        let magic = read_up_to(&mut raw, ZSTD_MAGIC.len()).map_err(failed)?;
        let zstd = magic == ZSTD_MAGIC;
        let gzip = magic.starts_with(&GZIP_MAGIC);
        let whole = io::Cursor::new(magic).chain(raw);
        let mut reader: Box<dyn Read + Send> = if zstd {
            Box::new(BufReader::new(zstd::Decoder::new(whole).map_err(failed)?))
        } else if gzip {
            Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        let head = read_up_to(&mut reader, HEAD_BYTES).map_err(failed)?;
        Ok(Self { path: path.to_owned(), reader, head, head_used: 0, position: 0, records: 0, record_start: 0 })
    }

    /// The first bytes, up to [`HEAD_BYTES`], whatever has been read since.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the next record's fixed part; false at the end of the file. Half a record is an error.
    pub fn record(&mut self, out: &mut [u8]) -> Result<bool, TraceError> {
        self.records += 1;
        self.record_start = self.position;
        let got = self.fill(out)?;
        if got == 0 {
            self.records -= 1;
            return Ok(false);
        }
        if got < out.len() {
            return Err(
                self.error(format!("cut short: {got} of {} bytes; the file is truncated, copy it again", out.len()))
            );
        }
        self.position += got as u64;
        Ok(true)
    }

    /// Passes over `count` bytes that belong to the record just read.
    pub fn skip(&mut self, mut count: usize) -> Result<(), TraceError> {
        let mut waste = [0u8; 512];
        while count > 0 {
            let part = count.min(waste.len());
            let got = self.fill(&mut waste[..part])?;
            if got < part {
                return Err(
                    self.error(format!("cut short {} bytes before its end; the file is truncated", count - got))
                );
            }
            self.position += got as u64;
            count -= got;
        }
        Ok(())
    }

    /// Whether nothing was read yet and nothing can be.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// An error about the record last begun.
    pub fn error(&self, what: impl Into<String>) -> TraceError {
        let (path, record, byte) = (self.path.clone(), self.records, self.record_start);
        TraceError::Record { path, record, byte, what: what.into() }
    }

    /// The byte offset of a range that starts at a 512-byte sector, if its end fits in 64 bits as well.
    pub fn offset_of(&self, sector: u64, len: u64) -> Result<u64, TraceError> {
        let offset = sector.checked_mul(512).filter(|offset| offset.checked_add(len).is_some());
        offset.ok_or_else(|| self.error(format!("{len} bytes at sector {sector} lie beyond 64-bit byte offsets")))
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, TraceError> {
        let from_head = (self.head.len() - self.head_used).min(out.len());
        out[..from_head].copy_from_slice(&self.head[self.head_used..self.head_used + from_head]);
        self.head_used += from_head;
        let mut got = from_head;
        while got < out.len() {
            match self.reader.read(&mut out[got..]) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(format!("cannot be read or unpacked: {error}"))),
            }
        }
        Ok(got)
    }
}

fn read_up_to(reader: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Little-endian fields of a record.
pub fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

pub fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from(u16_at(record, at)) | u32::from(u16_at(record, at + 2)) << 16
}

pub fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}
