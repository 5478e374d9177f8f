//! fio iologs, versions 2 and 3: `[TIME] FILE ACTION [OFFSET LENGTH]`, bytes; each file is a device of its own.
//!
//! Version 3 begins each line with microseconds. Version 2 has `wait` lines, whose number fio's manual and fio's code
//! read differently: see [`WaitMeaning`].

use super::devices::Devices;
use super::fields::{integer, quoted, range, whole_time, words};
use super::options::WaitMeaning;
use super::text::LineFormat;
use super::{RawOp, Skipped};
use crate::op::OpKind;

pub const HEADER_V2: &[u8] = b"fio version 2 iolog";
pub const HEADER_V3: &[u8] = b"fio version 3 iolog";

pub struct Iolog {
    /// Of version 2 only.
    wait: Option<WaitMeaning>,
    time_ns: u64,
    begun: bool,
    devices: Devices,
}

impl Iolog {
    pub fn v2(wait: WaitMeaning) -> Self {
        Self { wait: Some(wait), time_ns: 0, begun: false, devices: Devices::default() }
    }

    pub fn v3() -> Self {
        Self { wait: None, time_ns: 0, begun: false, devices: Devices::default() }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), String> {
        let own = if self.wait.is_some() { HEADER_V2 } else { HEADER_V3 };
        match (line == own, self.begun) {
            (true, false) => Ok(()),
            (true, true) => Err("a second log begins here; give each a file of its own".into()),
            (false, _) => Err(format!("{} where {} is expected", quoted(line), quoted(own))),
        }
    }

    /// Moves the time of what follows.
    fn wait(&mut self, meaning: WaitMeaning, number: &[u8]) -> Result<(), String> {
        self.time_ns = match meaning {
            WaitMeaning::MicrosecondsSincePrevious => {
                let later = self.time_ns.checked_add(whole_time(number, 1000)?);
                later.ok_or("the waits add up to more than 584 years")?
            }
            WaitMeaning::MillisecondsFromStart => whole_time(number, 1_000_000)?,
        };
        Ok(())
    }
}

impl LineFormat for Iolog {
    fn example(&self) -> &'static str {
        if self.wait.is_some() { "/dev/vda read 8192 4096" } else { "109 /dev/vda read 8192 4096" }
    }

    fn parse(&mut self, line: &[u8], skipped: &mut Skipped) -> Result<Option<RawOp>, String> {
        if line.starts_with(b"fio version ") {
            self.header(line)?;
            self.begun = true;
            return Ok(None);
        }
        self.begun = true;
        let mut words = words(line);
        let missing = || format!("{} has too few words", quoted(line));
        if self.wait.is_none() {
            self.time_ns = whole_time(words.next().ok_or_else(missing)?, 1000)?;
        }
        let (file, action) = words.next().zip(words.next()).ok_or_else(missing)?;
        let numbers = words.next().zip(words.next());
        if words.next().is_some() {
            return Err(format!("{} has too many words", quoted(line)));
        }
        if matches!(action, b"add" | b"open" | b"close") {
            return Ok(None);
        }
        let (offset, len) = numbers.ok_or_else(missing)?;
        let kind = match (action, self.wait) {
            (b"read", _) => OpKind::Read,
            (b"write", _) => OpKind::Write,
            (b"trim", _) => OpKind::Discard,
            // Their range is whatever the request held.
            (b"sync" | b"datasync", _) => OpKind::Flush,
            (b"wait", Some(meaning)) => return self.wait(meaning, offset).map(|()| None),
            // fio complains about them and goes on.
            _ if action.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_') => {
                skipped.other += 1;
                return Ok(None);
            }
            _ => return Err(format!("action {} is none of read, write, trim, sync, datasync, wait", quoted(action))),
        };
        let (offset, len) = match kind {
            OpKind::Flush => (0, 0),
            _ => range(integer("offset", offset)?, 1, Some(integer("length", len)?))?,
        };
        Ok(Some(RawOp { device: self.devices.number(file)?, ..RawOp::new(self.time_ns, kind, offset, len) }))
    }
}
