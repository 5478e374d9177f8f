//! Which stores of a block may go now, and what may be believed of it: the pure core of the zero map.
//!
//! A block's activity, and what it allows:
//!
//! | activity  | known zero        | candidate of a survey | next store             | a read that saw zero           |
//! |-----------|-------------------|-----------------------|------------------------|--------------------------------|
//! | idle      | maybe             | maybe                 | goes at once           | -                              |
//! | reading   | maybe             | maybe                 | goes, taints the reads | makes it known zero, unless tainted or doubtful |
//! | storing   | no                | no                    | waits its turn         | tainted: believed by nobody    |
//!
//! *Doubtful*: the last non-zero store failed or was dropped; it may still arrive. Only a later successful
//! store ends the doubt (and is itself not believed to have made the block zero), no read does. Everything here errs on one side: a block wrongly taken for non-zero costs a
//! request, a block wrongly taken for zero is lost data.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::bits::Bits;
use crate::geometry::BlockNumber;

/// What a store makes of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Zero,
    NonZero,
}

/// May the store go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// It changes nothing: drop it.
    AlreadyZero,
    Go,
    /// The ticket is kept and comes back from [`Turns::end_store`].
    Wait,
}

/// How a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It never reached the store below.
    NotStarted,
    Stored(Content),
    /// Failed or dropped: old or new, perhaps later.
    InDoubt(Content),
}

/// The answer to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    AlreadyZero,
    Go,
}

/// Turns of all blocks; `T` is a waiting caller.
#[derive(Debug)]
pub(super) struct Turns<T> {
    zero: Arc<Bits>,
    // Looked up by key only, except where the order cannot matter (`start_survey`).
    activity: HashMap<BlockNumber, Activity<T>>,
    doubtful: HashSet<BlockNumber>,
    candidates: Option<Arc<Bits>>,
}

#[derive(Debug)]
struct Activity<T> {
    readers: u32,
    /// A store was under way during these reads.
    tainted: bool,
    storing: bool,
    waiting: VecDeque<(Content, T)>,
}

impl<T> Default for Activity<T> {
    fn default() -> Self {
        Self { readers: 0, tainted: false, storing: false, waiting: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    pub(super) fn new(zero: Arc<Bits>) -> Self {
        Self { zero, activity: HashMap::new(), doubtful: HashSet::new(), candidates: None }
    }

    pub(super) fn begin_read(&mut self, block: BlockNumber) {
        let activity = self.activity.entry(block).or_default();
        activity.readers += 1;
        activity.tainted |= activity.storing;
    }

    pub(super) fn end_read(&mut self, block: BlockNumber, saw_zero: bool) {
        let activity = self.activity.get_mut(&block).expect("every end_read has its begin_read");
        activity.readers -= 1;
        if saw_zero && !activity.tainted && !self.doubtful.contains(&block) {
            self.zero.insert(block);
        }
        self.settle(block);
    }

    pub(super) fn begin_store(&mut self, block: BlockNumber, content: Content, ticket: T) -> Begin {
        if content == Content::Zero && self.zero.contains(block) {
            return Begin::AlreadyZero;
        }
        let activity = self.activity.entry(block).or_default();
        if activity.storing {
            activity.waiting.push_back((content, ticket));
            return Begin::Wait;
        }
        activity.storing = true;
        activity.tainted |= activity.readers > 0;
        self.zero.remove(block);
        if let Some(candidates) = &self.candidates {
            candidates.remove(block);
        }
        Begin::Go
    }

    /// Ends the store under way. Of the answered tickets at most the last has the turn now.
    pub(super) fn end_store(&mut self, block: BlockNumber, end: End) -> Vec<(T, Grant)> {
        let mut is_zero = end == End::Stored(Content::Zero);
        match end {
            End::NotStarted | End::InDoubt(Content::Zero) => {}
            // The doubtful store may have landed between this one's effect and its answer: believe the next read.
            End::Stored(_) => is_zero &= !self.doubtful.remove(&block),
            End::InDoubt(Content::NonZero) => _ = self.doubtful.insert(block),
        }
        let activity = self.activity.get_mut(&block).expect("every end_store has its begin_store");
        let mut answered = Vec::new();
        while let Some((content, ticket)) = activity.waiting.pop_front() {
            if is_zero && content == Content::Zero {
                answered.push((ticket, Grant::AlreadyZero));
            } else {
                answered.push((ticket, Grant::Go));
                return answered;
            }
        }
        activity.storing = false;
        if is_zero {
            self.zero.insert(block);
        }
        self.settle(block);
        answered
    }

    fn settle(&mut self, block: BlockNumber) {
        if self.activity.get(&block).is_some_and(|activity| activity.readers == 0 && !activity.storing) {
            self.activity.remove(&block);
        }
    }

    /// From now on every block that is stored leaves `candidates`; those under way or doubtful leave at once.
    pub(super) fn start_survey(&mut self, candidates: Arc<Bits>) {
        for (block, activity) in &self.activity {
            if activity.storing {
                candidates.remove(*block);
            }
        }
        for block in &self.doubtful {
            candidates.remove(*block);
        }
        self.candidates = Some(candidates);
    }

    /// The survey found this block. Answers whether that contradicts the map: known zero before the survey
    /// began, not stored since, and there. The map yields.
    pub(super) fn survey_found(&mut self, block: BlockNumber) -> bool {
        let untouched = self.candidates.as_ref().is_some_and(|candidates| candidates.remove(block));
        untouched && self.zero.remove(block)
    }

    /// Believes the survey for some words of the map. In portions, so that no store waits long.
    pub(super) fn apply_survey(&mut self, words: Range<usize>) {
        if let Some(candidates) = &self.candidates {
            self.zero.insert_words_of(candidates, words);
        }
    }

    pub(super) fn end_survey(&mut self) {
        self.candidates = None;
    }

    /// The table at the head, executed.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        for (block, activity) in &self.activity {
            assert!(activity.readers > 0 || activity.storing, "{block:?} is idle but kept");
            assert!(activity.storing || activity.waiting.is_empty(), "{block:?}: waiting for nothing");
            if activity.storing {
                assert!(!self.zero.contains(*block), "{block:?} is being stored, yet known zero");
                assert!(self.candidates.as_ref().is_none_or(|c| !c.contains(*block)), "{block:?} is still a candidate");
                assert!(activity.readers == 0 || activity.tainted, "{block:?}: reads not tainted");
            }
        }
        for block in &self.doubtful {
            assert!(!self.zero.contains(*block), "{block:?} is doubtful, yet known zero");
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.activity.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: BlockNumber = BlockNumber(0);

    fn turns() -> (Turns<u32>, Arc<Bits>) {
        let zero = Arc::new(Bits::none(64));
        (Turns::new(zero.clone()), zero)
    }

    #[test]
    fn stores_of_a_block_go_one_by_one_in_order() {
        let (mut turns, zero) = turns();
        assert_eq!(turns.begin_store(BLOCK, Content::NonZero, 0), Begin::Go);
        assert_eq!(turns.begin_store(BLOCK, Content::Zero, 1), Begin::Wait);
        assert_eq!(turns.begin_store(BLOCK, Content::Zero, 2), Begin::Wait);
        assert_eq!(turns.begin_store(BLOCK, Content::NonZero, 3), Begin::Wait);
        assert_eq!(turns.begin_store(BlockNumber(1), Content::NonZero, 4), Begin::Go);
        assert_eq!(turns.end_store(BLOCK, End::Stored(Content::NonZero)), [(1, Grant::Go)]);
        // The second delete has nothing left to do, the write behind it keeps the bit away.
        assert_eq!(turns.end_store(BLOCK, End::Stored(Content::Zero)), [(2, Grant::AlreadyZero), (3, Grant::Go)]);
        assert!(!zero.contains(BLOCK));
        assert_eq!(turns.end_store(BLOCK, End::Stored(Content::NonZero)), []);
        turns.end_store(BlockNumber(1), End::InDoubt(Content::NonZero));
        assert!(turns.is_idle());
    }

    #[test]
    fn a_failed_delete_is_tried_again_by_the_next_in_line() {
        let (mut turns, zero) = turns();
        turns.begin_store(BLOCK, Content::Zero, 0);
        turns.begin_store(BLOCK, Content::Zero, 1);
        assert_eq!(turns.end_store(BLOCK, End::InDoubt(Content::Zero)), [(1, Grant::Go)]);
        turns.end_store(BLOCK, End::Stored(Content::Zero));
        assert!(zero.contains(BLOCK));
        assert_eq!(turns.begin_store(BLOCK, Content::Zero, 2), Begin::AlreadyZero);
    }

    #[test]
    fn a_survey_that_contradicts_the_map_wins() {
        let (mut turns, zero) = turns();
        zero.insert(BLOCK);
        zero.insert(BlockNumber(1));
        turns.start_survey(Arc::new(Bits::all(64)));
        // Block 1 is written and deleted meanwhile: that the listing saw it proves nothing.
        turns.begin_store(BlockNumber(1), Content::NonZero, 0);
        turns.end_store(BlockNumber(1), End::Stored(Content::NonZero));
        turns.begin_store(BlockNumber(1), Content::Zero, 0);
        turns.end_store(BlockNumber(1), End::Stored(Content::Zero));
        assert!(turns.survey_found(BLOCK) && !zero.contains(BLOCK));
        assert!(!turns.survey_found(BlockNumber(1)) && zero.contains(BlockNumber(1)));
    }

    /// What can happen around one block, in the smallest steps: requests begin, take effect and end apart.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        BeginRead,
        ReadSeen,
        EndRead,
        Begin(Content),
        Effect,
        EndStored,
        EndFailed,
        NotStarted,
        GhostLands,
        SurveyStarts,
        SurveyLists,
        SurveyApplies,
        SurveyFails,
    }

    const STEPS: [Step; 14] = [
        Step::BeginRead,
        Step::ReadSeen,
        Step::EndRead,
        Step::Begin(Content::Zero),
        Step::Begin(Content::NonZero),
        Step::Effect,
        Step::EndStored,
        Step::EndFailed,
        Step::NotStarted,
        Step::GhostLands,
        Step::SurveyStarts,
        Step::SurveyLists,
        Step::SurveyApplies,
        Step::SurveyFails,
    ];

    /// The store below, and what is under way between it and the core.
    struct World {
        turns: Turns<Content>,
        zero: Arc<Bits>,
        object_exists: bool,
        /// A failed non-zero store that may still take effect.
        ghost: bool,
        reads: u32,
        /// What the store answered to a read that has not ended yet.
        seen: Vec<bool>,
        storing: Option<(Content, bool)>,
        waiting: usize,
        survey: Option<bool>,
    }

    impl World {
        fn new(object_exists: bool) -> Self {
            let zero = Arc::new(Bits::none(1));
            let turns = Turns::new(zero.clone());
            let idle = (None, 0, None);
            Self {
                turns,
                zero,
                object_exists,
                ghost: false,
                reads: 0,
                seen: Vec::new(),
                storing: idle.0,
                waiting: idle.1,
                survey: idle.2,
            }
        }

        /// Does one step; false where it cannot happen now.
        fn step(&mut self, step: Step) -> bool {
            match step {
                Step::BeginRead if self.reads + (self.seen.len() as u32) < 2 => {
                    self.turns.begin_read(BLOCK);
                    self.reads += 1;
                }
                Step::ReadSeen if self.reads > 0 => {
                    self.reads -= 1;
                    self.seen.push(!self.object_exists);
                }
                Step::EndRead if !self.seen.is_empty() => {
                    let saw_zero = self.seen.remove(0);
                    self.turns.end_read(BLOCK, saw_zero);
                }
                Step::Begin(content) if self.waiting < 2 => match self.turns.begin_store(BLOCK, content, content) {
                    Begin::AlreadyZero => {}
                    Begin::Go => self.storing = Some((content, false)),
                    Begin::Wait => self.waiting += 1,
                },
                Step::Effect => match &mut self.storing {
                    Some((content, effect @ false)) => {
                        *effect = true;
                        self.object_exists = *content == Content::NonZero;
                    }
                    _ => return false,
                },
                Step::EndStored => match self.storing {
                    Some((content, true)) => {
                        // What a successful store proves about earlier doubts is the store's promise.
                        self.ghost = false;
                        self.end(End::Stored(content));
                    }
                    _ => return false,
                },
                Step::EndFailed => match self.storing {
                    Some((content, effect)) => {
                        self.ghost |= content == Content::NonZero && !effect;
                        self.end(End::InDoubt(content));
                    }
                    _ => return false,
                },
                Step::NotStarted => match self.storing {
                    Some((_, false)) => self.end(End::NotStarted),
                    _ => return false,
                },
                Step::GhostLands if self.ghost => {
                    self.ghost = false;
                    self.object_exists = true;
                }
                Step::SurveyStarts if self.survey.is_none() => {
                    self.turns.start_survey(Arc::new(Bits::all(1)));
                    self.survey = Some(false);
                }
                Step::SurveyLists if self.survey == Some(false) => {
                    if self.object_exists {
                        assert!(!self.turns.survey_found(BLOCK), "nobody else writes here");
                    }
                    self.survey = Some(true);
                }
                Step::SurveyApplies if self.survey == Some(true) => {
                    self.turns.apply_survey(0..1);
                    self.turns.end_survey();
                    self.survey = None;
                }
                Step::SurveyFails if self.survey.is_some() => {
                    self.turns.end_survey();
                    self.survey = None;
                }
                _ => return false,
            }
            true
        }

        fn end(&mut self, end: End) {
            self.storing = None;
            for (content, grant) in self.turns.end_store(BLOCK, end) {
                self.waiting -= 1;
                if grant == Grant::Go {
                    assert!(self.storing.is_none(), "two stores at once");
                    self.storing = Some((content, false));
                }
            }
        }

        fn check(&self) {
            self.turns.check_invariants();
            assert_eq!(self.waiting > 0, self.waiting > 0 && self.storing.is_some(), "a store waits for nobody");
            if self.zero.contains(BLOCK) {
                assert!(!self.object_exists, "known zero, but the object exists");
                assert!(!self.ghost, "known zero, but an old store may still land");
            }
        }
    }

    /// Every sequence of steps up to a length, replayed from the start (the core need not be cloneable).
    fn explore(path: &mut Vec<Step>, depth: usize, visited: &mut u64, learned: &mut u64) {
        if depth == 0 {
            return;
        }
        for step in STEPS {
            let mut worlds = [World::new(false), World::new(true)];
            let mut possible = false;
            path.push(step);
            for world in &mut worlds {
                let (last, before) = path.split_last().expect("just pushed");
                let replayed = before.iter().all(|step| world.step(*step));
                if replayed && world.step(*last) {
                    possible = true;
                    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
                    assert!(checked.is_ok(), "after {path:?}");
                    *learned += u64::from(world.zero.contains(BLOCK));
                }
            }
            if possible {
                *visited += 1;
                explore(path, depth - 1, visited, learned);
            }
            path.pop();
        }
    }

    #[test]
    fn every_short_story_of_reads_stores_and_surveys_is_safe() {
        let (mut visited, mut learned) = (0, 0);
        explore(&mut Vec::new(), 8, &mut visited, &mut learned);
        // Neither vacuous nor so careful that nothing is ever learned.
        assert!(visited > 100_000, "{visited}");
        assert!(learned > 1_000, "{learned}");
    }
}
