//! blkparse text, and the text of the kernel's own `blk` tracer.
//!
//! blkparse: `maj,min cpu seq seconds.nanoseconds pid ACTION RWBS [sector + sectors] [process]`;
//! the tracer: `process-pid [cpu] flags seconds.microseconds: maj,min ACTION RWBS sector + sectors [process]`.
//! One event stands for a request, as in the binary recording. blkparse's summary at the end is passed over; events
//! that the tracer says it lost are counted.

use super::devices::Devices;
use super::event::Event;
use super::fields::{integer, quoted, range, time, words};
use super::source::Source;
use super::text::{LineFormat, Text, is_blank, trimmed};
use super::{RawOp, RawOps, Skipped, TraceError};
use crate::op::OpKind;

const SECOND_NS: u64 = 1_000_000_000;
const SECTOR: u64 = 512;

/// What an event line says, whichever tool wrote it.
struct Line<'a> {
    device: &'a [u8],
    time: &'a [u8],
    action: &'a [u8],
    /// The flags, and what follows them.
    rest: Vec<&'a [u8]>,
}

impl<'a> Line<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let all: Vec<&[u8]> = words(line).collect();
        if is_device(all.first()?) {
            let [device, cpu, sequence, time, pid, action, rest @ ..] = &all[..] else { return None };
            let numbers = [cpu, sequence, pid].into_iter().all(|word| integer("", word).is_ok());
            return numbers.then(|| Line { device, time, action, rest: rest.to_vec() });
        }
        // A process name may hold blanks; the time ends in a colon, and a device follows.
        let at = all.windows(2).position(|pair| pair[0].ends_with(b":") && is_device(pair[1]))?;
        let time = all[at].strip_suffix(b":")?;
        Some(Line { device: all[at + 1], time, action: all.get(at + 2)?, rest: all[at + 3..].to_vec() })
    }

    fn event(&self) -> Option<Event> {
        let [letter] = self.action else { return None };
        Event::of_letter(char::from(*letter))
    }

    /// What is asked for; `None` for passthrough and what else carries no data of the disk.
    fn request(&self) -> Result<Option<RawOp>, String> {
        let time_ns = time(self.time, SECOND_NS)?;
        let flags = self.rest.first().copied().unwrap_or_default();
        let range = match self.rest.get(1..4) {
            Some([sector, plus, sectors]) if **plus == *b"+" => {
                let sectors = integer("number of sectors", sectors)?.checked_mul(SECTOR);
                // A flush without data may carry sector -1.
                let anywhere = sectors == Some(0);
                Some(if anywhere { (0, 0) } else { range(integer("sector", sector)?, SECTOR, sectors)? })
            }
            _ => None,
        };
        let flush = flags.first() == Some(&b'F');
        let (op, more) = match flags {
            // The first F asks for a flush of what came before, or is the operation itself.
            [b'F', op @ (b'W' | b'D' | b'R' | b'N' | b'F'), more @ ..] => (*op, more),
            [op, more @ ..] => (*op, more),
            [] => return Err("no flags (RWBS) behind the action".into()),
        };
        let kind = match (op, range) {
            (b'F', _) | (b'N', None | Some((_, 0))) | (b'W', Some((_, 0))) if flush => OpKind::Flush,
            (b'D', Some(_)) => OpKind::Discard,
            (b'W', Some(_)) => OpKind::Write,
            (b'R', Some(_)) => OpKind::Read,
            (b'D' | b'W' | b'R' | b'N' | b'Z', _) => return Ok(None),
            _ => return Err(format!("flags {} begin with none of R, W, D, F, N", quoted(flags))),
        };
        let (offset, len) = if kind == OpKind::Flush { (0, 0) } else { range.unwrap_or((0, 0)) };
        let write = kind == OpKind::Write;
        let (flush_before, durable) = (write && flush, write && more.contains(&b'F'));
        Ok(Some(RawOp { flush_before, durable, ..RawOp::new(time_ns, kind, offset, len) }))
    }
}

/// What the tracer writes where its buffer ran over: `CPU:3 [LOST 71 EVENTS]`, without a number where it knows none.
fn lost_events(line: &[u8]) -> Option<u64> {
    let line = line.strip_prefix(b"CPU:")?.strip_suffix(b" EVENTS]")?;
    let at = line.windows(6).position(|part| part == b" [LOST")?;
    integer("CPU", &line[..at]).ok()?;
    match line[at + 6..].trim_ascii() {
        [] => Some(1),
        number => integer("lost events", number).ok(),
    }
}

/// `8,16`
fn is_device(word: &[u8]) -> bool {
    let mut halves = word.split(|byte| *byte == b',');
    let mut number = || halves.next().is_some_and(|half| integer("", half).is_ok());
    number() && number() && halves.next().is_none()
}

pub struct Blkparse {
    event: Event,
    devices: Devices,
    begun: bool,
    /// Behind the events, where blkparse adds them up.
    in_summary: bool,
}

impl Blkparse {
    pub fn new(event: Event) -> Self {
        Self { event, devices: Devices::default(), begun: false, in_summary: false }
    }
}

impl LineFormat for Blkparse {
    fn example(&self) -> &'static str {
        "8,16 5 2 0.000001850 18615 Q R 1444645666 + 256 [java]"
    }

    fn parse(&mut self, line: &[u8], skipped: &mut Skipped) -> Result<Option<RawOp>, String> {
        if let Some(lost) = lost_events(line) {
            skipped.dropped = skipped.dropped.saturating_add(lost);
            return Ok(None);
        }
        let Some(event) = Line::of(line) else {
            let summary = self.begun && (line.starts_with(b"CPU") || line.starts_with(b"Total ("));
            self.in_summary |= summary;
            // blkparse -v announces its input.
            if self.in_summary || line.starts_with(b"Input file ") {
                return Ok(None);
            }
            return Err(format!("{} is not an event", quoted(line)));
        };
        // Several outputs one behind the other are one trace.
        (self.begun, self.in_summary) = (true, false);
        if event.event() != Some(self.event) {
            return time(event.time, SECOND_NS).map(|_| None);
        }
        let Some(op) = event.request()? else {
            skipped.other += 1;
            return Ok(None);
        };
        Ok(Some(RawOp { device: self.devices.number(event.device)?, ..op }))
    }
}

/// Reads the file once to see which event it holds, and again for the requests.
pub fn open(
    open: impl Fn() -> Result<Source, TraceError>,
    wanted: Option<Event>,
) -> Result<(Event, Box<dyn RawOps>), TraceError> {
    let mut source = open()?;
    let (mut line, mut best) = (Vec::new(), None);
    while source.line(&mut line)? {
        let line = trimmed(&line);
        let event = Some(line).filter(|line| !is_blank(line)).and_then(Line::of);
        let Some(event) = event.filter(|event| matches!(event.request(), Ok(Some(_)))) else { continue };
        if event.event().is_some_and(|event| event.improves(&mut best, wanted)) {
            break;
        }
    }
    let Some(event) = best else {
        let what = format!("blkparse text without a single request (no {} event)", Event::sought(wanted));
        return Err(TraceError::Empty { path: source.path().to_owned(), what });
    };
    Ok((event, Box::new(Text::new(open()?, Box::new(Blkparse::new(event))))))
}
