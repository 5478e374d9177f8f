//! One run: a workload on one configuration, from a cold cache to the end of its final flush.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{StreamExt, stream};
use s3b_engine::settings::{Durability, Settings, SurveyMode};
use s3b_scenarios::StreamProperties;
use s3b_scenarios::content::{Content, ContentProperties};

use crate::interrupt::Interrupt;
use crate::measure::Measured;
use crate::outcome::StoreLedger;
use crate::place::Place;
use crate::replay::{self, Options, Progress};
use crate::simulate::Tape;
use crate::turns::Pace;
use crate::workload::BlockSet;

/// Blocks in flight while data is put in place before a run.
const FILLS_AT_A_TIME: usize = 64;

/// Any number; the same bytes for every run.
pub(crate) const CONTENT_SEED: u64 = 0x5b;

/// What one run gave.
#[derive(Clone, Debug)]
pub struct RunResult {
    pub measured: Measured,
    /// Sent during the run, its final flush included; opening and closing the volume are not.
    pub requests: StoreLedger,
    /// What the engine said when the volume was opened.
    pub notices: Vec<String>,
}

/// Stores the blocks that a workload finds in place, at the store's own speed. Answers how many.
pub async fn prefill(
    place: &Place,
    settings: &Settings,
    name: &str,
    blocks: &BlockSet,
    content: &ContentProperties,
    interrupt: &Interrupt,
) -> Result<u64> {
    if blocks.count() == 0 {
        return Ok(0);
    }
    place.model_off();
    let mut settings = settings.clone();
    settings.block_cache.threads = FILLS_AT_A_TIME as u32;
    settings.zero_map.survey = SurveyMode::Off;
    // Filling goes to the store in any case.
    (settings.block_cache.file, settings.durability) = (None, Durability::Store);
    let stack = place.open(&settings, name).await.context("cannot open the volume to fill it")?;
    let volume = stack.volume();
    let block_size = volume.geometry().block_size() as usize;
    // What was there before is data, also where some of what is written is zero.
    let mut content = Content::new(content.compressibility, 0);
    let pool = Bytes::copy_from_slice(content.pool());
    let mut writes = stream::iter(blocks.iter().take_while(|_| !interrupt.is_asked()))
        .map(|block| {
            // Blocks longer than the pool's parts repeat one.
            let part = content.part(block_size.min(Content::MAX_LEN));
            let data = if part.len() == block_size {
                pool.slice(part)
            } else {
                pool[part].repeat(block_size / Content::MAX_LEN).into()
            };
            let volume = volume.clone();
            async move { volume.write(u64::from(block) * block_size as u64, data).await }
        })
        .buffer_unordered(FILLS_AT_A_TIME);
    let mut result = Ok(());
    while let Some(written) = writes.next().await {
        result = result.and(written);
    }
    drop(writes);
    let closed = stack.close().await;
    result.and(closed).context("cannot fill the volume")?;
    Ok(blocks.count())
}

/// What to run.
pub struct Run<'a> {
    pub settings: &'a Settings,
    /// The volume's name in its place.
    pub volume: &'a str,
    pub tape: &'a Tape,
    pub device_starts: Vec<u64>,
    pub pace: Pace,
    /// The tape's, or with other bounds.
    pub streams: Vec<StreamProperties>,
    /// Seed of a model's latencies; runs to be compared have the same.
    pub weather: u64,
}

/// Runs a workload on a volume of this place that was filled before. The cache is cold, the model on from the first
/// operation on.
pub async fn run(place: &Place, run: Run<'_>, interrupt: &Interrupt, progress: &mut dyn Progress) -> Result<RunResult> {
    place.model_off();
    let stack = place.open(run.settings, run.volume).await.context("cannot open the volume")?;
    place.model_on(run.weather);
    let sent = || {
        let retries = stack.stats().http.num_retries.get();
        StoreLedger { retries, throttled: place.throttled(), ..place.requests() }
    };
    let before = sent();
    let Run { tape, device_starts, pace, streams, .. } = run;
    let options = Options { pace, device_starts, streams, seed: CONTENT_SEED };
    let measured = match tape.ops() {
        Ok(ops) => replay::replay(stack.volume(), ops, &options, interrupt, progress).await,
        Err(error) => Err(error),
    };
    // Everything is stored by now; what closing asks of the store belongs to no operation.
    let requests = sent().since(&before);
    place.model_off();
    let closed = stack.close().await;
    let measured = measured?;
    closed.context("cannot close the volume")?;
    Ok(RunResult { measured, requests, notices: stack.notices().to_vec() })
}
