//! Does what the core asks for: the one lock, the one loop, a task per request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::buffer::Form;
use super::content::Base;
use super::core::{Arrived, Core, Effect, Micros, Step, Wake};
use super::disk::{CacheFile, Slot};
use super::slot;
use super::ticket::Ticket;
use crate::clock::{self, Instant};
use crate::cpu::Cpu;
use crate::data::BlockData;
use crate::error::{Error, Result};
use crate::geometry::BlockNumber;
use crate::stats::Stats;
use crate::store::{BlockStore, Expect, Fetched};

pub(super) struct Shared {
    guarded: Mutex<Guarded>,
    pub(super) store: Arc<dyn BlockStore>,
    pub(super) cpu: Cpu,
    pub(super) stats: Arc<Stats>,
    pub(super) file: Option<Arc<CacheFile>>,
    pub(super) form: Form,
    poll: Notify,
    pub(super) persist: Notify,
    closing: AtomicBool,
    epoch: Instant,
    runtime: Handle,
}

pub(super) struct Guarded {
    core: Core,
    waiting: HashMap<Ticket, oneshot::Sender<Wake>>,
}

/// Resolves when its ticket is called.
pub(super) struct Waiter {
    called: oneshot::Receiver<Wake>,
    shared: Arc<Shared>,
}

impl Future for Waiter {
    type Output = Wake;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Wake> {
        // A ticket is dropped uncalled only together with the cache.
        Pin::new(&mut self.called).poll(context).map(|wake| wake.unwrap_or(Wake::Retry))
    }
}

impl Drop for Waiter {
    /// Called, and gone before it looked: the room it was let in for is the next one's.
    fn drop(&mut self) {
        if self.called.try_recv().is_ok() {
            self.shared.step(|core, _| core.pass_on_room());
        }
    }
}

impl std::ops::Deref for Guarded {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Shared {
    pub(super) fn new(
        core: Core,
        store: Arc<dyn BlockStore>,
        cpu: Cpu,
        stats: Arc<Stats>,
        file: Option<Arc<CacheFile>>,
    ) -> Self {
        Self {
            form: core.form(),
            guarded: Mutex::new(Guarded { core, waiting: HashMap::new() }),
            store,
            cpu,
            stats,
            file,
            poll: Notify::new(),
            persist: Notify::new(),
            closing: AtomicBool::new(false),
            epoch: clock::now(),
            runtime: Handle::current(),
        }
    }

    /// For looking only; [`Shared::step`] is for calls that have effects.
    pub(super) fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock()
    }

    /// Calls the core and carries out what it asks for.
    pub(super) fn step<T>(self: &Arc<Self>, call: impl FnOnce(&mut Core, Micros) -> T) -> T {
        let now = self.now();
        let mut guarded = self.guarded.lock();
        let answer = call(&mut guarded.core, now);
        if guarded.core.has_effects() {
            self.carry_out(guarded);
        }
        answer
    }

    /// As [`Shared::step`], for a call that may answer a ticket to wait for.
    pub(super) fn step_waiting<E>(
        self: &Arc<Self>,
        call: impl FnOnce(&mut Core, Micros) -> std::result::Result<Ticket, E>,
    ) -> std::result::Result<Waiter, E> {
        let now = self.now();
        let mut guarded = self.guarded.lock();
        let answer = call(&mut guarded.core, now).map(|ticket| {
            let (sender, receiver) = oneshot::channel();
            guarded.waiting.insert(ticket, sender);
            Waiter { called: receiver, shared: self.clone() }
        });
        if guarded.core.has_effects() {
            self.carry_out(guarded);
        }
        answer
    }

    /// Tells the persister to carry what there is, and to end.
    pub(super) fn close_persister(&self) {
        self.closing.store(true, Ordering::Release);
        self.persist.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn now(&self) -> Micros {
        (clock::now() - self.epoch).as_micros() as Micros
    }

    fn carry_out(self: &Arc<Self>, mut guarded: MutexGuard<'_, Guarded>) {
        let mut calls = Vec::new();
        let mut rest = Vec::new();
        while guarded.core.has_effects() {
            for effect in guarded.core.take_effects() {
                let Effect::Wake(ticket, wake) = effect else {
                    rest.push(effect);
                    continue;
                };
                match guarded.waiting.remove(&ticket) {
                    Some(sender) if !sender.is_closed() => calls.push((sender, wake)),
                    // Nobody waits any more; if it was let in for room, the next one may have it.
                    _ => guarded.core.pass_on_room(),
                }
            }
        }
        drop(guarded);
        for (sender, wake) in calls {
            if sender.send(wake).is_err() {
                self.step(|core, _| core.pass_on_room());
            }
        }
        for effect in rest {
            self.perform(effect);
        }
    }

    fn perform(self: &Arc<Self>, effect: Effect) {
        let shared = self.clone();
        match effect {
            Effect::Wake(..) => {}
            Effect::Poll => self.poll.notify_one(),
            Effect::Persist => self.persist.notify_one(),
            Effect::Fetch { index, block, expect } => {
                self.runtime.spawn(async move {
                    let result = shared.fetch(block, expect).await;
                    shared.step(|core, now| core.fetched(index, result, now));
                });
            }
            Effect::Load { index, slot } => {
                self.runtime.spawn(async move { shared.load(index, slot).await });
            }
            Effect::Work { index } => {
                self.runtime.spawn(async move { shared.work(index).await });
            }
            Effect::Delete { items } => {
                self.runtime.spawn(async move {
                    let blocks = items.iter().map(|(_, block)| *block).collect();
                    let results = shared.store.delete_many(blocks).await;
                    let results = match_up(&items, results);
                    shared.step(|core, now| core.deleted(results, now));
                });
            }
        }
    }

    async fn fetch(&self, block: BlockNumber, expect: Expect) -> Result<Arrived> {
        match self.store.read(block, expect).await? {
            Fetched::Unchanged => Ok(Arrived::Unchanged),
            Fetched::Data(BlockData::Zero, etag) => Ok(Arrived::Data(Base::Zero, etag)),
            // Copied here, outside the lock, into a buffer that can be written later.
            Fetched::Data(BlockData::Bytes(bytes), etag) => {
                Ok(Arrived::Data(Base::Memory(self.form.holding(&bytes)), etag))
            }
        }
    }

    /// Does what waits for the cache file's disk, also where that disk is only modelled.
    pub(super) async fn on_file<T: Send + 'static>(
        &self,
        file: &Arc<CacheFile>,
        work: impl FnOnce(&CacheFile) -> T + Send + 'static,
    ) -> T {
        let file = file.clone();
        let timed = move || {
            let answer = work(&file);
            (answer, file.done_at())
        };
        let (answer, done_at) = self.cpu.block(timed).await;
        if let Some(at) = done_at {
            clock::sleep_until(at).await;
        }
        answer
    }

    /// Loads an entry's slot; answers whether its task may go on.
    pub(super) async fn load(self: &Arc<Self>, index: u32, index_in_file: u32) -> bool {
        let Some(file) = self.file.clone() else { return false };
        let (block, form) = (self.lock().block_of(index), self.form);
        let read = move |file: &CacheFile| slot::read(file, block, Slot(index_in_file), form).map(Base::Memory);
        let result = self.on_file(&file, read).await;
        self.step(|core, now| core.loaded(index, index_in_file, result, now))
    }

    /// Carries one entry to the store.
    async fn work(self: &Arc<Self>, index: u32) {
        loop {
            match self.step(|core, _| core.next_step(index)) {
                Step::Again => {}
                Step::Finished => return,
                Step::Load(slot) => {
                    if !self.load(index, slot).await {
                        return;
                    }
                }
                Step::Private(shared) => {
                    let private = shared.private_copy();
                    self.step(|core, _| core.replace_base(index, &shared, private));
                }
                Step::Merge(block) => {
                    let result = self.fetch(block, Expect::Any).await;
                    if !self.step(|core, now| core.merged(index, result, now)) {
                        return;
                    }
                }
                Step::Store(block, data) => {
                    let wants_etag = self.file.is_some();
                    let result = self.store.write(block, data, wants_etag).await;
                    self.step(|core, now| core.stored(index, result, now));
                    return;
                }
            }
        }
    }
}

/// Answers in the order of the items; the store may answer in any.
fn match_up(items: &[(u32, BlockNumber)], results: Vec<(BlockNumber, Result<()>)>) -> Vec<(u32, Result<()>)> {
    let mut results: HashMap<BlockNumber, Result<()>> = results.into_iter().collect();
    let unanswered = || Err(Error::transient("the store did not answer for this block"));
    items.iter().map(|(index, block)| (*index, results.remove(block).unwrap_or_else(unanswered))).collect()
}

/// Starts what is due, sleeps until the next is.
pub(super) async fn drive(shared: Arc<Shared>) {
    loop {
        let known_zero = |block| shared.store.known_zero(block);
        let next = shared.step(|core, now| core.poll(now, known_zero));
        let called = shared.poll.notified();
        match next {
            None => {
                called.await;
                shared.cpu.wake_up().await;
            }
            Some(at) => {
                let deadline = shared.epoch + Duration::from_micros(at);
                tokio::select! {
                    biased;
                    () = called => shared.cpu.wake_up().await,
                    () = clock::sleep_until(deadline) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_items_in_any_order() {
        let items = [(7, BlockNumber(3)), (8, BlockNumber(1)), (9, BlockNumber(2))];
        let results = vec![(BlockNumber(1), Ok(())), (BlockNumber(3), Err(Error::failed("no")))];
        let matched = match_up(&items, results);
        let told: Vec<_> = matched.iter().map(|(index, result)| (*index, result.is_ok())).collect();
        assert_eq!(told, [(7, false), (8, true), (9, false)], "an unanswered block is not stored");
        assert!(matched[2].1.as_ref().is_err_and(Error::is_transient));
    }
}
