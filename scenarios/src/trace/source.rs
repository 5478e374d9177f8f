//! A trace file as a stream of records or lines: opened, unpacked, and counted, so that an error can say where.
//!
//! Holds one buffer, whatever the length of the file or of its lines.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::TraceError;

pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What is looked at to recognise a format: some hundred lines or records.
pub const HEAD_BYTES: usize = 32 << 10;

/// The longest line; blkparse's messages stay below 1 KiB.
const LINE_BYTES: usize = 16 << 10;

/// The unpacked bytes of one file.
pub struct Source {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where in `buffer` the bytes not handed out begin.
    start: usize,
    /// What went wrong behind the bytes in `buffer`.
    deferred: Option<io::Error>,
    /// Unpacked bytes handed out.
    position: u64,
    /// Records or lines begun.
    records: u64,
    /// Where the record last begun starts.
    record_start: u64,
    /// Whether it is read by lines.
    by_lines: bool,
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
        let mut magic = Vec::new();
        raw.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed)?;
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
        let mut buffer = Vec::with_capacity(HEAD_BYTES);
        let deferred = reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut buffer).err();
        if let (true, Some(error)) = (buffer.is_empty(), &deferred) {
            return Err(failed(io::Error::new(error.kind(), error.to_string())));
        }
        let (position, records, record_start) = (0, 0, 0);
        let (path, start, by_lines) = (path.to_owned(), 0, false);
        Ok(Self { path, reader, buffer, start, deferred, position, records, record_start, by_lines })
    }

    /// The first bytes, up to [`HEAD_BYTES`]; to be asked before anything is read.
    pub fn head(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether the head is all there is.
    pub fn head_is_all(&self) -> bool {
        self.buffer.len() < HEAD_BYTES && self.deferred.is_none()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unpacked bytes handed out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next record's fixed part; false at the end of the file. Half a record is an error.
    pub fn record(&mut self, out: &mut [u8]) -> Result<bool, TraceError> {
        self.records += 1;
        self.record_start = self.position;
        let got = self.read_up_to(out)?;
        if got == 0 {
            self.records -= 1;
            return Ok(false);
        }
        if got < out.len() {
            return Err(
                self.error(format!("cut short: {got} of {} bytes; the file is truncated, copy it again", out.len()))
            );
        }
        Ok(true)
    }

    /// Reads the next line without its end (`\n` or `\r\n`); false at the end of the file. The last line may have none.
    pub fn line(&mut self, out: &mut Vec<u8>) -> Result<bool, TraceError> {
        out.clear();
        self.by_lines = true;
        self.records += 1;
        self.record_start = self.position;
        while self.start < self.buffer.len() || self.refill()? {
            let rest = &self.buffer[self.start..];
            let (len, whole) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (rest.len(), false),
            };
            if out.len() + len > LINE_BYTES {
                return Err(self.error(format!("longer than {LINE_BYTES} bytes: not a line of any trace format")));
            }
            out.extend_from_slice(&rest[..len]);
            self.start += len;
            self.position += len as u64;
            if whole {
                out.pop();
                break;
            }
        }
        if self.position == self.record_start {
            self.records -= 1;
            return Ok(false);
        }
        if out.last() == Some(&b'\r') {
            out.pop();
        }
        Ok(true)
    }

    /// Passes over `count` bytes that belong to the record just read.
    pub fn skip(&mut self, mut count: usize) -> Result<(), TraceError> {
        let mut waste = [0u8; 512];
        while count > 0 {
            let part = count.min(waste.len());
            let got = self.read_up_to(&mut waste[..part])?;
            if got < part {
                return Err(
                    self.error(format!("cut short {} bytes before its end; the file is truncated", count - got))
                );
            }
            count -= got;
        }
        Ok(())
    }

    /// Whether nothing was read yet and nothing can be.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// An error about the record or line last begun.
    pub fn error(&self, what: impl Into<String>) -> TraceError {
        let (path, record, byte, what) = (self.path.clone(), self.records, self.record_start, what.into());
        if self.by_lines {
            TraceError::Line { path, line: record, byte, what }
        } else {
            TraceError::Record { path, record, byte, what }
        }
    }

    /// The byte offset of a range that starts at a 512-byte sector, if its end fits in 64 bits as well.
    pub fn offset_of(&self, sector: u64, len: u64) -> Result<u64, TraceError> {
        let offset = sector.checked_mul(512).filter(|offset| offset.checked_add(len).is_some());
        offset.ok_or_else(|| self.error(format!("{len} bytes at sector {sector} lie beyond 64-bit byte offsets")))
    }

    /// Fills `out`, less only at the end of the file; answers how much.
    pub fn read_up_to(&mut self, out: &mut [u8]) -> Result<usize, TraceError> {
        let mut got = 0;
        while got < out.len() && (self.start < self.buffer.len() || self.refill()?) {
            let part = (self.buffer.len() - self.start).min(out.len() - got);
            out[got..got + part].copy_from_slice(&self.buffer[self.start..self.start + part]);
            self.start += part;
            got += part;
        }
        self.position += got as u64;
        Ok(got)
    }

    /// Reads on once the buffer is used up; false at the end of the file.
    fn refill(&mut self) -> Result<bool, TraceError> {
        let result = match self.deferred.take() {
            Some(error) => Err(error),
            None => {
                self.buffer.resize(HEAD_BYTES, 0);
                loop {
                    match self.reader.read(&mut self.buffer) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => break result,
                    }
                }
            }
        };
        self.start = 0;
        self.buffer.truncate(*result.as_ref().unwrap_or(&0));
        match result {
            Ok(count) => Ok(count > 0),
            Err(error) => Err(self.error(format!("cannot be read or unpacked: {error}"))),
        }
    }
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
