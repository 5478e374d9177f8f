//! A file that is packed on the way, or not.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const ZSTD_LEVEL: i32 = 3;

/// How a file is packed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    Plain,
    Gzip,
    Zstd,
}

pub enum Packed<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Packed<W> {
    /// # Errors
    /// No memory for the compressor.
    pub fn new(pack: Pack, out: W) -> io::Result<Self> {
        Ok(match pack {
            Pack::Plain => Self::Plain(out),
            Pack::Gzip => Self::Gzip(GzEncoder::new(out, Compression::default())),
            Pack::Zstd => Self::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
        })
    }

    /// Ends the compressed stream; without this it is torn.
    ///
    /// # Errors
    /// Whatever the file answers.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
