//! Frames to operations. Trusts nothing that a checksum does not cover, and little that it does.

use super::{
    EndReason, FRAME_HEADER_LEN, FRAME_MAGIC, HEADER_LEN, Header, MAX_CONTENT, OPS, Previous, STATEMENT, Statement,
    tag, unzigzag,
};
use crate::op::OpKind;
use crate::trace::devices::Devices;
use crate::trace::source::{Source, u32_at};
use crate::trace::{RawOp, RawOps, Skipped, TraceError};

const SECTOR: u64 = 512;

/// How a recording ended, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stated(EndReason, u64),
    /// Bytes of the incomplete frame at the end.
    Torn(u64),
    /// Where the broken frame begins, and the next that looks whole: what a power cut can leave, or damage.
    Gap(u64, u64),
    /// At a frame's border, without a word.
    Open,
}

/// A reader.
pub struct S3bt {
    source: Source,
    header: Header,
    /// The frame being read: its content, and how much of it is used.
    content: Vec<u8>,
    used: usize,
    left: u32,
    previous: Previous,
    /// Where the frame starts in the file.
    frame_start: u64,
    devices: Devices,
    /// Operations read so far.
    ops: u64,
    dropped: u64,
    stated: Option<(EndReason, u64)>,
    end: Option<End>,
}

/// What was found where a frame should begin.
enum Found {
    Frame {
        kind: u8,
        ops: u32,
    },
    Nothing,
    /// Not a whole frame; the bytes taken so far.
    Broken(Vec<u8>),
}

impl S3bt {
    pub fn open(mut source: Source) -> Result<Self, TraceError> {
        let mut head = [0; HEADER_LEN];
        let got = source.read_up_to(&mut head)?;
        let header = if got < HEADER_LEN { Err("cut short within its header".into()) } else { Header::decode(&head) };
        let header = header.map_err(|what| TraceError::Open { path: source.path().to_owned(), what })?;
        let (content, previous, devices) = (Vec::new(), Previous::default(), Devices::default());
        let (used, left, frame_start, ops, dropped) = (0, 0, 0, 0, 0);
        let (stated, end) = (None, None);
        Ok(Self { source, header, content, used, left, previous, frame_start, devices, ops, dropped, stated, end })
    }

    fn error(&self, what: impl Into<String>) -> TraceError {
        let path = self.source.path().to_owned();
        TraceError::Record { path, record: self.ops + 1, byte: self.frame_start, what: what.into() }
    }

    /// The next frame with operations; false at the end.
    fn next_frame(&mut self) -> Result<bool, TraceError> {
        loop {
            self.frame_start = self.source.position();
            match self.read_frame()? {
                Found::Frame { kind: OPS, ops } => {
                    (self.used, self.left) = (0, ops);
                    let ticks = self.varint()?;
                    self.previous = Previous { ticks, ..Previous::default() };
                    return Ok(true);
                }
                Found::Frame { .. } => {
                    self.used = 0;
                    match self.statement()? {
                        Statement::Dropped(ops) => self.dropped = self.dropped.saturating_add(ops),
                        Statement::Ended { reason, ops } => self.stated = Some((reason, ops)),
                    }
                }
                Found::Nothing => {
                    self.end = Some(self.stated.map_or(End::Open, |(reason, ops)| End::Stated(reason, ops)));
                    return Ok(false);
                }
                Found::Broken(taken) => {
                    self.end = Some(self.broken(taken)?);
                    return Ok(false);
                }
            }
        }
    }

    /// Reads a frame's content.
    fn read_frame(&mut self) -> Result<Found, TraceError> {
        let mut head = [0; FRAME_HEADER_LEN];
        let got = self.source.read_up_to(&mut head)?;
        if got == 0 {
            return Ok(Found::Nothing);
        }
        if got < FRAME_HEADER_LEN || !is_frame_header(&head) {
            return Ok(Found::Broken(head[..got].to_vec()));
        }
        let (stored, unpacked, ops) = (u32_at(&head, 8) as usize, u32_at(&head, 12) as usize, u32_at(&head, 16));
        let mut bytes = vec![0; stored];
        let got = self.source.read_up_to(&mut bytes)?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[..20]), &bytes);
        if got < stored || checksum != u32_at(&head, 20) {
            bytes.truncate(got);
            return Ok(Found::Broken([&head[..], &bytes].concat()));
        }
        self.content = match head[5] {
            0 => bytes,
            _ => zstd::bulk::decompress(&bytes, unpacked)
                .map_err(|error| self.error(format!("frame cannot be unpacked: {error}")))?,
        };
        if self.content.len() != unpacked {
            return Err(self.error(format!("frame of {} bytes says it has {unpacked}", self.content.len())));
        }
        Ok(Found::Frame { kind: head[4], ops })
    }

    /// What a broken frame means: whether it is the last, or others lie behind it. They are not used: operations
    /// between are missing, nobody knows how many.
    fn broken(&mut self, taken: Vec<u8>) -> Result<End, TraceError> {
        let mut window = taken;
        // Its own magic does not count as another frame's.
        let mut at = 1;
        let mut gone = 0u64;
        loop {
            while let Some(bytes) = window.get(at..at + FRAME_HEADER_LEN) {
                if is_frame_header(bytes) {
                    return Ok(End::Gap(self.frame_start, self.frame_start + gone + at as u64));
                }
                at += 1;
            }
            window.drain(..at.min(window.len()));
            gone += at as u64;
            at = 0;
            let kept = window.len();
            window.resize(kept + (64 << 10), 0);
            let got = self.source.read_up_to(&mut window[kept..])?;
            window.truncate(kept + got);
            if got == 0 {
                return Ok(End::Torn(self.source.position() - self.frame_start));
            }
        }
    }

    fn byte(&mut self) -> Result<u8, TraceError> {
        let byte = self.content.get(self.used).copied();
        self.used += 1;
        byte.ok_or_else(|| self.error("the frame ends within an operation"))
    }

    fn varint(&mut self) -> Result<u64, TraceError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.error("a number of more than 64 bits"))
    }

    fn statement(&mut self) -> Result<Statement, TraceError> {
        match self.byte()? {
            1 => Ok(Statement::Dropped(self.varint()?)),
            2 => {
                let code = self.byte()?;
                let reason = EndReason::ALL.get(usize::from(code)).copied();
                let reason = reason.ok_or_else(|| self.error(format!("unknown reason {code} to end a recording")))?;
                Ok(Statement::Ended { reason, ops: self.varint()? })
            }
            code => Err(self.error(format!("unknown statement {code}"))),
        }
    }

    fn operation(&mut self) -> Result<RawOp, TraceError> {
        let bits = self.byte()?;
        let has = |bit: u8| bits & bit != 0;
        let kind = OpKind::ALL[usize::from(bits & 3)];
        if has(tag::DEVICE) {
            let device = self.varint()?;
            let number = u32::try_from(device).map_err(|_| self.error(format!("device number {device}")))?;
            self.previous.device = number;
        }
        let ticks = self.previous.ticks.wrapping_add(unzigzag(self.varint()?));
        self.previous.ticks = ticks;
        let time_ns = ticks.checked_mul(self.header.tick_ns.into());
        let time_ns = time_ns.ok_or_else(|| self.error(format!("time {ticks} lies beyond 584 years")))?;
        let index = kind as usize;
        let (mut offset, mut len) = (0, 0);
        if kind != OpKind::Flush {
            let unit = if has(tag::BYTES) { 1 } else { SECTOR };
            let (last_end, last_len) = (self.previous.end[index], self.previous.len[index]);
            let beyond = "the range ends beyond 64-bit byte offsets";
            let in_bytes = |units: u64| units.checked_mul(unit);
            offset = if has(tag::ADJACENT) {
                last_end
            } else {
                let units = (last_end / unit).wrapping_add(unzigzag(self.varint()?));
                in_bytes(units).ok_or_else(|| self.error(beyond))?
            };
            len = if has(tag::SAME_LEN) {
                last_len
            } else {
                in_bytes(self.varint()?).ok_or_else(|| self.error(beyond))?
            };
            self.previous.end[index] = offset.checked_add(len).ok_or_else(|| self.error(beyond))?;
            self.previous.len[index] = len;
        }
        let write = kind == OpKind::Write;
        let (flush_before, durable) = (write && has(tag::FLUSH_BEFORE), write && has(tag::DURABLE));
        let device = self.devices.number(&self.previous.device.to_le_bytes());
        let device = device.map_err(|what| self.error(what))?;
        Ok(RawOp { device, flush_before, durable, ..RawOp::new(time_ns, kind, offset, len) })
    }
}

impl RawOps for S3bt {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        while self.left == 0 {
            if self.end.is_some() || !self.next_frame()? {
                return Ok(None);
            }
        }
        let op = self.operation()?;
        self.left -= 1;
        if self.left == 0 && self.used != self.content.len() {
            return Err(self.error("the frame holds more than its operations"));
        }
        self.ops += 1;
        Ok(Some(op))
    }

    fn skipped(&self) -> Skipped {
        Skipped { dropped: self.dropped, ..Skipped::default() }
    }

    fn recording(&self) -> Option<Header> {
        Some(self.header)
    }

    fn ending(&self) -> Option<EndReason> {
        match self.end? {
            End::Stated(reason, _) => Some(reason),
            End::Torn(_) | End::Gap(..) | End::Open => None,
        }
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        match self.end {
            None | Some(End::Stated(EndReason::Complete, _)) => {}
            Some(End::Stated(EndReason::SizeLimit, _)) => {
                notices.push("the recording stopped at its size limit, before the volume was unmounted".into());
            }
            Some(End::Stated(EndReason::WriteFailed, _)) => {
                notices
                    .push("the recording stopped because it could not be written, for example to a full disk".into());
            }
            Some(End::Torn(bytes)) => {
                notices.push(format!("the recording was torn off; its last {bytes} bytes are not usable"));
            }
            Some(End::Gap(from, to)) => notices.push(format!(
                "the recording is broken at byte {from}, as a power cut can leave it; what follows from byte {to} on \
                 is not used"
            )),
            Some(End::Open) => {
                notices.push("the recording was not ended: it is still running, or the mount was killed".into());
            }
        }
        if let Some(End::Stated(_, ops)) = self.end
            && ops != self.ops
        {
            notices.push(format!("the recorder wrote {ops} operations, {} are there", self.ops));
        }
        notices
    }
}

/// Whether a frame can begin so. Nothing here is covered by a checksum yet.
fn is_frame_header(bytes: &[u8]) -> bool {
    let (stored, unpacked) = (u32_at(bytes, 8) as usize, u32_at(bytes, 12) as usize);
    bytes[..4] == FRAME_MAGIC
        && matches!(bytes[4], OPS | STATEMENT)
        && bytes[5] <= 1
        && bytes[6..8] == [0, 0]
        && stored <= MAX_CONTENT
        && unpacked <= MAX_CONTENT
        && u32_at(bytes, 16) as usize <= unpacked
}
