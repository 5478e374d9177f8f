//! One real run of one piece: its volume filled, the cache in its state, both untimed; then the operations and the final
//! flush, timed and counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{StreamExt, stream};
use s3b_engine::clock;
use s3b_engine::geometry::{BlockNumber, Geometry};
use s3b_engine::object_blocks::Naming;
use s3b_engine::settings::Settings;
use s3b_engine::volume::Volume;
use s3b_scenarios::Op;
use s3b_scenarios::content::Content;

use super::wear::Wear;
use super::{OneRun, Piece, Plan};
use crate::interrupt::Interrupt;
use crate::machine::processor_seconds;
use crate::place::Place;
use crate::replay::{self, Options};
use crate::run::{self, CONTENT_SEED};
use crate::simulate::{HostSide, Observed, Start};
use crate::workload::BlockSet;

/// Blocks read in at a time before a run.
const PRIMED_AT_A_TIME: usize = 16;

/// Nothing in flight at so many looks in a row: between two requests of a queue there is a moment without any.
const QUIET_LOOKS: u32 = 3;
const MOST_LOOKS: u32 = 1000;
const LOOK: Duration = Duration::from_millis(3);

/// The longest request that puts blocks into the cache.
const PIECE: u64 = 1 << 20;

/// Runs pieces in a place, and knows which volumes it has filled.
pub(super) struct Stage<'a> {
    pub plan: &'a Plan,
    pub place: &'a Place,
    pub interrupt: &'a Interrupt,
    /// Names of volumes.
    pub filled: BTreeSet<String>,
    pub notices: BTreeSet<String>,
}

/// A piece on a candidate's volume.
struct Scene<'a> {
    settings: Settings,
    device_starts: Vec<u64>,
    geometry: Geometry,
    piece: &'a Piece,
    volume: String,
    found: Arc<BlockSet>,
    wear: Wear,
}

impl<'a> Stage<'a> {
    pub(super) fn new(plan: &'a Plan, place: &'a Place, interrupt: &'a Interrupt) -> Self {
        Self { plan, place, interrupt, filled: BTreeSet::new(), notices: BTreeSet::new() }
    }

    /// One run; nothing if interrupted meanwhile.
    ///
    /// # Errors
    /// A volume that cannot be opened, filled or closed. Operations that fail are counted, not errors.
    pub(super) async fn one(&mut self, slot: usize, number: usize, round: u32) -> Result<Option<OneRun>> {
        let scene = self.scene(slot, number, round)?;
        // The twin is the first under another name.
        let start = &scene.piece.starts[if slot + 1 == self.plan.slots() { 0 } else { slot }];
        self.place.announce(scene.keys(self.place)).await?;
        self.fill(&scene).await?;
        if self.interrupt.is_asked() {
            return Ok(None);
        }
        self.play(&scene, start, (slot, number, round)).await
    }

    fn scene(&self, slot: usize, number: usize, round: u32) -> Result<Scene<'a>> {
        let plan = self.plan;
        let (piece, candidate) = (&plan.pieces[number], plan.candidate(slot));
        let (settings, device_starts) = piece.tape.fit(&candidate.settings)?;
        let (block_size, size) = (settings.volume.block_size.unwrap_or(0), settings.volume.size.unwrap_or(0));
        let geometry = Geometry::new(block_size, size)?;
        let found = piece.tape.found_blocks(geometry, &device_starts)?;
        let mut volume = volume_name(&settings, number);
        if found.count() == 0 {
            // Nothing to fill, so each run gets a new volume: one that knows itself to be empty.
            volume = format!("{volume}r{round}s{slot}");
        }
        let wear = Wear::of(piece, geometry, &device_starts, &found)?;
        Ok(Scene { settings, device_starts, geometry, piece, volume, found, wear })
    }

    /// Puts in place what the piece finds; after an earlier run, only what that has changed.
    async fn fill(&mut self, scene: &Scene<'_>) -> Result<()> {
        let first = self.filled.insert(scene.volume.clone());
        let missing = if first { &*scene.found } else { &scene.wear.gone };
        if !first {
            let naming = scene.naming(self.place);
            let made = scene.wear.made.iter().map(|block| naming.key(BlockNumber(block)));
            self.place.delete(&made.collect()).await.context("cannot put the volume back as it was")?;
        }
        let content = &scene.piece.tape.content;
        run::prefill(self.place, &scene.settings, &scene.volume, missing, content, self.interrupt).await?;
        Ok(())
    }

    async fn play(
        &mut self,
        scene: &Scene<'_>,
        start: &Start,
        (slot, number, round): (usize, usize, u32),
    ) -> Result<Option<OneRun>> {
        let place = self.place;
        place.model_off();
        let stack = place.open(&scene.settings, &scene.volume).await.context("cannot open the volume")?;
        let primed = prime(&stack.volume(), start, scene.piece, place).await;
        primed.context("cannot put the cache into its state")?;
        place.model_on(self.plan.wanted.seed.wrapping_add(u64::from(round)));
        let options = Options {
            pace: self.plan.wanted.cases[scene.piece.case].pace,
            device_starts: scene.device_starts.clone(),
            streams: scene.piece.tape.streams.clone(),
            seed: CONTENT_SEED,
        };
        let mut host = HostSide::default();
        let mut count = |op: &Op| host.count(op, scene.geometry);
        let (before, throttled, begin, cpu) =
            (Observed::of(&stack.stats(), place.counts()), place.throttled(), clock::now(), processor_seconds());
        let ops = scene.piece.tape.ops()?;
        let measured = replay::replay(stack.volume(), ops, &options, self.interrupt, &mut count).await;
        // Everything is stored by now; what closing asks of the store belongs to no operation.
        let after = Observed::of(&stack.stats(), place.counts());
        let ledger = after.since(&before, host, place.throttled() - throttled);
        let elapsed = begin.elapsed().as_secs_f64().max(1e-9);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let cpu_share = ((processor_seconds() - cpu) / elapsed / cores as f64).clamp(0.0, 1.0);
        let at_risk_bytes = stack.stats().block_cache.most_at_risk.get();
        place.model_off();
        let closed = stack.close().await;
        let measured = measured?;
        closed.context("cannot close the volume")?;
        self.notices.extend(stack.notices().iter().cloned());
        if measured.interrupted || self.interrupt.is_asked() {
            return Ok(None);
        }
        Ok(Some(OneRun { slot, piece: number, measured, ledger, at_risk_bytes, cpu_share }))
    }
}

impl Scene<'_> {
    fn naming(&self, place: &Place) -> Naming {
        Naming::new(place.volume_prefix(&self.volume), self.settings.volume.block_hash_prefix)
    }

    /// Every key that this run may store, so that no PUT of it waits for the disk.
    fn keys(&self, place: &Place) -> Vec<String> {
        let naming = self.naming(place);
        let blocks = self.found.iter().chain(self.wear.made.iter());
        let names = blocks.map(|block| naming.key(BlockNumber(block)));
        names.chain([naming.token_key(), naming.superblock_key()]).collect()
    }
}

/// Reads and writes what the cache is to hold, in the order in which it was used.
async fn prime(volume: &Volume, start: &Start, piece: &Piece, place: &Place) -> Result<()> {
    let pieces = |ranges: &[(u64, u64)]| {
        let of_range = |(at, len): &(u64, u64)| {
            let (at, len) = (*at, *len);
            (0..len).step_by(PIECE as usize).map(move |from| (at + from, (len - from).min(PIECE)))
        };
        ranges.iter().flat_map(of_range).collect::<Vec<(u64, u64)>>()
    };
    let reads = stream::iter(pieces(&start.resident)).map(|(at, len)| volume.read(at, len as usize));
    let mut reads = std::pin::pin!(reads.buffered(PRIMED_AT_A_TIME));
    while let Some(read) = reads.next().await {
        read?;
    }
    if !start.resident.is_empty() {
        settle(place).await;
    }
    let compressibility = piece.tape.content.compressibility;
    let mut content = Content::new(compressibility, CONTENT_SEED);
    let pool = Bytes::copy_from_slice(content.pool());
    for (at, len) in pieces(&start.dirty) {
        let part = content.part(len as usize);
        volume.write(at, pool.slice(part)).await?;
    }
    Ok(())
}

/// Returns when the store is asked for nothing any more: what priming has made the engine read ahead would otherwise
/// arrive, and be counted, in the run itself. An engine that never rests is not waited for.
async fn settle(place: &Place) {
    let mut quiet = 0;
    for _ in 0..MOST_LOOKS {
        quiet = if place.counts().in_flight() == 0 { quiet + 1 } else { 0 };
        if quiet == QUIET_LOOKS {
            return;
        }
        clock::sleep(LOOK).await;
    }
}

/// Configurations that store blocks the same way share a volume and what was put in place on it.
pub(super) fn volume_name(settings: &Settings, piece: usize) -> String {
    let codec = format!("{:?}{:?}", settings.codec, settings.volume.block_hash_prefix);
    let codec = codec
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("p{piece}b{}c{:08x}", settings.volume.block_size.unwrap_or(0), codec & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use s3b_engine::settings::Location;
    use s3b_scenarios::OpKind;

    use super::super::{Candidate, Case, Purpose, Wanted, plan};
    use super::*;
    use crate::answer::goal::GoalKind;
    use crate::connection::Access;
    use crate::outcome::PriceTable;
    use crate::place::Owner;
    use crate::prices::Reader;
    use crate::simulate::{Found, Pace, Tape};

    const BLOCK: u64 = 65536;

    /// Reads blocks 0 to 3, empties block 1 in two halves, and makes block 9.
    fn planned() -> Plan {
        let mut ops: Vec<Op> = (0..4).map(|n| Op::new(0, OpKind::Read, n * BLOCK, BLOCK)).collect();
        ops.extend([0, BLOCK / 2].map(|half| Op::new(1, OpKind::Discard, BLOCK + half, BLOCK / 2)));
        ops.push(Op::new(2, OpKind::Write, 9 * BLOCK, BLOCK));
        let tape = Arc::new(Tape::of_ops("t", ops, Found::WhatIsRead));
        let mut settings = Settings::default();
        settings.volume.block_size = Some(BLOCK);
        let wanted = Wanted {
            purpose: Purpose::Choose,
            candidates: vec![Candidate { configuration: 0, settings }],
            keep: None,
            cases: vec![Case {
                workload: 0,
                tape,
                pace: Pace::Schedule,
                weight: 1.0,
                expected_seconds: 0.0,
                budget_seconds: None,
            }],
            goal: GoalKind::Throughput,
            model: None,
            prices: PriceTable::standard(),
            reader: Reader::InRegion,
            max_dollars: None,
            max_time: std::time::Duration::from_secs(600),
            most_rounds: 1,
            seed: 1,
        };
        plan(wanted, &AtomicBool::new(false)).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_run_begins_as_the_first_and_the_plan_has_its_price() {
        let plan = tokio::task::spawn_blocking(planned).await.unwrap();
        let settings = Settings { location: Location::Memory, ..Settings::default() };
        let access = Access { settings, password: None, access_key: None };
        let place = Place::claim_for(&access, None, Owner::default()).await.unwrap();
        let interrupt = Interrupt::default();
        let mut stage = Stage::new(&plan, &place, &interrupt);
        let scene = stage.scene(0, 0, 0).unwrap();
        let of = |blocks: &[u32]| blocks.iter().map(|n| scene.naming(&place).key(BlockNumber(*n))).collect::<Vec<_>>();
        let there = async || {
            let keys = place.objects().list(&place.volume_prefix(&scene.volume), "").await.unwrap().keys;
            keys.into_iter().filter(|key| !key.ends_with("superblock")).collect::<Vec<_>>()
        };
        stage.one(0, 0, 0).await.unwrap().unwrap();
        assert_eq!(there().await, of(&[0, 2, 3, 9]));
        stage.fill(&scene).await.unwrap();
        assert_eq!(there().await, of(&[0, 1, 2, 3]));
        let mends = scene.wear.requests(BLOCK);
        assert_eq!((mends.puts, mends.put_bytes, mends.deleted_keys), (1, BLOCK, 1));
        assert_eq!(place.clean().await.left, 0);
    }
}
