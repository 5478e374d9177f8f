//! A link that all transfers share, exactly: at every moment each of `n` moves at `min(connection, link / n)`.
//!
//! Pure: time is an argument (seconds, never falling), what to do comes out. All transfers move at one speed, so one
//! number says how far everybody has come: `moved`, the bytes that a transfer present since the link was last idle
//! would have moved. A transfer that arrives at `moved` with `b` bytes ends at `moved + b`, whatever comes between, and
//! the first to end is the top of a heap. Nothing is recomputed for the others when one comes or goes.
//!
//! It is lazy: a look replays arrivals and ends up to now in their order, so nobody needs to look at the moment
//! itself. Who looks too early is told when to look again, and that is never too late:
//!
//! | a transfer that has not ended | looks again |
//! |---|---|
//! | not before its own bytes at full speed | then |
//! | first to end | when it ends if nobody comes |
//! | another one | when it is poked: it has become the first, or ended |
//!
//! So without contention a transfer costs one look at its end, with it about two. A first one that still sleeps for its
//! full-speed time is poked as soon as anybody waits behind it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

/// Ends closer than this are one moment: far below a timer's tick, far above the rounding of a day in seconds.
const SAME_MOMENT_S: f64 = 1e-9;

/// How far along a heap's entry stands. Numbers of zero and above are ordered as their bits are.
type Mark = Reverse<(u64, u32)>;

fn mark(value: f64, id: u32) -> Mark {
    Reverse((value.to_bits(), id))
}

pub struct Link {
    /// Bytes per second of all, and of one.
    all: f64,
    one: f64,
    now: f64,
    moved: f64,
    /// By where they end on the scale of `moved`.
    active: BinaryHeap<Mark>,
    /// By when they begin.
    coming: BinaryHeap<Mark>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots with `waits`.
    waiting: usize,
    used: Used,
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    pub bytes: f64,
    /// Seconds with a transfer on the way.
    pub busy_s: f64,
    /// Seconds in which the link, not the connections, set the speed.
    pub full_s: f64,
}

#[derive(Default)]
struct Slot {
    bytes: f64,
    /// It need not look before; a lower bound of its end and what the request does after it.
    not_before: f64,
    ended: Option<f64>,
    active: bool,
    /// Nothing but a poke will make it look.
    waits: bool,
    /// It is the first and has set its clock to its end.
    timed: bool,
    poked: bool,
    waker: Option<Waker>,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// It ended then, never later than now, and is forgotten.
    Ended(f64),
    /// Look again then, or when poked.
    At(f64),
    /// Look when poked.
    WhenPoked,
}

impl Link {
    /// Speeds in bytes per second, above zero.
    pub fn new(all: f64, one: f64) -> Self {
        let (active, coming) = (BinaryHeap::new(), BinaryHeap::new());
        let (slots, free) = (Vec::new(), Vec::new());
        Self { all, one, now: 0.0, moved: 0.0, active, coming, slots, free, waiting: 0, used: Used::default() }
    }

    pub fn used(&self) -> Used {
        self.used
    }

    /// Takes on a transfer that begins at `begin`, whose request goes on for `then` seconds after its end.
    pub fn add(&mut self, begin: f64, bytes: f64, then: f64) -> u32 {
        let crowded = (self.active.len() + 1) as f64 * self.one > self.all;
        let first_look = if crowded { begin } else { begin + bytes / self.one + then };
        let slot = Slot { bytes, not_before: first_look, ..Slot::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.coming.push(mark(begin, id));
        id
    }

    /// What transfer `id` should do. Who is to be poked goes to `poked`.
    pub fn look(&mut self, id: u32, now: f64, waker: &Waker, poked: &mut Vec<Waker>) -> Look {
        self.advance(now, poked);
        let first = self.active.peek().map(|Reverse((_, id))| *id);
        let slot = &mut self.slots[id as usize];
        if let Some(ended) = slot.ended {
            self.free.push(id);
            self.poke_first(poked);
            return Look::Ended(ended);
        }
        let was_poked = std::mem::take(&mut slot.poked);
        if !was_poked && self.now + SAME_MOMENT_S < slot.not_before {
            let at = slot.not_before;
            slot.remember(waker);
            return Look::At(at);
        }
        let answer = if first == Some(id) {
            slot.timed = true;
            self.waiting -= usize::from(std::mem::take(&mut slot.waits));
            Look::At(self.first_ends())
        } else if slot.active {
            slot.timed = false;
            self.waiting += usize::from(!std::mem::replace(&mut slot.waits, true));
            Look::WhenPoked
        } else {
            // Poked before it began, by nobody that we know.
            Look::At(slot.not_before)
        };
        self.slots[id as usize].remember(waker);
        self.poke_first(poked);
        answer
    }

    /// Forgets a transfer whose end nobody has seen.
    pub fn remove(&mut self, id: u32, now: f64, poked: &mut Vec<Waker>) {
        self.advance(now, poked);
        let slot = std::mem::take(&mut self.slots[id as usize]);
        self.free.push(id);
        if slot.ended.is_some() {
            // It will not look any more, and somebody may wait behind it.
            return self.poke_first(poked);
        }
        self.waiting -= usize::from(slot.waits);
        let heap = if slot.active { &mut self.active } else { &mut self.coming };
        heap.retain(|Reverse((_, other))| *other != id);
        // The others are faster now: the first one's clock is late.
        if let Some(Reverse((_, first))) = self.active.peek() {
            let first = &mut self.slots[*first as usize];
            if std::mem::take(&mut first.timed) {
                first.poked = true;
                poked.extend(first.waker.take());
            }
        }
        self.poke_first(poked);
        self.settle();
    }

    fn speed(&self) -> f64 {
        self.one.min(self.all / self.active.len() as f64)
    }

    fn first_ends(&self) -> f64 {
        let end = self.active.peek().map(|Reverse((end, _))| f64::from_bits(*end));
        end.map_or(f64::INFINITY, |end| self.now + (end - self.moved).max(0.0) / self.speed())
    }

    /// Lets everything happen that happens up to `now`, for who wants to see what was [`Link::used`].
    pub fn catch_up(&mut self, now: f64, poked: &mut Vec<Waker>) {
        self.advance(now, poked);
        self.poke_first(poked);
    }

    fn advance(&mut self, now: f64, poked: &mut Vec<Waker>) {
        loop {
            let begins = self.coming.peek().map_or(f64::INFINITY, |Reverse((at, _))| f64::from_bits(*at));
            let ends = self.first_ends();
            if begins.min(ends) > now + SAME_MOMENT_S {
                break;
            }
            if ends <= begins {
                self.move_to(ends);
                self.end_first(poked);
            } else {
                self.move_to(begins);
                self.begin_next();
            }
        }
        self.move_to(now);
    }

    fn move_to(&mut self, at: f64) {
        let passed = at - self.now;
        if passed <= 0.0 {
            return;
        }
        self.now = at;
        let transfers = self.active.len() as f64;
        if transfers == 0.0 {
            return;
        }
        let moved = self.speed() * passed;
        self.moved += moved;
        self.used.bytes += moved * transfers;
        self.used.busy_s += passed;
        if transfers * self.one > self.all {
            self.used.full_s += passed;
        }
    }

    fn end_first(&mut self, poked: &mut Vec<Waker>) {
        let Some(Reverse((end, id))) = self.active.pop() else { return };
        self.moved = f64::from_bits(end);
        let slot = &mut self.slots[id as usize];
        slot.ended = Some(self.now);
        slot.active = false;
        if std::mem::take(&mut slot.waits) {
            self.waiting -= 1;
            poked.extend(slot.waker.take());
        }
        self.settle();
    }

    fn begin_next(&mut self) {
        let Some(Reverse((_, id))) = self.coming.pop() else { return };
        let slot = &mut self.slots[id as usize];
        slot.active = true;
        self.active.push(mark(self.moved + slot.bytes, id));
    }

    /// Starts counting afresh when nothing moves, so that numbers stay small and exact.
    fn settle(&mut self) {
        if self.active.is_empty() {
            self.moved = 0.0;
        }
    }

    /// Somebody waits for the first to end: it must have set its clock to that.
    fn poke_first(&mut self, poked: &mut Vec<Waker>) {
        let Some(Reverse((_, first))) = self.active.peek() else { return };
        let slot = &mut self.slots[*first as usize];
        if !slot.timed && !slot.poked && (self.waiting > 0) {
            slot.poked = true;
            poked.extend(slot.waker.take());
        }
    }
}

impl Slot {
    fn remember(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of transfers `(begin, bytes)` by the definition: small steps between events, everybody at the same speed.
    fn by_definition(all: f64, one: f64, transfers: &[(f64, f64)]) -> Vec<f64> {
        let mut left: Vec<f64> = transfers.iter().map(|(_, bytes)| *bytes).collect();
        let mut ends = vec![f64::INFINITY; left.len()];
        let mut now = 0.0;
        while ends.iter().any(|end| end.is_infinite()) {
            let here: Vec<usize> =
                (0..left.len()).filter(|i| transfers[*i].0 <= now && ends[*i].is_infinite()).collect();
            let speed = one.min(all / here.len() as f64);
            let next_begin = transfers.iter().map(|t| t.0).filter(|at| *at > now).fold(f64::INFINITY, f64::min);
            let next_end = here.iter().map(|i| now + left[*i] / speed).fold(f64::INFINITY, f64::min);
            let next = next_begin.min(next_end);
            here.iter().for_each(|i| left[*i] -= speed * (next - now));
            now = next;
            here.iter().filter(|i| left[**i] <= 1e-6).for_each(|i| ends[*i] = now);
        }
        ends
    }

    /// Looks at each transfer only when it was told to, as requests do. Answers when each saw its end, and the looks.
    fn by_looking(all: f64, one: f64, transfers: &[(f64, f64)]) -> (Vec<f64>, usize) {
        let mut link = Link::new(all, one);
        let mut ends = vec![f64::INFINITY; transfers.len()];
        let mut next_look: Vec<f64> = transfers.iter().map(|(begin, _)| *begin).collect();
        let mut ids = vec![None; transfers.len()];
        let (mut looks, mut poked) = (0, Vec::new());
        let flags: Vec<_> = transfers.iter().map(|_| std::sync::Arc::new(Flag::default())).collect();
        while ends.iter().any(|end| end.is_infinite()) {
            let now = next_look.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(now.is_finite(), "nobody will ever look again");
            let who = (0..next_look.len()).find(|i| next_look[*i] == now).unwrap();
            looks += 1;
            let id = *ids[who].get_or_insert_with(|| link.add(now, transfers[who].1, 0.0));
            let waker = Waker::from(flags[who].clone());
            next_look[who] = match link.look(id, now, &waker, &mut poked) {
                Look::Ended(at) => {
                    assert!((at - now).abs() < 1e-6, "transfer {who} ended at {at} and looks at {now}");
                    ends[who] = at;
                    f64::INFINITY
                }
                Look::At(at) => {
                    assert!(at > now);
                    at
                }
                Look::WhenPoked => f64::INFINITY,
            };
            poked.drain(..).for_each(Waker::wake);
            for (other, flag) in flags.iter().enumerate() {
                if flag.0.swap(false, std::sync::atomic::Ordering::Relaxed) && ends[other].is_infinite() {
                    next_look[other] = now;
                }
            }
        }
        (ends, looks)
    }

    #[derive(Default)]
    struct Flag(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn everybody_ends_when_equal_shares_say() {
        for seed in 0..300 {
            let mut number = seed * 7919 + 1;
            let mut next = move || {
                number = s3b_scenarios::random::mix(number);
                (number >> 11) as f64 / (1u64 << 53) as f64
            };
            let transfers: Vec<(f64, f64)> =
                (0..60).map(|_| ((next() * 20.0).floor() / 4.0, 1.0 + (next() * 40.0).floor() * 10.0)).collect();
            let all = 50.0 + next() * 5000.0;
            let expected = by_definition(all, 100.0, &transfers);
            let (found, looks) = by_looking(all, 100.0, &transfers);
            for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
                assert!((a - b).abs() < 1e-6, "seed {seed}, transfer {i}: {b} instead of {a}");
            }
            assert!(looks <= 60 * 6, "{looks} looks");
        }
    }

    #[test]
    fn one_that_ends_unseen_leaves_nobody_waiting_for_ever() {
        let mut link = Link::new(100.0, 100.0);
        let (mut poked, waker) = (Vec::new(), Waker::noop());
        let (short, long) = (link.add(0.0, 50.0, 9.0), link.add(0.0, 100.0, 0.0));
        link.look(short, 0.0, waker, &mut poked);
        link.look(long, 0.5, waker, &mut poked);
        assert_eq!(link.look(long, 1.0, waker, &mut poked), Look::At(1.5), "the short one has just ended");
        let last = link.add(1.0, 1000.0, 0.0);
        link.look(last, 1.0, waker, &mut poked);
        assert_eq!(link.look(last, 1.0, waker, &mut poked), Look::WhenPoked);
        poked.clear();
        link.remove(long, 5.0, &mut poked);
        assert_eq!(poked.len(), 1, "the last one is the first now, and has no clock");
        link.remove(short, 5.0, &mut poked);
    }

    #[test]
    fn one_that_leaves_makes_the_others_faster_at_once() {
        let mut link = Link::new(100.0, 100.0);
        let (mut poked, waker) = (Vec::new(), Waker::noop());
        let (one, two) = (link.add(0.0, 100.0, 0.0), link.add(0.0, 100.0, 0.0));
        link.look(one, 0.0, waker, &mut poked);
        link.look(two, 1.0, waker, &mut poked);
        assert_eq!(link.look(one, 1.0, waker, &mut poked), Look::At(2.0));
        assert_eq!(link.look(two, 1.0, waker, &mut poked), Look::WhenPoked);
        poked.clear();
        link.remove(two, 1.0, &mut poked);
        assert_eq!(poked.len(), 1, "its clock is late now");
        assert_eq!(link.look(one, 1.0, waker, &mut poked), Look::At(1.5));
        assert_eq!(link.look(one, 1.5, waker, &mut poked), Look::Ended(1.5));
        assert_eq!(link.used(), Used { bytes: 150.0, busy_s: 1.5, full_s: 1.0 });
    }
}
