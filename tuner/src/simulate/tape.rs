//! A workload read once for many simulations: 24 bytes an operation, shared; beyond a limit it is read again each time.
//!
//! Knows operations and extents, never how they are run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use s3b_engine::geometry::Geometry;
use s3b_engine::settings::{Settings, VolumeSettings};
use s3b_scenarios::content::ContentProperties;
use s3b_scenarios::{Op, OpKind, Origin, StreamProperties, Summary};

use crate::workload::{BlockSet, Workload, device_starts};

/// Operations kept in memory: 192 MiB. A longer workload is read from its source by every simulation.
pub const MOST_KEPT: usize = 8 << 20;

/// One operation. What does not fit (an operation of 4 GiB or more, the millionth device) makes a tape stream.
#[derive(Clone, Copy, Debug)]
struct Packed {
    time_ns: u64,
    offset: u64,
    len: u32,
    /// Kind in bits 0 and 1, flush before in 2, durable in 3, origin in 4 to 11, device above.
    rest: u32,
}

impl Packed {
    fn of(op: &Op) -> Option<Self> {
        let len = u32::try_from(op.len).ok()?;
        let device = (op.device < 1 << 20).then_some(op.device << 12)?;
        let flags = u32::from(op.durable) << 3 | u32::from(op.flush_before) << 2 | op.kind as u32;
        let rest = device | u32::from(op.origin.bits()) << 4 | flags;
        Some(Self { time_ns: op.time_ns, offset: op.offset, len, rest })
    }

    fn op(self) -> Op {
        Op {
            time_ns: self.time_ns,
            kind: OpKind::ALL[self.rest as usize & 3],
            offset: self.offset,
            len: u64::from(self.len),
            device: self.rest >> 12,
            flush_before: self.rest & 4 != 0,
            durable: self.rest & 8 != 0,
            origin: Origin::from_bits((self.rest >> 4) as u8),
        }
    }
}

/// Where a workload that is not kept is read again.
type Source = Box<dyn Fn() -> Result<Ops<'static>> + Send + Sync>;

/// Operations in order.
pub type Ops<'a> = Box<dyn Iterator<Item = Result<Op>> + Send + 'a>;

/// What is in the store before the first operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// So many bytes from the start of the volume.
    Prefix(u64),
    /// What is read, or written in part: on the recorded disk it was there.
    WhatIsRead,
    /// Every block that is read or written.
    WhatIsTouched,
}

/// See the module.
pub struct Tape {
    pub title: String,
    pub summary: Summary,
    /// What the data carries that is found in place.
    pub content: ContentProperties,
    /// What writes carry, and their bounds in a closed loop, by [`Origin::stream`].
    pub streams: Vec<StreamProperties>,
    /// Operations outstanding in a closed loop.
    pub depth: usize,
    pub found: Found,
    kept: Option<Vec<Packed>>,
    source: Source,
    /// What is found, by block size and blocks of the volume: worked out once for all configurations.
    sets: Mutex<BTreeMap<(u32, u32), Arc<BlockSet>>>,
}

impl Tape {
    /// Records a workload.
    ///
    /// # Errors
    /// Whatever its source yields.
    pub fn of(workload: Workload) -> Result<Self> {
        let (title, content, depth) = (workload.title.clone(), workload.content(), workload.depth());
        let streams = workload.streams();
        let summary = workload.summary.clone();
        let found = workload.prefilled_bytes().map_or(Found::WhatIsRead, Found::Prefix);
        let source: Source = Box::new(move || -> Result<Ops<'static>> { workload.ops() });
        let kept = keep(source()?, MOST_KEPT)?;
        Ok(Self { title, summary, content, streams, depth, found, kept, source, sets: Mutex::default() })
    }

    /// Records operations that exist already.
    pub fn of_ops(title: &str, ops: Vec<Op>, found: Found) -> Self {
        let mut summary = Summary::default();
        ops.iter().for_each(|op| summary.add(op));
        let kept = ops.iter().map(Packed::of).collect();
        let source: Source = Box::new(move || Ok(Box::new(ops.clone().into_iter().map(Ok))));
        let streams = vec![StreamProperties::default()];
        let (title, content, sets) = (title.to_owned(), ContentProperties::default(), Mutex::default());
        Self { title, summary, content, streams, depth: 1, found, kept, source, sets }
    }

    /// The operations from `start_ns` to `end_ns` (exclusive), on the same volume, from time 0 on; what they read or write
    /// in part is there.
    ///
    /// # Errors
    /// What its source yields, if it is read again.
    pub fn part(&self, start_ns: u64, end_ns: u64) -> Result<Self> {
        let mut ops = Vec::new();
        for op in self.ops()? {
            let op = op?;
            if op.time_ns >= end_ns {
                break;
            }
            if op.time_ns >= start_ns {
                ops.push(Op { time_ns: op.time_ns - start_ns, ..op });
            }
        }
        let title = format!("{} {}..{} s", self.title, start_ns / 1_000_000_000, end_ns / 1_000_000_000);
        let mut part = Self::of_ops(&title, ops, Found::WhatIsRead);
        part.summary.device_ends.clone_from(&self.summary.device_ends);
        (part.content, part.streams, part.depth) = (self.content, self.streams.clone(), self.depth);
        Ok(part)
    }

    /// The operations from the beginning.
    ///
    /// # Errors
    /// What opening its source again gives.
    pub fn ops(&self) -> Result<Ops<'_>> {
        match &self.kept {
            Some(kept) => Ok(Box::new(kept.iter().map(|packed| Ok(packed.op())))),
            None => (self.source)(),
        }
    }

    /// Bytes of memory for its operations.
    pub fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.len() * size_of::<Packed>())
    }

    /// The settings with a size that holds the workload, and where its devices begin.
    ///
    /// # Errors
    /// A configured size too small for the workload, or a geometry that cannot be.
    pub fn fit(&self, settings: &Settings) -> Result<(Settings, Vec<u64>)> {
        let block_size = settings.volume.block_size.unwrap_or(VolumeSettings::NEW_BLOCK_SIZE);
        // Checked before anything is rounded to a multiple of it.
        Geometry::new(block_size, block_size)?;
        let starts = device_starts(&self.summary, &self.title, block_size)?;
        let needed = starts[starts.len() - 1];
        let mut settings = settings.clone();
        settings.volume.block_size = Some(block_size);
        match settings.volume.size {
            Some(size) if size < needed => {
                bail!("--size={size}: {} reaches to byte {needed}; try --size={needed}", self.title);
            }
            Some(_) => {}
            None => settings.volume.size = Some(needed),
        }
        Geometry::new(block_size, settings.volume.size.unwrap_or(needed))
            .with_context(|| format!("{} needs {needed} bytes", self.title))?;
        Ok((settings, starts))
    }

    /// The blocks that hold data before the first operation.
    ///
    /// # Errors
    /// What its source yields, if it is read again.
    pub fn found_blocks(&self, geometry: Geometry, device_starts: &[u64]) -> Result<Arc<BlockSet>> {
        let shape = (geometry.block_size(), geometry.blocks());
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get(&shape) {
            return Ok(set.clone());
        }
        let mut blocks = BlockSet::new(geometry.blocks());
        match self.found {
            Found::Nothing => {}
            Found::Prefix(bytes) => {
                let filled = bytes.div_ceil(u64::from(geometry.block_size()));
                let all = geometry.all_blocks().take_while(|block| u64::from(block.0) < filled);
                all.for_each(|block| blocks.insert(block.0));
            }
            Found::WhatIsRead | Found::WhatIsTouched => {
                for op in self.ops()? {
                    let op = op?;
                    if !matches!(op.kind, OpKind::Read | OpKind::Write) {
                        continue;
                    }
                    let all = op.kind == OpKind::Read || self.found == Found::WhatIsTouched;
                    for piece in geometry.pieces(device_starts[op.device as usize] + op.offset, op.len) {
                        if all || piece.len < geometry.block_size() {
                            blocks.insert(piece.block.0);
                        }
                    }
                }
            }
        }
        let blocks = Arc::new(blocks);
        sets.insert(shape, blocks.clone());
        Ok(blocks)
    }
}

/// The operations, packed; nothing if they are too many or too large for it.
fn keep(ops: Ops<'_>, most: usize) -> Result<Option<Vec<Packed>>> {
    let mut kept = Vec::new();
    for op in ops {
        match Packed::of(&op?) {
            Some(packed) if kept.len() < most => kept.push(packed),
            _ => return Ok(None),
        }
    }
    kept.shrink_to_fit();
    Ok(Some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_back_as_they_were_or_stream() {
        let origin = Origin::new(77, true);
        let write =
            Op { device: 7, flush_before: true, durable: true, origin, ..Op::new(5, OpKind::Write, 1 << 60, 4096) };
        let ops = vec![Op::new(0, OpKind::Read, 1, 512), write, Op::new(9, OpKind::Flush, 0, 0)];
        let tape = Tape::of_ops("three", ops.clone(), Found::Nothing);
        assert_eq!(tape.ops().unwrap().map(Result::unwrap).collect::<Vec<_>>(), ops);
        assert_eq!(tape.bytes(), 72);
        let long = vec![Op::new(3, OpKind::Discard, 0, 1 << 40)];
        let tape = Tape::of_ops("long", long.clone(), Found::Nothing);
        assert_eq!(tape.bytes(), 0);
        assert_eq!(tape.ops().unwrap().map(Result::unwrap).collect::<Vec<_>>(), long);
        assert!(Packed::of(&Op { device: 1 << 20, ..ops[0] }).is_none());
        assert!(keep(Box::new(ops.into_iter().map(Ok)), 2).unwrap().is_none());
    }

    #[test]
    fn what_is_found_follows_the_operations() {
        let ops = vec![
            Op::new(0, OpKind::Read, 0, 10),
            Op::new(0, OpKind::Write, 4096, 4096),
            Op::new(0, OpKind::Write, 8192, 4097),
        ];
        for (found, blocks) in [
            (Found::Nothing, vec![]),
            (Found::WhatIsRead, vec![0, 3]),
            (Found::WhatIsTouched, vec![0, 1, 2, 3]),
            (Found::Prefix(4097), vec![0, 1]),
        ] {
            let tape = Tape::of_ops("x", ops.clone(), found);
            let mut settings = Settings::default();
            settings.volume.block_size = Some(4096);
            let (settings, starts) = tape.fit(&settings).unwrap();
            assert_eq!((settings.volume.size, &starts[..]), (Some(16384), &[0, 16384][..]));
            let geometry = Geometry::new(4096, 16384).unwrap();
            let set = tape.found_blocks(geometry, &starts).unwrap();
            assert_eq!(set.iter().collect::<Vec<_>>(), blocks, "{found:?}");
        }
    }

    /// A tape of a built-in scenario, the size of its volume, and the blocks that it finds there.
    fn scenario(name: &str, block_size: u64) -> (Option<u64>, Vec<u32>) {
        let tape = Tape::of(Workload::load(name).unwrap()).unwrap();
        let mut settings = Settings::default();
        settings.volume.block_size = Some(block_size);
        let (settings, starts) = tape.fit(&settings).unwrap();
        let geometry = Geometry::new(block_size, settings.volume.size.unwrap()).unwrap();
        (settings.volume.size, tape.found_blocks(geometry, &starts).unwrap().iter().collect())
    }

    #[test]
    fn a_prefilling_scenario_fills_its_whole_volume() {
        assert_eq!(scenario("fsync-small", 65536), (Some(1 << 20), (0..16).collect()));
        assert!(scenario("discard", 65536).1.is_empty());
        // Three quarters of its span.
        assert_eq!(scenario("mail", 8 << 20).1, (0..96).collect::<Vec<_>>());
    }

    #[test]
    fn a_volume_too_small_is_refused_and_one_of_flushes_alone_has_a_block() {
        let fit = |ops: Vec<Op>, size| {
            let mut settings = Settings::default();
            (settings.volume.block_size, settings.volume.size) = (Some(4096), size);
            Tape::of_ops("x", ops, Found::Nothing)
                .fit(&settings)
                .map(|(settings, starts)| (settings.volume.size, starts))
        };
        let flush = vec![Op::new(0, OpKind::Flush, 0, 0)];
        assert_eq!(fit(flush, None).unwrap(), (Some(4096), vec![0, 4096]));
        let write = || vec![Op::new(0, OpKind::Write, 4096, 512)];
        assert_eq!(fit(write(), Some(1 << 20)).unwrap(), (Some(1 << 20), vec![0, 8192]));
        let refused = fit(write(), Some(4096)).unwrap_err().to_string();
        assert!(refused.contains("--size=4096") && refused.contains("--size=8192"), "{refused}");
    }
}
