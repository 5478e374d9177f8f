//! MSR Cambridge csv: `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`; times in Windows ticks of 100 ns.
//!
//! The time is that of the request, and stands for its intended start; the response time is not used.

use super::devices::Devices;
use super::fields::{integer, quoted, range, split, whole_time};
use super::text::{LineFormat, is_header};
use super::{RawOp, Skipped};
use crate::op::OpKind;

const TICK_NS: u64 = 100;

#[derive(Default)]
pub struct Msr {
    devices: Devices,
    disk: Vec<u8>,
}

impl LineFormat for Msr {
    fn example(&self) -> &'static str {
        "128166372003061629,hm,0,Write,7014912,4096,26"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        if is_header(line, "Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime") {
            return Ok(None);
        }
        let [time, host, disk, kind, offset, len, _] = split(line)?;
        let time_ns = whole_time(time, TICK_NS)?;
        let kind = if kind.eq_ignore_ascii_case(b"read") {
            OpKind::Read
        } else if kind.eq_ignore_ascii_case(b"write") {
            OpKind::Write
        } else {
            return Err(format!("type {} is neither Read nor Write", quoted(kind)));
        };
        let (offset, len) = range(integer("offset", offset)?, 1, Some(integer("size", len)?))?;
        self.disk.clear();
        self.disk.extend_from_slice(host);
        self.disk.push(b',');
        self.disk.extend_from_slice(disk);
        let device = self.devices.number(&self.disk)?;
        Ok(Some(RawOp { device, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}
