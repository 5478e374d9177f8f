//! Where the threads that answer the kernel leave what they were asked for.
//!
//! One short lock, held for two dozen instructions and a look at the clock. Never waits for anybody, does no I/O, and
//! allocates once per frame of thousands of operations: what the writer has no room for is counted, not kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use parking_lot::Mutex;
use s3b_engine::clock;
use s3b_engine::stats::Counter;
use s3b_scenarios::trace::s3bt::{Encoder, Frame, Header};
use s3b_scenarios::{Op, OpKind};

/// What the stats file says of a recording.
#[derive(Debug, Default)]
pub struct Counts {
    /// Operations and bytes in the file.
    pub ops: Counter,
    pub bytes: Counter,
    /// Operations that are missing in it: the writer could not keep up, or could not write.
    pub dropped: Counter,
    /// 1 once the file has reached its largest size.
    pub full: Counter,
}

/// A frame for the file, and how many operations are missing before it.
pub struct Batch {
    pub missing: u64,
    pub frame: Option<Frame>,
}

impl Batch {
    pub fn ops(&self) -> u64 {
        self.frame.as_ref().map_or(0, |frame| frame.ops().into())
    }
}

pub struct Intake {
    started: clock::Instant,
    /// False: whatever comes is ignored.
    open: AtomicBool,
    state: Mutex<State>,
}

struct State {
    encoder: Encoder,
    /// `None`: the recording is being ended.
    sender: Option<SyncSender<Batch>>,
    /// Left out since the last batch that the writer took.
    missing: u64,
    counts: Arc<Counts>,
}

impl Intake {
    /// Times count from now. Full frames go to `sender`, unless it has no room.
    pub fn new(header: &Header, sender: SyncSender<Batch>, counts: Arc<Counts>) -> Self {
        let state = State { encoder: Encoder::new(header), sender: Some(sender), missing: 0, counts };
        Self { started: clock::now(), open: AtomicBool::new(true), state: Mutex::new(state) }
    }

    /// Takes note of an operation that arrives now. Bytes; both 0 for a flush.
    pub fn push(&self, kind: OpKind, offset: u64, len: u64) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        // Under the lock, so that times never fall.
        let time = clock::now().saturating_duration_since(self.started);
        let time_ns = time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos());
        if let Some(frame) = state.encoder.push(&Op::new(time_ns, kind, offset, len)) {
            state.hand_over(frame);
        }
    }

    /// What waits: the oldest batch in `queue`, else the operations that no full frame holds yet. Keeps their order.
    pub fn waiting(&self, queue: &Receiver<Batch>) -> Option<Batch> {
        // Batches are sent under this lock only: none comes between these two looks.
        let mut state = self.state.lock();
        queue.try_recv().ok().or_else(|| Some(state.rest()).filter(|batch| batch.missing + batch.ops() > 0))
    }

    /// Ends the recording: the writer finds its queue closed, and takes the [`rest`](Self::rest).
    pub fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.state.lock().sender = None;
    }

    /// What no full frame holds yet.
    pub fn rest(&self) -> Batch {
        self.state.lock().rest()
    }
}

impl State {
    fn rest(&mut self) -> Batch {
        Batch { missing: std::mem::take(&mut self.missing), frame: self.encoder.rest() }
    }

    fn hand_over(&mut self, frame: Frame) {
        let batch = Batch { missing: std::mem::take(&mut self.missing), frame: Some(frame) };
        let refused = match &self.sender {
            Some(sender) => match sender.try_send(batch) {
                // Nobody there: the recording has ended.
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(batch)) => batch,
            },
            // Closed while this operation came; the writer takes what is missing with the rest.
            None => batch,
        };
        self.missing = refused.missing + refused.ops();
        self.counts.dropped.add(refused.ops());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Several frames, and a bit; how many operations.
    fn fill(intake: &Intake) -> u64 {
        for n in 0..40_000 {
            intake.push(OpKind::Write, (n * 7_919 % 65_536) << 20, 4096);
        }
        40_000
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_waits() {
        let (sender, queue) = sync_channel(1);
        let counts = Arc::<Counts>::default();
        let intake = Intake::new(&Header::default(), sender, counts.clone());
        let pushed = fill(&intake);
        let first = queue.try_recv().unwrap();
        assert!(first.missing == 0 && first.ops() > 0);
        assert!(queue.try_recv().is_err(), "there was room for one");
        let rest = intake.waiting(&queue).unwrap();
        assert!(rest.missing > 0);
        assert_eq!(counts.dropped.get(), rest.missing);
        assert_eq!(first.ops() + rest.missing + rest.ops(), pushed);
        assert!(intake.waiting(&queue).is_none());
    }

    #[test]
    fn what_waits_comes_in_order() {
        let (sender, queue) = sync_channel(9);
        let intake = Intake::new(&Header::default(), sender, Arc::default());
        let pushed = fill(&intake);
        let batches: Vec<Batch> = std::iter::from_fn(|| intake.waiting(&queue)).collect();
        assert!(batches.len() > 2);
        let last = batches.last().unwrap().ops();
        assert!(batches[..batches.len() - 1].iter().all(|batch| batch.ops() > last), "full ones first");
        assert_eq!(batches.iter().map(Batch::ops).sum::<u64>(), pushed);
    }

    #[test]
    fn after_the_end_nothing_is_kept() {
        let (sender, queue) = sync_channel(9);
        let intake = Intake::new(&Header::default(), sender, Arc::default());
        intake.push(OpKind::Read, 0, 512);
        intake.close();
        intake.push(OpKind::Read, 512, 512);
        assert!(matches!(queue.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)));
        assert_eq!(intake.rest().ops(), 1);
    }
}
