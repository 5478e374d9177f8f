//! blktrace binary recordings: one file for each CPU, merged by time.
//!
//! One request appears as several events. Q is what the file system sent, D what the device got after merging, C its
//! completion; exactly one of them is used, the first of Q, D, C that the recording holds, else requests would be
//! counted several times. Files of a machine of the other byte order are swapped field by field.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::devices::Devices;
use super::event::Event;
use super::source::{Source, u16_at, u32_at, u64_at};
use super::{RawOp, RawOps, Skipped, TraceError};
use crate::op::OpKind;

const MAGIC: u32 = 0x6561_7400;
const RECORD_LEN: usize = 48;

/// In the event's half of the action since Linux 4.14: a cgroup's number is in the payload.
const FROM_CGROUP: u32 = 1 << 8;

/// In the other half.
const WRITE: u32 = 1 << 1;
const FLUSH: u32 = 1 << 2;
const PASSTHROUGH: u32 = 1 << 9;
const NOTIFY: u32 = 1 << 10;
const DISCARD: u32 = 1 << 13;
const FUA: u32 = 1 << 15;

pub fn recognise(head: &[u8]) -> bool {
    head.len() >= 4 && byte_order(head).is_some()
}

/// Whether to swap bytes; `None`: no blktrace record.
fn byte_order(record: &[u8]) -> Option<bool> {
    let magic = u32_at(record, 0);
    if magic & 0xffff_ff00 == MAGIC {
        Some(false)
    } else if magic.swap_bytes() & 0xffff_ff00 == MAGIC {
        Some(true)
    } else {
        None
    }
}

/// One record, as far as anything here needs it.
struct Record {
    time_ns: u64,
    sector: u64,
    bytes: u32,
    event: Option<Event>,
    category: u32,
    device: u32,
}

/// The file of one CPU.
struct CpuFile(Source);

impl CpuFile {
    fn next(&mut self) -> Result<Option<Record>, TraceError> {
        let mut raw = [0; RECORD_LEN];
        if !self.0.record(&mut raw)? {
            return Ok(None);
        }
        let Some(swap) = byte_order(&raw) else {
            let what =
                format!("magic {:08x} instead of {MAGIC:08x} (+ version): not a blktrace record", u32_at(&raw, 0));
            return Err(self.0.error(what));
        };
        let long = |at| if swap { u64_at(&raw, at).swap_bytes() } else { u64_at(&raw, at) };
        let word = |at| if swap { u32_at(&raw, at).swap_bytes() } else { u32_at(&raw, at) };
        let half = |at| if swap { u16_at(&raw, at).swap_bytes() } else { u16_at(&raw, at) };
        let action = word(28);
        let event = match action & 0xffff & !FROM_CGROUP {
            1 => Some(Event::Queued),
            7 => Some(Event::Issued),
            8 => Some(Event::Completed),
            _ => None,
        };
        let category = action >> 16;
        let record = Record { time_ns: long(8), sector: long(16), bytes: word(24), event, category, device: word(36) };
        self.0.skip(usize::from(half(46)))?;
        Ok(Some(record))
    }

    /// The next record that is a request seen at `event`.
    fn next_request(&mut self, event: Event, skipped: &mut Skipped) -> Result<Option<(Record, RawOp)>, TraceError> {
        while let Some(record) = self.next()? {
            if record.category & NOTIFY != 0 || record.event != Some(event) {
                continue;
            }
            if record.category & PASSTHROUGH != 0 {
                skipped.other += 1;
                continue;
            }
            // A flush without data may carry sector -1.
            let anywhere = record.bytes == 0 && record.category & FLUSH != 0;
            let offset = if anywhere { 0 } else { self.0.offset_of(record.sector, u64::from(record.bytes))? };
            return Ok(Some(request(record, offset)));
        }
        Ok(None)
    }
}

/// What a record asks for. Discards have the WRITE bit set as well, and a write may carry a flush.
fn request(record: Record, offset: u64) -> (Record, RawOp) {
    let has = |bit: u32| record.category & bit != 0;
    let kind = if has(DISCARD) {
        OpKind::Discard
    } else if has(FLUSH) && record.bytes == 0 {
        OpKind::Flush
    } else if has(WRITE) {
        OpKind::Write
    } else {
        OpKind::Read
    };
    let write = kind == OpKind::Write;
    let op = RawOp {
        flush_before: write && has(FLUSH),
        durable: write && has(FUA),
        ..RawOp::new(record.time_ns, kind, offset, u64::from(record.bytes))
    };
    (record, op)
}

/// The first of Q, D, C that occurs in any of the files, or `wanted` if it does. Stops as soon as it is sure.
fn best_event(
    sources: impl IntoIterator<Item = Result<Source, TraceError>>,
    wanted: Option<Event>,
) -> Result<Option<Event>, TraceError> {
    let mut best = None;
    for source in sources {
        let mut file = CpuFile(source?);
        while let Some(record) = file.next()? {
            let Some(event) = record.event else { continue };
            if record.category & (NOTIFY | PASSTHROUGH) == 0 && event.improves(&mut best, wanted) {
                return Ok(best);
            }
        }
    }
    Ok(best)
}

/// All CPUs of one recording, merged.
pub struct Blktrace {
    files: Vec<CpuFile>,
    /// The next request of each file, earliest first; a tie goes to the lower file.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    waiting: Vec<Option<(Record, RawOp)>>,
    event: Event,
    devices: Devices,
    skipped: Skipped,
    started: bool,
}

impl Blktrace {
    /// Reads the files once to see which event they hold, and again for the requests.
    ///
    /// `open` is called twice for each of `count` files.
    pub fn open(
        count: usize,
        open: impl Fn(usize) -> Result<Source, TraceError>,
        wanted: Option<Event>,
    ) -> Result<Self, TraceError> {
        let Some(event) = best_event((0..count).map(&open), wanted)? else {
            let what = format!("blktrace without a single request (no {} event)", Event::sought(wanted));
            return Err(TraceError::Empty { path: open(0)?.path().to_owned(), what });
        };
        let files: Vec<CpuFile> = (0..count).map(|n| open(n).map(CpuFile)).collect::<Result<_, _>>()?;
        let waiting = files.iter().map(|_| None).collect();
        let (heads, devices, skipped) = (BinaryHeap::new(), Devices::default(), Skipped::default());
        Ok(Self { files, heads, waiting, event, devices, skipped, started: false })
    }

    pub fn event(&self) -> Event {
        self.event
    }

    fn advance(&mut self, file: usize) -> Result<(), TraceError> {
        self.waiting[file] = self.files[file].next_request(self.event, &mut self.skipped)?;
        if let Some((record, _)) = &self.waiting[file] {
            self.heads.push(Reverse((record.time_ns, file)));
        }
        Ok(())
    }
}

impl RawOps for Blktrace {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        if !self.started {
            self.started = true;
            (0..self.files.len()).try_for_each(|file| self.advance(file))?;
        }
        let Some(Reverse((_, file))) = self.heads.pop() else { return Ok(None) };
        let Some((record, mut op)) = self.waiting[file].take() else { return Ok(None) };
        let device = self.devices.number(&record.device.to_le_bytes());
        op.device = device.map_err(|what| self.files[file].0.error(what))?;
        self.advance(file)?;
        Ok(Some(op))
    }

    fn skipped(&self) -> Skipped {
        self.skipped
    }
}

/// The files of the recording that `path` belongs to, by CPU number: `NAME.blktrace.CPU`, packed or not. Gaps are
/// allowed (a CPU may have been idle). Any other path is a recording of its own.
pub fn siblings(path: &Path) -> Vec<PathBuf> {
    let alone = || vec![path.to_owned()];
    let Some((stem, _)) = path.file_name().and_then(|name| name.to_str()).and_then(split_name) else { return alone() };
    let found = cpu_files(path.parent(), stem, Some(path));
    if found.is_empty() { alone() } else { found }
}

/// The files of a recording named without its CPU number: `NAME` or `NAME.blktrace`.
pub fn files_of_base(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let stem = name.strip_suffix(".blktrace").unwrap_or(name);
    cpu_files(path.parent(), stem, None)
}

fn cpu_files(parent: Option<&Path>, stem: &str, preferred: Option<&Path>) -> Vec<PathBuf> {
    let directory = parent.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<(u32, bool, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let (its_stem, cpu) = split_name(name.to_str()?)?;
            let packed = !name.to_str()?.ends_with(|last: char| last.is_ascii_digit());
            let asked_for = preferred.and_then(Path::file_name) == Some(&name);
            let path = parent.unwrap_or(Path::new("")).join(&name);
            (its_stem == stem).then_some((cpu, packed && !asked_for, path))
        })
        .collect();
    // Where one CPU's file lies there packed and unpacked, one of the two is read.
    files.sort();
    files.dedup_by_key(|(cpu, ..)| *cpu);
    files.into_iter().map(|(.., path)| path).collect()
}

fn split_name(name: &str) -> Option<(&str, u32)> {
    let name = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz")).unwrap_or(name);
    let (stem, cpu) = name.rsplit_once(".blktrace.")?;
    let digits = !cpu.is_empty() && cpu.bytes().all(|byte| byte.is_ascii_digit());
    Some((stem, cpu.parse().ok().filter(|_| digits)?))
}
