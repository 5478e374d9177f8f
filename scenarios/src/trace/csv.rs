//! Our own csv: `time_ns,device,op,offset,length,flags` with that header line, as `convert` writes it.

use super::devices::Devices;
use super::fields::{integer, quoted, range, split, whole_time};
use super::text::{LineFormat, is_header};
use super::{RawOp, Skipped};
use crate::op::OpKind;

pub const HEADER: &str = "time_ns,device,op,offset,length,flags";
pub const FLUSH_BEFORE: &str = "flush_before";
pub const DURABLE: &str = "durable";

#[derive(Default)]
pub struct Csv {
    devices: Devices,
}

impl LineFormat for Csv {
    fn example(&self) -> &'static str {
        "1500,0,write,8192,4096,flush_before+durable"
    }

    fn parse(&mut self, line: &[u8], _: &mut Skipped) -> Result<Option<RawOp>, String> {
        if is_header(line, HEADER) {
            return Ok(None);
        }
        let [time, device, name, offset, len, flags] = split(line)?;
        let kind = OpKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name);
        let kind = kind.ok_or_else(|| format!("op {} is none of read, write, flush, discard", quoted(name)))?;
        let (offset, len) = range(integer("offset", offset)?, 1, Some(integer("length", len)?))?;
        let mut op = RawOp::new(whole_time(time, 1)?, kind, offset, len);
        integer("device", device)?;
        for flag in flags.split(|byte| *byte == b'+').filter(|flag| !flag.is_empty()) {
            match flag {
                _ if kind != OpKind::Write => return Err(format!("flags {} on a {}", quoted(flags), kind.name())),
                _ if flag == FLUSH_BEFORE.as_bytes() => op.flush_before = true,
                _ if flag == DURABLE.as_bytes() => op.durable = true,
                _ => return Err(format!("flag {} is neither {FLUSH_BEFORE} nor {DURABLE}", quoted(flag))),
            }
        }
        Ok(Some(RawOp { device: self.devices.number(device)?, ..op }))
    }
}
