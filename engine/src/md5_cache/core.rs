//! What the MD5 cache knows of each block, and what a caller may do next: the pure core.
//!
//! | state                 | entered by                 | a read                                    | a write                                  | left by                        |
//! |-----------------------|----------------------------|-------------------------------------------|------------------------------------------|--------------------------------|
//! | absent (CLEAN)        | -                          | passes                                    | stores; waits while the table is full    | a write                        |
//! | WRITING (data)        | a write that may store     | is answered with the data in flight       | waits for the end of the store           | the store's end, or its drop   |
//! | WRITTEN (ETag, t)     | a store that succeeded     | zero: answered; else strict with the ETag | waits until t + min write delay          | a write; expiry at t + time    |
//! | WRITTEN (unknown, t)  | a store that failed        | waits until t + min write delay, forgets the entry, passes | as above                | that read; a write; expiry     |
//!
//! Invariants: as many entries as blocks that are WRITING or WRITTEN, at most `size`; `by_age` holds exactly the WRITTEN
//! ones, the oldest first. Time is an argument: the time since the cache was made. What expires does so before every step.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;

use crate::data::BlockData;
use crate::etag::ETag;
use crate::geometry::BlockNumber;
use crate::settings::Md5CacheSettings;

#[derive(Debug)]
pub(super) struct Core {
    settings: Md5CacheSettings,
    // Looked up by key only; `holding` sorts.
    entries: HashMap<BlockNumber, State>,
    by_age: BTreeSet<(Duration, BlockNumber)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Writing(BlockData),
    /// `None`: the store failed, old and new content are both possible.
    Written(Option<ETag>, Duration),
}

/// How a read goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// This is what is being stored.
    InFlight(BlockData),
    /// The block is zero.
    Zero,
    /// Ask the store, which must answer this content.
    Strict(ETag),
    /// Nothing is known: ask the store.
    Pass,
    /// Try again then.
    WaitUntil(Duration),
}

/// Why a write may not store yet, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Another store of the block is under way: after the next [`Core::end_write`].
    ForStore,
    /// The last store of the block was too recent: then.
    Until(Duration),
    /// The table is full: when an entry may have gone, then at the latest where a time is given.
    ForRoom(Option<Duration>),
}

impl Core {
    pub(super) fn new(settings: Md5CacheSettings) -> Self {
        Self { settings, entries: HashMap::new(), by_age: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn read(&mut self, block: BlockNumber, now: Duration) -> ReadStep {
        self.expire(now);
        match self.entries.get(&block) {
            None => ReadStep::Pass,
            Some(State::Writing(data)) => ReadStep::InFlight(data.clone()),
            Some(State::Written(Some(etag), _)) if etag.is_zero_block() => ReadStep::Zero,
            Some(State::Written(Some(etag), _)) => ReadStep::Strict(*etag),
            Some(State::Written(None, at)) => {
                let until = at.saturating_add(self.settings.min_write_delay);
                if now < until {
                    return ReadStep::WaitUntil(until);
                }
                self.forget(block);
                ReadStep::Pass
            }
        }
    }

    /// `Ok`: store now, then call [`Core::end_write`].
    pub(super) fn write(&mut self, block: BlockNumber, data: &BlockData, now: Duration) -> Result<(), Wait> {
        self.expire(now);
        match self.entries.get(&block) {
            Some(State::Writing(_)) => return Err(Wait::ForStore),
            Some(State::Written(_, at)) => {
                let until = at.saturating_add(self.settings.min_write_delay);
                if now < until {
                    return Err(Wait::Until(until));
                }
                self.forget(block);
            }
            None if self.entries.len() >= self.settings.size as usize => {
                return Err(Wait::ForRoom(self.next_expiry()));
            }
            None => {}
        }
        self.entries.insert(block, State::Writing(data.clone()));
        Ok(())
    }

    /// A store ended: with an ETag, or (failed, dropped, or no ETag in the answer) nobody knows how.
    pub(super) fn end_write(&mut self, block: BlockNumber, etag: Option<ETag>, now: Duration) {
        let before = self.entries.insert(block, State::Written(etag, now));
        debug_assert!(matches!(before, Some(State::Writing(_))), "{block:?} was not being stored");
        self.by_age.insert((now, block));
    }

    /// Whether the block is surely zero; `None` when nothing is known here.
    pub(super) fn is_zero(&self, block: BlockNumber) -> Option<bool> {
        match self.entries.get(&block)? {
            State::Writing(_) => Some(false),
            State::Written(etag, _) => Some(etag.is_some_and(|etag| etag.is_zero_block())),
        }
    }

    /// Whether the block was stored again (or is being stored) since it had this ETag.
    pub(super) fn is_superseded(&self, block: BlockNumber, etag: ETag) -> bool {
        self.entries.get(&block).is_some_and(|state| !matches!(state, State::Written(Some(now), _) if *now == etag))
    }

    /// The blocks that may be non-zero as far as this cache knows, rising.
    pub(super) fn holding(&self) -> Vec<BlockNumber> {
        let mut blocks: Vec<BlockNumber> = self
            .entries
            .iter()
            .filter(|(_, state)| !matches!(state, State::Written(Some(ETag::ZERO_BLOCK), _)))
            .map(|(block, _)| *block)
            .collect();
        blocks.sort_unstable();
        blocks
    }

    fn next_expiry(&self) -> Option<Duration> {
        let (oldest, _) = self.by_age.first()?;
        (!self.settings.time.is_zero()).then(|| oldest.saturating_add(self.settings.time))
    }

    fn expire(&mut self, now: Duration) {
        while self.next_expiry().is_some_and(|expiry| expiry <= now) {
            let (_, block) = self.by_age.pop_first().expect("an expiry has an entry");
            self.entries.remove(&block);
        }
    }

    fn forget(&mut self, block: BlockNumber) {
        if let Some(State::Written(_, at)) = self.entries.remove(&block) {
            self.by_age.remove(&(at, block));
        }
    }

    /// The table at the head, executed.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.entries.len() <= self.settings.size as usize);
        let written: BTreeSet<(Duration, BlockNumber)> = self
            .entries
            .iter()
            .filter_map(|(block, state)| match state {
                State::Written(_, at) => Some((*at, *block)),
                State::Writing(_) => None,
            })
            .collect();
        assert_eq!(self.by_age, written);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const A: BlockNumber = BlockNumber(1);
    const B: BlockNumber = BlockNumber(2);
    const C: BlockNumber = BlockNumber(3);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn core(size: u32, time: u64, min_write_delay: u64) -> Core {
        Core::new(Md5CacheSettings { size, time: ms(time), min_write_delay: ms(min_write_delay) })
    }

    fn data() -> BlockData {
        BlockData::Bytes(Bytes::from_static(b"data"))
    }

    fn etag(n: u8) -> ETag {
        ETag([n; 16])
    }

    #[test]
    fn a_block_goes_through_its_states() {
        let mut core = core(10, 1000, 300);
        assert_eq!(core.read(A, ms(0)), ReadStep::Pass);
        assert_eq!(core.write(A, &data(), ms(0)), Ok(()));
        assert_eq!(core.read(A, ms(10)), ReadStep::InFlight(data()));
        assert_eq!(core.write(A, &data(), ms(10)), Err(Wait::ForStore));
        core.end_write(A, Some(etag(1)), ms(50));
        assert_eq!(core.read(A, ms(60)), ReadStep::Strict(etag(1)));
        assert_eq!(core.write(A, &data(), ms(349)), Err(Wait::Until(ms(350))));
        assert_eq!(core.write(A, &data(), ms(350)), Ok(()));
        core.end_write(A, Some(ETag::ZERO_BLOCK), ms(400));
        assert_eq!(core.read(A, ms(1399)), ReadStep::Zero);
        assert_eq!(core.is_zero(A), Some(true));
        assert_eq!(core.read(A, ms(1400)), ReadStep::Pass);
        assert_eq!((core.len(), core.is_zero(A)), (0, None));
    }

    #[test]
    fn after_a_failed_store_a_read_waits_and_then_asks_plainly() {
        let mut core = core(10, 0, 300);
        core.write(A, &data(), ms(0)).unwrap();
        core.end_write(A, None, ms(100));
        assert_eq!(core.is_zero(A), Some(false));
        assert_eq!(core.read(A, ms(100)), ReadStep::WaitUntil(ms(400)));
        assert_eq!(core.write(A, &data(), ms(399)), Err(Wait::Until(ms(400))));
        assert_eq!(core.read(A, ms(400)), ReadStep::Pass);
        assert_eq!(core.len(), 0);
    }

    #[test]
    fn a_full_table_waits_for_the_oldest() {
        let mut core = core(2, 1000, 0);
        core.write(A, &data(), ms(0)).unwrap();
        core.write(B, &data(), ms(0)).unwrap();
        assert_eq!(core.write(C, &data(), ms(1)), Err(Wait::ForRoom(None)), "nothing can expire yet");
        core.end_write(B, Some(etag(2)), ms(10));
        core.end_write(A, Some(etag(1)), ms(20));
        assert_eq!(core.write(C, &data(), ms(30)), Err(Wait::ForRoom(Some(ms(1010)))));
        // Rewriting a block that is here needs no room, and makes it young.
        assert_eq!(core.write(B, &data(), ms(40)), Ok(()));
        core.end_write(B, Some(etag(3)), ms(50));
        assert_eq!(core.write(C, &data(), ms(60)), Err(Wait::ForRoom(Some(ms(1020)))));
        assert_eq!(core.write(C, &data(), ms(1020)), Ok(()));
        assert_eq!(core.read(A, ms(1020)), ReadStep::Pass);
        assert_eq!(core.holding(), [B, C]);
    }

    #[test]
    fn without_a_time_nothing_expires() {
        let mut core = core(1, 0, 0);
        core.write(A, &data(), ms(0)).unwrap();
        core.end_write(A, Some(etag(1)), ms(0));
        assert_eq!(core.read(A, Duration::from_secs(1 << 30)), ReadStep::Strict(etag(1)));
        assert_eq!(core.write(B, &data(), Duration::from_secs(1 << 30)), Err(Wait::ForRoom(None)));
    }

    /// Everything that can happen to two blocks in a table of one, in every order, against the rules said once more.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Read(BlockNumber),
        Write(BlockNumber),
        End(BlockNumber, Option<u8>),
        Pass(u64),
    }

    const EVENTS: [Event; 10] = [
        Event::Read(A),
        Event::Read(B),
        Event::Write(A),
        Event::Write(B),
        Event::End(A, Some(1)),
        Event::End(A, Some(0)),
        Event::End(A, None),
        Event::End(B, Some(2)),
        Event::Pass(100),
        Event::Pass(700),
    ];

    fn play(events: &[Event], size: u32, time: u64) -> bool {
        let (delay, mut now, mut core) = (300, 0, core(size, time, 300));
        // Per block: under way, or how and when it ended.
        let mut known: [Option<(bool, Option<u8>, u64)>; 3] = [None; 3];
        for event in events {
            let live = |known: &[Option<(bool, Option<u8>, u64)>; 3], now: u64, n: usize| {
                known[n].filter(|(writing, _, at)| *writing || time == 0 || now < at + time)
            };
            match *event {
                Event::Read(block) => {
                    let wanted = match live(&known, now, block.0 as usize) {
                        None => ReadStep::Pass,
                        Some((true, ..)) => ReadStep::InFlight(data()),
                        Some((_, Some(0), _)) => ReadStep::Zero,
                        Some((_, Some(n), _)) => ReadStep::Strict(etag(n)),
                        Some((_, None, at)) if now < at + delay => ReadStep::WaitUntil(ms(at + delay)),
                        Some((_, None, _)) => {
                            known[block.0 as usize] = None;
                            ReadStep::Pass
                        }
                    };
                    assert_eq!(core.read(block, ms(now)), wanted, "after {events:?}");
                }
                Event::Write(block) => {
                    let held = (0..3).filter(|n| live(&known, now, *n).is_some()).count();
                    let oldest = (0..3).filter_map(|n| live(&known, now, n)).filter(|k| !k.0).map(|k| k.2).min();
                    let wanted = match live(&known, now, block.0 as usize) {
                        Some((true, ..)) => Err(Wait::ForStore),
                        Some((_, _, at)) if now < at + delay => Err(Wait::Until(ms(at + delay))),
                        None if held >= size as usize => {
                            Err(Wait::ForRoom(oldest.filter(|_| time > 0).map(|at| ms(at + time))))
                        }
                        _ => {
                            known[block.0 as usize] = Some((true, None, now));
                            Ok(())
                        }
                    };
                    assert_eq!(core.write(block, &data(), ms(now)), wanted, "after {events:?}");
                }
                Event::End(block, result) => {
                    if !known[block.0 as usize].is_some_and(|(writing, ..)| writing) {
                        return false;
                    }
                    known[block.0 as usize] = Some((false, result, now));
                    core.end_write(block, result.map(etag), ms(now));
                }
                Event::Pass(time) => now += time,
            }
            core.check_invariants();
        }
        true
    }

    fn explore(events: &mut Vec<Event>, depth: usize, played: &mut u64) {
        for event in EVENTS {
            events.push(event);
            let possible = [(1, 0), (1, 1000), (2, 500)].iter().all(|(size, time)| play(events, *size, *time));
            *played += u64::from(possible);
            if possible && depth > 1 {
                explore(events, depth - 1, played);
            }
            events.pop();
        }
    }

    #[test]
    fn every_short_story_follows_the_table() {
        let mut played = 0;
        explore(&mut Vec::new(), 6, &mut played);
        assert!(played > 50_000, "{played}");
    }
}
