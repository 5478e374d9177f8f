//! CloudPhysics csv: `version,time,op,size,lbn`; whole seconds, a SCSI opcode in hexadecimal, bytes, 512-byte sectors.

use super::fields::{integer, quoted, range, split, whole_time};
use super::text::{LineFormat, is_header};
use super::vscsi::{Command, command};
use super::{RawOp, Skipped};

pub const HEADER: &str = "version,time,op,size,lbn";
const SECOND_NS: u64 = 1_000_000_000;
const SECTOR: u64 = 512;

pub struct CloudPhysics;

impl LineFormat for CloudPhysics {
    fn example(&self) -> &'static str {
        "1,5633898,2a,512,42932745"
    }

    fn parse(&mut self, line: &[u8], skipped: &mut Skipped) -> Result<Option<RawOp>, String> {
        if is_header(line, HEADER) {
            return Ok(None);
        }
        let [version, time, opcode, len, sector] = split(line)?;
        if !matches!(version, b"1" | b"2") {
            return Err(format!("version {} is neither 1 nor 2", quoted(version)));
        }
        let time_ns = whole_time(time, SECOND_NS)?;
        let text = std::str::from_utf8(opcode).unwrap_or_default();
        let number = u8::from_str_radix(text, 16).ok().filter(|_| opcode.len() == 2);
        let number = number.ok_or_else(|| format!("op {} is not a SCSI opcode of two hex digits", quoted(opcode)))?;
        let (offset, len) = range(integer("lbn", sector)?, SECTOR, Some(integer("size", len)?))?;
        let Command::Data(kind) = command(number.into()) else {
            skipped.other += 1;
            return Ok(None);
        };
        Ok(Some(RawOp::new(time_ns, kind, offset, len)))
    }
}
