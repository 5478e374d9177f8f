//! Gathers single deletes into few requests.
//!
//! A delete waits for company at most the delay; a full batch, a caller with many blocks, or a store that waits
//! for a block in the queue ends the wait. Every delete in the queue holds its block's turn, so no block is in it twice.

/// Most deletes in one request: S3's limit.
pub(super) const BATCH: usize = 1000;

/// What is waiting for company. Pure: it says what to send, and when to come back.
#[derive(Debug)]
pub(super) struct Gathering<D> {
    waiting: Vec<D>,
    timer: bool,
}

/// What to do after a [`Gathering::push`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed<D> {
    /// To be sent now, each as one request.
    pub batches: Vec<Vec<D>>,
    /// Call [`Gathering::take`] when the delay has passed.
    pub start_timer: bool,
}

impl<D> Gathering<D> {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), timer: false }
    }

    /// Adds deletes; `now` when their caller has gathered already and none of them should wait.
    pub(super) fn push(&mut self, deletes: impl IntoIterator<Item = D>, now: bool) -> Pushed<D> {
        let mut batches = Vec::new();
        for delete in deletes {
            self.waiting.push(delete);
            if self.waiting.len() == BATCH {
                batches.push(std::mem::take(&mut self.waiting));
            }
        }
        if now && !self.waiting.is_empty() {
            batches.push(std::mem::take(&mut self.waiting));
        }
        let start_timer = !self.waiting.is_empty() && !self.timer;
        self.timer |= start_timer;
        Pushed { batches, start_timer }
    }

    /// The timer is over: all that waits (it may have gone already).
    pub(super) fn take(&mut self) -> Vec<D> {
        self.timer = false;
        std::mem::take(&mut self.waiting)
    }

    /// Whether a timer runs, so that hurrying it has a meaning.
    pub(super) fn timer_runs(&self) -> bool {
        self.timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_wait_for_company_and_share_one_timer() {
        let mut gathering = Gathering::new();
        assert_eq!(gathering.push([1], false), Pushed { batches: vec![], start_timer: true });
        assert_eq!(gathering.push([2], false), Pushed { batches: vec![], start_timer: false });
        assert_eq!(gathering.take(), [1, 2]);
        assert_eq!(gathering.push([3], false), Pushed { batches: vec![], start_timer: true });
    }

    #[test]
    fn a_caller_with_many_takes_the_waiting_along() {
        let mut gathering = Gathering::new();
        gathering.push([1], false);
        assert_eq!(gathering.push([2, 3], true), Pushed { batches: vec![vec![1, 2, 3]], start_timer: false });
        assert!(gathering.timer_runs() && gathering.take().is_empty());
    }

    #[test]
    fn no_batch_exceeds_the_limit() {
        let mut gathering = Gathering::new();
        let sizes = |pushed: &Pushed<usize>| pushed.batches.iter().map(Vec::len).collect::<Vec<_>>();
        let pushed = gathering.push(0..2500, false);
        assert_eq!((sizes(&pushed), pushed.start_timer), (vec![1000, 1000], true));
        let pushed = gathering.push(0..600, true);
        assert_eq!((sizes(&pushed), pushed.start_timer), (vec![1000, 100], false));
    }
}
