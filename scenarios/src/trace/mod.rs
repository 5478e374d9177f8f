//! Recorded I/O: opens a trace in any known format and yields normalised operations.
//!
//! Formats are recognised by content, never by extension; gzip and zstd are unpacked on the way. Reading is a stream:
//! memory does not depend on the trace's length. A record that cannot be right ends the trace with an error that says
//! which record, at which byte. Adding a format is one file and one line in [`Trace::open`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::op::{Op, OpKind};

mod blktrace;
mod source;
mod vscsi;

use source::Source;

/// The formats this build reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    VscsiV1,
    VscsiV2,
    /// With the letter of the event that stands for a request: Q, D or C.
    Blktrace(char),
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VscsiV1 => f.write_str("vscsi v1"),
            Self::VscsiV2 => f.write_str("vscsi v2"),
            Self::Blktrace(event) => write!(f, "blktrace binary ({event} events)"),
        }
    }
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{path}: {what}", path = path.display())]
    Open { path: PathBuf, what: String },
    #[error(
        "{path}: no known trace format (begins with {head}); known: vscsi v1 and v2, blktrace binary, each plain, \
         gzip or zstd", path = path.display()
    )]
    Unknown { path: PathBuf, head: String },
    #[error("{path}: {what}", path = path.display())]
    Empty { path: PathBuf, what: String },
    /// Records count from 1, bytes from 0 of the unpacked file.
    #[error("{path}: record {record} at byte {byte}: {what}", path = path.display())]
    Record { path: PathBuf, record: u64, byte: u64, what: String },
}

impl TraceError {
    fn open(path: &Path, error: &io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "no such trace file".into(),
            io::ErrorKind::UnexpectedEof => "cut short within its compressed head; copy it again".into(),
            _ => format!("cannot be opened: {error}"),
        };
        Self::Open { path: path.to_owned(), what }
    }
}

/// What a reader left out or mended, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Records that ask for no data: other SCSI commands, passthrough.
    pub other: u64,
    /// Reads, writes and discards of no bytes.
    pub empty: u64,
    /// Times before their predecessor's, taken as equal to it.
    pub back_in_time: u64,
}

/// An operation as recorded: absolute time, any length; its end fits in 64 bits.
type RawOp = Op;

/// One format's reader.
trait RawOps: Send {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError>;
    fn skipped(&self) -> Skipped;
}

/// A recorded workload: an iterator that ends after its first error.
pub struct Trace {
    format: Format,
    raw: Box<dyn RawOps>,
    skipped: Skipped,
    /// Time of the first record and of the one before.
    first_ns: Option<u64>,
    last_ns: u64,
    ended: bool,
}

impl Trace {
    /// Opens a trace. Any one of a blktrace recording's files (`NAME.blktrace.CPU`), or its NAME, stands for all.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        if !path.is_file() {
            let files = blktrace::files_of_base(path);
            if files.is_empty() && path.is_dir() {
                let what = "is a directory; name a trace file in it".into();
                return Err(TraceError::Open { path: path.to_owned(), what });
            }
            if !files.is_empty() {
                return Self::open_blktrace(files);
            }
        }
        let source = Source::open(path)?;
        // A CPU that stayed idle leaves an empty file among its siblings.
        let files = blktrace::siblings(path);
        if blktrace::recognise(source.head()) || (source.is_empty() && files.len() > 1) {
            return Self::open_blktrace(files);
        }
        Self::single(source)
    }

    /// Reads a trace from memory, for tests and pipes; blktrace then has one file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, TraceError> {
        let open = |_| Source::from_reader(Path::new("memory"), Box::new(io::Cursor::new(bytes.clone())));
        let source = open(0)?;
        if blktrace::recognise(source.head()) {
            return Self::of_blktrace(blktrace::Blktrace::open(1, open)?);
        }
        Self::single(source)
    }

    fn open_blktrace(files: Vec<PathBuf>) -> Result<Self, TraceError> {
        Self::of_blktrace(blktrace::Blktrace::open(files.len(), |n| Source::open(&files[n]))?)
    }

    fn of_blktrace(raw: blktrace::Blktrace) -> Result<Self, TraceError> {
        Ok(Self::new(Format::Blktrace(raw.event().letter()), Box::new(raw)))
    }

    fn single(source: Source) -> Result<Self, TraceError> {
        if source.is_empty() {
            return Err(TraceError::Empty { path: source.path().to_owned(), what: "the file is empty".into() });
        }
        let Some(version) = vscsi::recognise(source.head()) else {
            let head = source.head().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            return Err(TraceError::Unknown { path: source.path().to_owned(), head });
        };
        let format = match version {
            vscsi::Version::V1 => Format::VscsiV1,
            vscsi::Version::V2 => Format::VscsiV2,
        };
        Ok(Self::new(format, Box::new(vscsi::Vscsi::new(source, version))))
    }

    fn new(format: Format, raw: Box<dyn RawOps>) -> Self {
        Self { format, raw, skipped: Skipped::default(), first_ns: None, last_ns: 0, ended: false }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// What was left out or mended so far.
    pub fn skipped(&self) -> Skipped {
        Skipped { other: self.raw.skipped().other, ..self.skipped }
    }

    fn step(&mut self) -> Result<Option<Op>, TraceError> {
        while let Some(mut op) = self.raw.next()? {
            if op.kind == OpKind::Flush {
                (op.offset, op.len) = (0, 0);
            } else if op.len == 0 {
                self.skipped.empty += 1;
                continue;
            }
            let first = *self.first_ns.get_or_insert(op.time_ns);
            let time_ns = op.time_ns.saturating_sub(first);
            if op.time_ns < first || time_ns < self.last_ns {
                self.skipped.back_in_time += 1;
            }
            self.last_ns = self.last_ns.max(time_ns);
            return Ok(Some(Op { time_ns: self.last_ns, ..op }));
        }
        Ok(None)
    }
}

impl Iterator for Trace {
    type Item = Result<Op, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests;
