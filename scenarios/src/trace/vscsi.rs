//! VMware vscsiStats binary traces (CloudPhysics), v1 and v2: little-endian records without any header.
//!
//! A record's fields sit at fixed places; only the version field can tell the format, so every record is held to it.

use super::source::{Source, u16_at, u32_at, u64_at};
use super::{RawOp, RawOps, Skipped, TraceError};
use crate::op::OpKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    fn record_len(self) -> usize {
        match self {
            Self::V1 => 32,
            Self::V2 => 40,
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    fn command_at(self) -> usize {
        match self {
            Self::V1 => 12,
            Self::V2 => 0,
        }
    }

    fn len_at(self) -> usize {
        match self {
            Self::V1 => 4,
            Self::V2 => 8,
        }
    }

    /// Whether a record says it is of this version, with a command that fits in SCSI's one byte.
    fn fits(self, record: &[u8]) -> bool {
        let at = self.command_at();
        u16_at(record, at + 2) >> 8 == self.number() && u16_at(record, at) <= 0xff
    }
}

/// v2 is looked for first, on the first two records; then v1.
pub fn recognise(head: &[u8]) -> Option<Version> {
    [Version::V2, Version::V1].into_iter().find(|version| {
        let mut records = head.chunks_exact(version.record_len()).take(2).peekable();
        records.peek().is_some() && records.all(|record| version.fits(record))
    })
}

/// What a SCSI opcode asks for.
pub enum Command {
    Data(OpKind),
    /// No data of the disk.
    Other,
}

/// READ and WRITE of 6, 10, 12 and 16 bytes, SYNCHRONIZE CACHE of 10 and 16.
pub fn command(opcode: u16) -> Command {
    match opcode {
        0x08 | 0x28 | 0x88 | 0xa8 => Command::Data(OpKind::Read),
        0x0a | 0x2a | 0x8a | 0xaa => Command::Data(OpKind::Write),
        0x35 | 0x91 => Command::Data(OpKind::Flush),
        _ => Command::Other,
    }
}

pub struct Vscsi {
    source: Source,
    version: Version,
    skipped: Skipped,
}

impl Vscsi {
    pub fn new(source: Source, version: Version) -> Self {
        Self { source, version, skipped: Skipped::default() }
    }

    fn decode(&mut self, record: &[u8]) -> Result<Option<RawOp>, TraceError> {
        let version = self.version;
        if !version.fits(record) {
            let (number, at) = (version.number(), version.command_at());
            let what = format!(
                "version field {:04x}, command {:04x}: not a vscsi v{number} record as the first ones are",
                u16_at(record, at + 2),
                u16_at(record, at)
            );
            return Err(self.source.error(what));
        }
        let Command::Data(kind) = command(u16_at(record, version.command_at())) else {
            self.skipped.other += 1;
            return Ok(None);
        };
        let (sector, time_us) = (u64_at(record, 16), u64_at(record, 24));
        let Some(time_ns) = time_us.checked_mul(1000) else {
            return Err(self.source.error(format!("time {time_us} us is not a time")));
        };
        let len = u64::from(u32_at(record, version.len_at()));
        let offset = self.source.offset_of(sector, len)?;
        Ok(Some(RawOp::new(time_ns, kind, offset, len)))
    }
}

impl RawOps for Vscsi {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        let mut buffer = [0; 40];
        let len = self.version.record_len();
        while self.source.record(&mut buffer[..len])? {
            if let Some(op) = self.decode(&buffer[..len])? {
                return Ok(Some(op));
            }
        }
        Ok(None)
    }

    fn skipped(&self) -> Skipped {
        self.skipped
    }
}
