//! Address spaces by whatever a format calls them, numbered from 0 in order of first appearance.

use std::collections::BTreeMap;

/// Address spaces in one trace; more is taken for garbage. The largest published set has 4,995 volumes.
const MAX_DEVICES: usize = 1 << 16;
/// Bytes of a name; fio's file names have at most 256.
const MAX_NAME: usize = 256;

#[derive(Default)]
pub struct Devices {
    numbers: BTreeMap<Box<[u8]>, u32>,
    /// Most operations go where the one before went.
    last: Option<(Box<[u8]>, u32)>,
}

impl Devices {
    pub fn number(&mut self, name: &[u8]) -> Result<u32, String> {
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| **last == *name) {
            return Ok(*number);
        }
        let known = self.numbers.get(name).copied();
        let number = known.unwrap_or(self.numbers.len() as u32);
        if known.is_none() {
            if name.len() > MAX_NAME {
                return Err(format!("a device name of {} bytes; at most {MAX_NAME}", name.len()));
            }
            if self.numbers.len() == MAX_DEVICES {
                return Err(format!("more than {MAX_DEVICES} devices in one trace"));
            }
            self.numbers.insert(name.into(), number);
        }
        self.last = Some((name.into(), number));
        Ok(number)
    }
}
