//! Writes operations as a trace that others, or we, read again.
//!
//! Streams: holds one frame or less. Packing the file as a whole is [`Packed`]'s business.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use super::s3bt::{Encoder, EndReason, Frame, Header, Packing, Statement};
use super::{csv, iolog};
use crate::op::{Op, OpKind};

mod packed;

pub use packed::{Pack, Packed};

/// The formats this build writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    S3bt,
    FioV3,
    Csv,
}

impl OutputFormat {
    pub const ALL: [OutputFormat; 3] = [Self::S3bt, Self::FioV3, Self::Csv];

    /// How a file of this format is called.
    pub fn extension(self) -> &'static str {
        match self {
            Self::S3bt => "s3bt",
            Self::FioV3 => "iolog",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3bt => "s3bt",
            Self::FioV3 => "fio iolog v3",
            Self::Csv => "csv",
        })
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(text));
        found.ok_or_else(|| "is none of s3bt, iolog, csv".into())
    }
}

/// One trace being written.
pub trait TraceWriter<W> {
    /// # Errors
    /// Whatever the file answers.
    fn write(&mut self, op: &Op) -> io::Result<()>;

    /// Says that so many operations are missing here, if the format can.
    ///
    /// # Errors
    /// Whatever the file answers.
    fn dropped(&mut self, _ops: u64) -> io::Result<()> {
        Ok(())
    }

    /// Writes what is held back and gives the file back. Without this the trace is incomplete. `ending`: why what was
    /// recorded ends here, if the format can say so; nothing: it was cut off.
    ///
    /// # Errors
    /// Whatever the file answers.
    fn finish(self: Box<Self>, ending: Option<EndReason>) -> io::Result<W>;

    /// What the format cannot say and was written otherwise: sentences without a full stop.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Begins a trace. `packing` is for s3bt's frames; `header` tells what is known of a recording.
///
/// # Errors
/// Whatever the file answers.
pub fn writer<W: Write + 'static>(
    format: OutputFormat,
    header: Header,
    packing: Packing,
    mut out: W,
) -> io::Result<Box<dyn TraceWriter<W>>> {
    Ok(match format {
        OutputFormat::S3bt => {
            out.write_all(&header.encode())?;
            Box::new(S3btWriter { encoder: Encoder::new(&header), packing, out })
        }
        OutputFormat::FioV3 => {
            out.write_all(iolog::HEADER_V3)?;
            out.write_all(b"\n")?;
            Box::new(IologWriter { out, known: Vec::new(), flags_as_syncs: 0, split: 0, last_us: 0 })
        }
        OutputFormat::Csv => {
            writeln!(out, "{}", csv::HEADER)?;
            Box::new(CsvWriter(out))
        }
    })
}

struct S3btWriter<W> {
    encoder: Encoder,
    packing: Packing,
    out: W,
}

impl<W: Write> S3btWriter<W> {
    fn put(&mut self, frame: Option<Frame>) -> io::Result<()> {
        frame.map_or(Ok(()), |frame| self.out.write_all(&frame.seal(self.packing)))
    }

    /// Behind all operations so far.
    fn state(&mut self, statement: Statement) -> io::Result<()> {
        let rest = self.encoder.rest();
        self.put(rest)?;
        self.out.write_all(&Frame::stating(statement).seal(Packing::Plain))
    }
}

impl<W: Write> TraceWriter<W> for S3btWriter<W> {
    fn write(&mut self, op: &Op) -> io::Result<()> {
        let full = self.encoder.push(op);
        self.put(full)
    }

    fn dropped(&mut self, ops: u64) -> io::Result<()> {
        self.state(Statement::Dropped(ops))
    }

    fn finish(mut self: Box<Self>, ending: Option<EndReason>) -> io::Result<W> {
        match ending {
            Some(reason) => self.state(Statement::Ended { reason, ops: self.encoder.total() })?,
            None => {
                let rest = self.encoder.rest();
                self.put(rest)?;
            }
        }
        Ok(self.out)
    }
}

struct CsvWriter<W>(W);

impl<W: Write> TraceWriter<W> for CsvWriter<W> {
    fn write(&mut self, op: &Op) -> io::Result<()> {
        let flags = match (op.flush_before, op.durable) {
            (false, false) => "",
            (true, false) => csv::FLUSH_BEFORE,
            (false, true) => csv::DURABLE,
            (true, true) => "flush_before+durable",
        };
        let Op { time_ns, device, kind, offset, len, .. } = op;
        writeln!(self.0, "{time_ns},{device},{},{offset},{len},{flags}", kind.name())
    }

    fn finish(self: Box<Self>, _: Option<EndReason>) -> io::Result<W> {
        Ok(self.0)
    }
}

/// fio reads lengths as 32-bit numbers; longer operations become several.
const MAX_IOLOG_LEN: u64 = 1 << 31;

struct IologWriter<W> {
    out: W,
    /// By device: whether fio was told of it.
    known: Vec<bool>,
    flags_as_syncs: u64,
    split: u64,
    last_us: u64,
}

impl<W: Write> IologWriter<W> {
    fn line(&mut self, op: &Op, action: &str, offset: u64, len: u64) -> io::Result<()> {
        writeln!(self.out, "{} device{} {action} {offset} {len}", op.time_ns / 1000, op.device)
    }
}

impl<W: Write> TraceWriter<W> for IologWriter<W> {
    fn write(&mut self, op: &Op) -> io::Result<()> {
        let (time_us, device) = (op.time_ns / 1000, op.device as usize);
        if self.known.len() <= device {
            self.known.resize(device + 1, false);
        }
        if !self.known[device] {
            self.known[device] = true;
            writeln!(self.out, "{time_us} device{device} add\n{time_us} device{device} open")?;
        }
        self.last_us = time_us;
        let action = match op.kind {
            OpKind::Read => "read",
            OpKind::Write => "write",
            OpKind::Discard => "trim",
            OpKind::Flush => "sync",
        };
        self.flags_as_syncs += u64::from(op.flush_before || op.durable);
        if op.flush_before {
            self.line(op, "sync", 0, 0)?;
        }
        self.split += u64::from(op.len > MAX_IOLOG_LEN);
        let mut done = 0;
        loop {
            let len = (op.len - done).min(MAX_IOLOG_LEN);
            self.line(op, action, op.offset + done, len)?;
            done += len;
            if done >= op.len {
                break;
            }
        }
        if op.durable { self.line(op, "sync", 0, 0) } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>, _: Option<EndReason>) -> io::Result<W> {
        for device in (0..self.known.len()).filter(|device| self.known[*device]) {
            writeln!(self.out, "{} device{device} close", self.last_us)?;
        }
        Ok(self.out)
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = vec!["fio iolog v3 keeps times to the microsecond".to_owned()];
        if self.flags_as_syncs > 0 {
            notices.push(format!("{} writes with PREFLUSH or FUA have sync lines beside them", self.flags_as_syncs));
        }
        if self.split > 0 {
            notices.push(format!("{} operations longer than 2 GiB were split", self.split));
        }
        notices
    }
}

#[cfg(test)]
mod tests;
