//! Recorded I/O: opens a trace in any known format and yields normalised operations.
//!
//! Formats are recognised by content, never by extension; gzip and zstd are unpacked on the way. Reading is a stream:
//! memory does not depend on the trace's length. A record that cannot be right ends the trace with an error that says
//! which record or line, at which byte. A format is one file, a line in [`recognise`] and one in [`Trace::open_with`].

use std::io;
use std::path::{Path, PathBuf};

use crate::op::{Op, OpKind};

mod alibaba;
mod arc;
mod ascii;
mod blkparse;
mod blktrace;
mod cloudphysics;
mod csv;
mod devices;
mod event;
mod fields;
mod format;
mod iolog;
mod msr;
mod options;
mod oracle;
mod recognise;
pub mod s3bt;
mod seconds;
mod source;
mod spc;
mod tencent;
mod text;
mod vscsi;
pub mod write;

pub use format::Format;
pub use options::{Options, TimeUnit, WaitMeaning};

use event::Event;
use recognise::Verdict;
use source::Source;
use text::{LineFormat, Text};

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{path}: {what}", path = path.display())]
    Open { path: PathBuf, what: String },
    #[error(
        "{path}: no known trace format (begins with {head}); known: s3bt, fio iolog v2 and v3, blktrace binary, \
         blkparse text, vscsi, the csv of MSR, SPC, Alibaba, Tencent and CloudPhysics, MQSim, SSDSim and DiskSim ascii, \
         ARC lis, oracleGeneral, each plain, gzip or zstd", path = path.display()
    )]
    Unknown { path: PathBuf, head: String },
    #[error(
        "{path}: could be {candidates}; name the one it is, for example --from {first}", path = path.display(),
        candidates = candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        first = candidates.first().map_or("csv", |format| format.name())
    )]
    Ambiguous { path: PathBuf, candidates: Vec<Format> },
    #[error("{path}: {what}", path = path.display())]
    Empty { path: PathBuf, what: String },
    /// Records count from 1, bytes from 0 of the unpacked file.
    #[error("{path}: record {record} at byte {byte}: {what}", path = path.display())]
    Record { path: PathBuf, record: u64, byte: u64, what: String },
    /// The same for text; lines count from 1.
    #[error("{path}: line {line} at byte {byte}: {what}", path = path.display())]
    Line { path: PathBuf, line: u64, byte: u64, what: String },
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
    /// Operations that the recorder says it left out; of the kernel's tracer, events, of which an operation has several.
    pub dropped: u64,
}

/// An operation as recorded: absolute time, any length; its end fits in 64 bits.
type RawOp = Op;

/// One format's reader.
trait RawOps: Send {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError>;
    fn skipped(&self) -> Skipped;

    /// What the recording says of itself.
    fn recording(&self) -> Option<s3bt::Header> {
        None
    }

    /// Why the recording ended, known at the end of the trace; nothing: it was cut off.
    fn ending(&self) -> Option<s3bt::EndReason> {
        Some(s3bt::EndReason::Complete)
    }

    /// What a person should know of how it was recorded; complete at the end.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A recorded workload: an iterator that ends after its first error.
pub struct Trace {
    format: Format,
    raw: Box<dyn RawOps>,
    skipped: Skipped,
    /// Time of the first record and of the one before.
    first_ns: Option<u64>,
    last_ns: u64,
    /// By the reader's number of a device, ours: its first operation may have been left out.
    devices: Vec<Option<u32>>,
    devices_seen: u32,
    ended: bool,
}

/// One file, or all files of a blktrace recording; opened more than once where a format needs two passes.
type Opener<'a> = dyn Fn(usize) -> Result<Source, TraceError> + 'a;

impl Trace {
    /// Opens a trace. Any one of a blktrace recording's files (`NAME.blktrace.CPU`), or its NAME, stands for all.
    ///
    /// # Errors
    /// No such file, not a trace, or a trace without anything in it.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::open_with(path, &Options::default())
    }

    /// The same, with what the content does not tell.
    ///
    /// # Errors
    /// As [`Trace::open`].
    pub fn open_with(path: &Path, options: &Options) -> Result<Self, TraceError> {
        let mut files = vec![path.to_owned()];
        if !path.is_file() {
            let named = blktrace::files_of_base(path);
            if named.is_empty() && path.is_dir() {
                let what = "is a directory; name a trace file in it".into();
                return Err(TraceError::Open { path: path.to_owned(), what });
            }
            if !named.is_empty() {
                files = named;
            }
        }
        let source = Source::open(&files[0])?;
        // A CPU that stayed idle leaves an empty file among its siblings.
        if blktrace::recognise(source.head()) || source.is_empty() {
            files = blktrace::siblings(&files[0]);
        }
        Self::read(source, files.len(), &|n| Source::open(&files[n]), options)
    }

    /// Reads a trace from memory, for tests and pipes; blktrace then has one file.
    ///
    /// # Errors
    /// As [`Trace::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, TraceError> {
        Self::from_bytes_with(bytes, &Options::default())
    }

    /// The same, with what the content does not tell.
    ///
    /// # Errors
    /// As [`Trace::open`].
    pub fn from_bytes_with(bytes: Vec<u8>, options: &Options) -> Result<Self, TraceError> {
        let open = |_| Source::from_reader(Path::new("memory"), Box::new(io::Cursor::new(bytes.clone())));
        Self::read(open(0)?, 1, &open, options)
    }

    fn read(source: Source, files: usize, open: &Opener<'_>, options: &Options) -> Result<Self, TraceError> {
        let path = || source.path().to_owned();
        let verdict = recognise::recognise(source.head(), source.head_is_all());
        let format = match (options.format, verdict) {
            _ if source.is_empty() && files == 1 => {
                return Err(TraceError::Empty { path: path(), what: "the file is empty".into() });
            }
            (Some(format), _) | (None, Verdict::Known(format)) => format,
            // Its siblings tell.
            _ if source.is_empty() => Format::Blktrace('Q'),
            (None, Verdict::Ambiguous(candidates)) => return Err(TraceError::Ambiguous { path: path(), candidates }),
            (None, Verdict::Unknown) => return Err(TraceError::Unknown { path: path(), head: shown(source.head()) }),
        };
        // An event is a demand only if it was asked for.
        let wanted = |letter| options.format.and(Event::of_letter(letter));
        let (format, raw): (Format, Box<dyn RawOps>) = match format {
            Format::Blktrace(letter) => {
                let raw = blktrace::Blktrace::open(files, open, wanted(letter))?;
                (Format::Blktrace(raw.event().letter()), Box::new(raw))
            }
            Format::Blkparse(letter) => {
                let (event, raw) = blkparse::open(|| open(0), wanted(letter))?;
                (Format::Blkparse(event.letter()), raw)
            }
            Format::VscsiV1 => (format, Box::new(vscsi::Vscsi::new(source, vscsi::Version::V1))),
            Format::VscsiV2 => (format, Box::new(vscsi::Vscsi::new(source, vscsi::Version::V2))),
            Format::OracleGeneral => (format, Box::new(oracle::Oracle::new(source))),
            Format::S3bt => (format, Box::new(s3bt::S3bt::open(source)?)),
            _ => (format, Box::new(Text::new(source, line_format(format, options)))),
        };
        let raw = if format.has_whole_seconds() { Box::new(seconds::WholeSeconds::new(raw)) } else { raw };
        Ok(Self::new(format, raw))
    }

    fn new(format: Format, raw: Box<dyn RawOps>) -> Self {
        let (skipped, first_ns, last_ns) = (Skipped::default(), None, 0);
        Self { format, raw, skipped, first_ns, last_ns, devices: Vec::new(), devices_seen: 0, ended: false }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// What was left out or mended so far.
    pub fn skipped(&self) -> Skipped {
        let raw = self.raw.skipped();
        let (other, dropped, empty) = (raw.other, raw.dropped, self.skipped.empty);
        Skipped { other, empty, back_in_time: raw.back_in_time + self.skipped.back_in_time, dropped }
    }

    /// The volume that was recorded and when, if the format says so.
    pub fn recording(&self) -> Option<s3bt::Header> {
        self.raw.recording()
    }

    /// Why the recording ended; nothing: it was cut off, or is not read to its end.
    pub fn ending(&self) -> Option<s3bt::EndReason> {
        self.raw.ending().filter(|_| self.ended)
    }

    /// When the first operation came by the recording's own count, from which ours starts; 0 before it is read.
    pub fn first_ns(&self) -> u64 {
        self.first_ns.unwrap_or(0)
    }

    /// What a person should know of how this was recorded: sentences without a full stop. Complete once the trace is
    /// read to its end.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        match (self.skipped().dropped, self.format) {
            (0, _) => {}
            (events, Format::Blkparse(_)) => {
                notices.push(format!("the tracer lost {events} events; operations are missing"));
            }
            (ops, _) => notices.push(format!("the recorder could not keep up and dropped {ops} operations")),
        }
        notices.extend(self.raw.notices());
        if !self.format.has_times() {
            notices.push(format!("{} has no times: everything happens at once", self.format));
        }
        if self.format.has_whole_seconds() {
            notices.push(format!("{} has whole seconds only: what shares one is spread evenly over it", self.format));
        }
        notices
    }

    /// Readers number their devices densely as well, so this is as small as their number.
    fn device_number(&mut self, theirs: u32) -> u32 {
        let theirs = theirs as usize;
        if self.devices.len() <= theirs {
            self.devices.resize(theirs + 1, None);
        }
        let number = *self.devices[theirs].get_or_insert(self.devices_seen);
        self.devices_seen = self.devices_seen.max(number + 1);
        number
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
            return Ok(Some(Op { time_ns: self.last_ns, device: self.device_number(op.device), ..op }));
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

fn line_format(format: Format, options: &Options) -> Box<dyn LineFormat> {
    const SECTOR: u64 = 512;
    let block_bytes = options.block_bytes.unwrap_or(SECTOR).max(1);
    match format {
        Format::FioV2 => Box::new(iolog::Iolog::v2(options.wait)),
        Format::FioV3 => Box::new(iolog::Iolog::v3()),
        Format::Msr => Box::<msr::Msr>::default(),
        Format::Spc => Box::new(spc::Spc::new(block_bytes)),
        Format::Alibaba => Box::<alibaba::Alibaba>::default(),
        Format::Tencent => Box::<tencent::Tencent>::default(),
        Format::CloudPhysics => Box::new(cloudphysics::CloudPhysics),
        Format::MqSim => Box::new(ascii::Ascii::mqsim(options.time_unit)),
        Format::DiskSim => Box::new(ascii::Ascii::disksim(options.time_unit)),
        Format::Arc => Box::new(arc::Arc::new(block_bytes)),
        // Csv of our own; the binary formats have readers of their own and never get here.
        _ => Box::<csv::Csv>::default(),
    }
}

/// The first bytes for a message: text as text, the rest in hexadecimal, and what other packings begin with by name.
fn shown(head: &[u8]) -> String {
    let packings: [(&[u8], &str); 3] = [(b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"PK\x03\x04", "zip")];
    if let Some((_, name)) = packings.iter().find(|(magic, _)| head.starts_with(magic)) {
        return format!("the marks of {name}: unpack it first");
    }
    if recognise::is_text(head) {
        let line = head.split(|byte| *byte == b'\n').map(text::trimmed).find(|line| !line.is_empty());
        return fields::quoted(line.unwrap_or_default());
    }
    head.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
