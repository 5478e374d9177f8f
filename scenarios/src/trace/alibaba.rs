//! Alibaba block traces of 2020: `device_id,opcode,offset,length,timestamp`; bytes, and microseconds since 1970.

use super::devices::Devices;
use super::fields::{integer, quoted, range, split, whole_time};
use super::text::{LineFormat, is_header};
use super::{RawOp, Skipped};
use crate::op::OpKind;

#[derive(Default)]
pub struct Alibaba {
    devices: Devices,
}

impl LineFormat for Alibaba {
    fn example(&self) -> &'static str {
        "0,R,126703644672,4096,1577808000000626"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        if is_header(line, "device_id,opcode,offset,length,timestamp") {
            return Ok(None);
        }
        let [device, opcode, offset, len, time] = split(line)?;
        integer("device_id", device)?;
        let kind = match opcode {
            b"R" => OpKind::Read,
            b"W" => OpKind::Write,
            _ => return Err(format!("opcode {} is neither R nor W", quoted(opcode))),
        };
        let (offset, len) = range(integer("offset", offset)?, 1, Some(integer("length", len)?))?;
        let time_ns = whole_time(time, 1000)?;
        Ok(Some(RawOp { device: self.devices.number(device)?, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}
