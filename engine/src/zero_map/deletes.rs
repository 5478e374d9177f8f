//! The way of a delete: its turn, company for the request, the answer to its caller.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::oneshot;

use super::turns::{Content, End};
use super::{Granted, Inner, Turn};
use crate::clock;
use crate::data::BlockData;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::BlockNumber;

/// A delete that has its turn.
pub(super) struct Delete {
    turn: Turn,
    done: oneshot::Sender<Result<()>>,
}

impl Inner {
    /// Makes one block zero.
    pub(super) async fn delete(self: &Arc<Self>, block: BlockNumber) -> Result<()> {
        if self.zero.contains(block) {
            self.stats.zero_map.write_hits.increment();
            return Ok(());
        }
        let granted = self.take_turn(block, Content::Zero).await;
        self.finish_delete(block, granted).await
    }

    async fn finish_delete(self: &Arc<Self>, block: BlockNumber, granted: Granted) -> Result<()> {
        match granted {
            Granted::AlreadyZero => {
                self.stats.zero_map.write_hits.increment();
                Ok(())
            }
            Granted::Turn(turn) => {
                let (done, answer) = oneshot::channel();
                self.gather([Delete { turn, done }], false);
                answered(block, answer).await
            }
        }
    }

    /// Makes many blocks zero; rising, no block twice. Those whose turn is free go out together and at once, those
    /// known to be zero cost next to nothing (a discard of a new volume is millions of them).
    pub(super) async fn delete_all(self: &Arc<Self>, blocks: Vec<BlockNumber>) -> Vec<(BlockNumber, Result<()>)> {
        let (zero, blocks): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| self.zero.contains(*block));
        self.stats.zero_map.write_hits.add(zero.len() as u64);
        let mut deletes = Vec::new();
        let mut results: Vec<BoxFuture<'_, Result<()>>> = Vec::with_capacity(blocks.len());
        let mut waits = false;
        for &block in &blocks {
            match self.ask_turn(block, Content::Zero) {
                Ok(Granted::Turn(turn)) => {
                    let (done, answer) = oneshot::channel();
                    deletes.push(Delete { turn, done });
                    results.push(answered(block, answer).boxed());
                }
                Ok(granted) => results.push(self.finish_delete(block, granted).boxed()),
                Err(waiting) => {
                    waits = true;
                    results.push(self.delete_in_turn(block, waiting).boxed());
                }
            }
        }
        self.gather(deletes, true);
        if waits {
            self.hurry_deletes();
        }
        let mut all: Vec<_> = zero.into_iter().map(|block| (block, Ok(()))).collect();
        all.extend(blocks.into_iter().zip(join_all(results).await));
        all.sort_unstable_by_key(|(block, _)| *block);
        all
    }

    async fn delete_in_turn(self: &Arc<Self>, block: BlockNumber, waiting: oneshot::Receiver<Granted>) -> Result<()> {
        let granted = waiting.await.expect("tickets are answered as long as the map lives");
        self.finish_delete(block, granted).await
    }

    fn gather(self: &Arc<Self>, deletes: impl IntoIterator<Item = Delete>, now: bool) {
        let now = now || self.settings.delete_delay.is_zero() || *self.closing.borrow();
        let pushed = self.gathering.lock().push(deletes, now);
        for batch in pushed.batches {
            self.send(batch);
        }
        if pushed.start_timer {
            let (inner, running) = (self.clone(), self.running.begin());
            tokio::spawn(async move {
                let _running = running;
                tokio::select! {
                    biased;
                    () = inner.hurry.notified() => {}
                    () = clock::sleep(inner.settings.delete_delay) => {}
                }
                let batch = inner.gathering.lock().take();
                if !batch.is_empty() {
                    inner.send(batch);
                }
            });
        }
    }

    /// A store waits for a turn that a gathered delete may hold.
    pub(super) fn hurry_deletes(&self) {
        if self.gathering.lock().timer_runs() {
            self.hurry.notify_one();
        }
    }

    /// Sends one batch from a task of its own: no caller that gives up may take the others' deletes along.
    fn send(self: &Arc<Self>, mut batch: Vec<Delete>) {
        let (below, running) = (self.below.clone(), self.running.begin());
        self.stats.zero_map.batched_deletes.add(batch.len() as u64);
        for delete in &mut batch {
            delete.turn.end = End::InDoubt(Content::Zero);
        }
        tokio::spawn(async move {
            let _running = running;
            let blocks: Vec<BlockNumber> = batch.iter().map(|delete| delete.turn.block).collect();
            // A lone delete goes as a plain DELETE, which every server knows.
            let answers = match blocks[..] {
                [block] => vec![(block, below.write(block, BlockData::Zero, false).await.map(|_| ()))],
                _ => below.delete_many(blocks).await,
            };
            let mut answers: HashMap<BlockNumber, Result<()>> = answers.into_iter().collect();
            for mut delete in batch {
                let block = delete.turn.block;
                let answer = answers.remove(&block).unwrap_or_else(|| {
                    Err(Error::transient(format!("{block:?}: the store did not answer its delete")))
                });
                if answer.is_ok() {
                    delete.turn.end = End::Stored(Content::Zero);
                }
                drop(delete.turn);
                // The caller may have gone; the block is zero all the same.
                let _ = delete.done.send(answer);
            }
        });
    }
}

async fn answered(block: BlockNumber, answer: oneshot::Receiver<Result<()>>) -> Result<()> {
    answer.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Closed, format!("{block:?}: the engine shut down before its delete was answered")))
    })
}
