//! Memory for blocks: slots of one size, carved out of chunks that ask for huge pages.
//!
//! Copying into and out of a cache on small pages runs at half the speed (`docs/decisions/huge-page-buffers.md`). A slot is
//! counted like an `Arc`: clones share it, only an unshared one can be written, the last handle gives it back, on
//! whatever thread. Counts stand in a side table of the chunk, so that slots waste nothing and stay aligned. There is
//! one slab per size for the whole process, as in an allocator: a handle needs nobody to be alive. Never clears what it
//! was not asked to clear, never holds its lock while it copies, clears or gives a chunk back to the kernel. Never ends
//! the process for want of memory: it answers `None`, and who asked goes to the allocator.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

use parking_lot::Mutex;

/// Binary logarithms of the slots' sizes. A smaller slot would not repay its record, a larger one gets pages of its own
/// from any allocator.
const SMALLEST: u32 = 12;
const LARGEST: u32 = 23;

/// Of x86-64 and, with pages of 4 KiB, of ARM.
const HUGE_PAGE: usize = 2 << 20;
/// With fewer the books of a chunk would weigh on its slots. Untouched slots cost addresses, not memory.
const FEWEST_SLOTS: usize = 8;

static SLABS: [Mutex<Slab>; (LARGEST - SMALLEST + 1) as usize] =
    [const { Mutex::new(Slab::new()) }; (LARGEST - SMALLEST + 1) as usize];

/// A counted handle of one slot. Its bytes are never uninitialised: they are zero or what was there before.
pub(crate) struct Slot {
    record: NonNull<Record>,
    bytes: NonNull<u8>,
}

/// Of one slot, in the side table of its chunk.
struct Record {
    handles: AtomicU32,
    chunk: u32,
    index: u16,
    /// The next free slot of the chunk; changes only under the slab's lock.
    next: AtomicU16,
    /// Binary logarithm of the slot's size.
    shift: u8,
}

/// All slots of one size.
struct Slab {
    chunks: Vec<Option<Chunk>>,
    /// Where `chunks` has none.
    vacant: Vec<u32>,
    /// Chunks that have a free slot, the one to take from last.
    open: Vec<u32>,
    /// The one chunk without a used slot that is kept.
    spare: Option<u32>,
}

struct Chunk {
    bytes: NonNull<u8>,
    /// As many as it has slots.
    records: NonNull<Record>,
    used: u16,
    /// Slots handed out since the chunk was last empty. The rest are free too.
    carved: u16,
    /// Slots ever handed out. The rest are as fresh from the kernel: zero.
    touched: u16,
    /// The first slot given back, [`NONE`] for none.
    free: u16,
    /// Its place in [`Slab::open`], if it is there.
    place: u32,
    shift: u8,
}

const NONE: u16 = u16::MAX;

// SAFETY: a slot's bytes are only written through `get_mut`, which needs the only handle; the record is atomic or
// constant while a handle exists; both live until the last handle is gone.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}
// SAFETY: a chunk owns its mapping and its records; both may be freed on any thread.
unsafe impl Send for Chunk {}

impl Slot {
    /// `None` for sizes that have no slab, and when the kernel has no room for one more chunk. So are the others.
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        let (mut slot, fresh) = Self::take(len)?;
        if !fresh {
            slot.own().fill(0);
        }
        Some(slot)
    }

    /// Holding what its last user left in it.
    pub(crate) fn arbitrary(len: usize) -> Option<Self> {
        Some(Self::take(len)?.0)
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut slot = Self::arbitrary(bytes.len())?;
        slot.own().copy_from_slice(bytes);
        Some(slot)
    }

    /// Says too whether it is fresh, and so zero.
    fn take(len: usize) -> Option<(Self, bool)> {
        let shift = len.is_power_of_two().then(|| len.trailing_zeros())?;
        let slab = SLABS.get(shift.checked_sub(SMALLEST)? as usize)?;
        slab.lock().take(shift as u8, map)
    }

    fn record(&self) -> &Record {
        // SAFETY: records live as long as their chunk, and the chunk as long as a handle of one of its slots.
        unsafe { self.record.as_ref() }
    }

    fn len(&self) -> usize {
        1 << self.record().shift
    }

    /// The bytes of a slot that was just taken.
    fn own(&mut self) -> &mut [u8] {
        self.get_mut().expect("nobody else has seen it")
    }

    /// `None` while it is shared.
    pub(crate) fn get_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the slot is mapped, readable, writable and initialised for its length. This is the only handle, and it
        // is borrowed, so nobody can make another; acquiring the count orders what past handles read before this.
        self.is_unshared().then(|| unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr(), self.len()) })
    }

    pub(crate) fn is_unshared(&self) -> bool {
        self.record().handles.load(Ordering::Acquire) == 1
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl std::ops::Deref for Slot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the slot is mapped, readable and initialised for its length; who writes has the only handle, borrowed.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len()) }
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        // Relaxed as in `Arc`: whoever was given this handle has been synchronised with.
        if self.record().handles.fetch_add(1, Ordering::Relaxed) > u32::MAX / 2 {
            // Only leaked handles can be so many; one more round and the slot would be freed in use.
            std::process::abort();
        }
        Self { record: self.record, bytes: self.bytes }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Looked at first: without this handle, another thread's drop may free the record.
        let Record { chunk, index, shift, .. } = *self.record();
        if self.record().handles.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Reads through all other handles come before the slot's next use.
        fence(Ordering::Acquire);
        let emptied = SLABS[(u32::from(shift) - SMALLEST) as usize].lock().give_back(chunk, index);
        // Unmapped here, without the lock.
        drop(emptied);
    }
}

impl Slab {
    const fn new() -> Self {
        Self { chunks: Vec::new(), vacant: Vec::new(), open: Vec::new(), spare: None }
    }

    /// `map` as [`map`]: only tests take another.
    fn take(&mut self, shift: u8, map: impl FnOnce(usize) -> Option<NonNull<u8>>) -> Option<(Slot, bool)> {
        let id = match self.open.last() {
            Some(&id) => id,
            None => self.add(shift, map(chunk_len(shift))?),
        };
        if self.spare == Some(id) {
            self.spare = None;
        }
        let chunk = self.chunks[id as usize].as_mut().expect("open chunks exist");
        let taken = chunk.take();
        if chunk.is_full() {
            self.open.pop();
        }
        Some(taken)
    }

    /// Adds an open chunk.
    fn add(&mut self, shift: u8, bytes: NonNull<u8>) -> u32 {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.chunks.push(None);
            self.chunks.len() as u32 - 1
        });
        self.chunks[id as usize] = Some(Chunk::new(shift, id, bytes));
        self.set_open(id);
        id
    }

    fn set_open(&mut self, id: u32) {
        self.chunk(id).place = self.open.len() as u32;
        self.open.push(id);
    }

    fn chunk(&mut self, id: u32) -> &mut Chunk {
        self.chunks[id as usize].as_mut().expect("a chunk lives as long as one of its slots is used")
    }

    /// Takes a slot without handles. Answers a chunk that is not needed any more, to be unmapped without the lock.
    fn give_back(&mut self, id: u32, index: u16) -> Option<Chunk> {
        let chunk = self.chunk(id);
        let was_full = chunk.is_full();
        chunk.give_back(index);
        let empty = chunk.used == 0;
        if was_full {
            self.set_open(id);
        }
        match self.spare {
            None if empty => self.spare = Some(id),
            Some(_) if empty => return Some(self.remove(id)),
            _ => {}
        }
        None
    }

    /// Removes an open chunk.
    fn remove(&mut self, id: u32) -> Chunk {
        let place = self.chunk(id).place;
        self.open.swap_remove(place as usize);
        if let Some(&moved) = self.open.get(place as usize) {
            self.chunk(moved).place = place;
        }
        self.vacant.push(id);
        self.chunks[id as usize].take().expect("looked at above")
    }
}

impl Chunk {
    /// `bytes`: its mapping, all of it untouched.
    fn new(shift: u8, id: u32, bytes: NonNull<u8>) -> Self {
        let records: Box<[Record]> = (0..slots(shift) as u16)
            .map(|index| Record { handles: AtomicU32::new(0), chunk: id, index, next: AtomicU16::new(NONE), shift })
            .collect();
        let records = NonNull::from(Box::leak(records)).cast();
        Self { bytes, records, used: 0, carved: 0, touched: 0, free: NONE, place: 0, shift }
    }

    fn is_full(&self) -> bool {
        usize::from(self.used) == slots(self.shift)
    }

    fn record(&self, index: u16) -> NonNull<Record> {
        debug_assert!(usize::from(index) < slots(self.shift));
        // SAFETY: the chunk has a record for each slot.
        unsafe { self.records.add(index.into()) }
    }

    /// One of its free slots, and whether it is fresh.
    fn take(&mut self) -> (Slot, bool) {
        let index = match self.free {
            NONE => {
                self.carved += 1;
                self.carved - 1
            }
            index => {
                // SAFETY: the chunk's records live as long as it does.
                self.free = unsafe { self.record(index).as_ref() }.next.load(Ordering::Relaxed);
                index
            }
        };
        self.used += 1;
        let fresh = index >= self.touched;
        self.touched = self.touched.max(index + 1);
        let record = self.record(index);
        // SAFETY: as above.
        unsafe { record.as_ref() }.handles.store(1, Ordering::Relaxed);
        // SAFETY: a chunk is as long as all of its slots.
        let bytes = unsafe { self.bytes.add(usize::from(index) << self.shift) };
        (Slot { record, bytes }, fresh)
    }

    fn give_back(&mut self, index: u16) {
        self.used -= 1;
        if self.used == 0 {
            // From the start again, so that neighbours in time are neighbours in memory.
            (self.carved, self.free) = (0, NONE);
            return;
        }
        // SAFETY: the chunk's records live as long as it does.
        unsafe { self.record(index).as_ref() }.next.store(self.free, Ordering::Relaxed);
        self.free = index;
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        debug_assert_eq!(self.used, 0);
        let records = NonNull::slice_from_raw_parts(self.records, slots(self.shift));
        // SAFETY: they were leaked from a box of this length, and no handle points to them.
        drop(unsafe { Box::from_raw(records.as_ptr()) });
        // SAFETY: the chunk's own mapping, whole; no handle of one of its slots is left.
        unsafe { unmap(self.bytes.as_ptr(), chunk_len(self.shift)) };
    }
}

/// Slots of a chunk.
fn slots(shift: u8) -> usize {
    (HUGE_PAGE >> shift).max(FEWEST_SLOTS)
}

/// Bytes of a chunk.
fn chunk_len(shift: u8) -> usize {
    slots(shift) << shift
}

/// Zeros from the kernel, aligned to huge pages and asking for them. Memory is committed when it is touched. `None` when
/// the kernel refuses.
fn map(len: usize) -> Option<NonNull<u8>> {
    let bytes = map_aligned(len)?;
    // A refusal only costs speed.
    // SAFETY: the mapping that was just made; the advice changes no content.
    unsafe { libc::madvise(bytes.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
    Some(bytes)
}

/// The kernel merges neighbours into one area, of which a process may have 65530 by default, and likes to put a mapping
/// right below the last one. So what is aligned already is kept; what is not is mostly a hole that does not fit.
fn map_aligned(len: usize) -> Option<NonNull<u8>> {
    let found = map_anywhere(len)?;
    if found.as_ptr().addr().is_multiple_of(HUGE_PAGE) {
        return Some(found);
    }
    // SAFETY: the whole mapping, which nobody has seen.
    unsafe { unmap(found.as_ptr(), len) };
    map_and_trim(len)
}

/// The last aligned part of a longer mapping: the one that touches what lies above, where that is aligned.
fn map_and_trim(len: usize) -> Option<NonNull<u8>> {
    let whole = len + HUGE_PAGE;
    let start = map_anywhere(whole)?.as_ptr();
    let after = (start.addr() + whole) % HUGE_PAGE;
    let before = whole - len - after;
    let bytes = start.wrapping_add(before);
    // SAFETY: what is left over on both sides of the aligned part belongs to the mapping above and is not used.
    unsafe {
        unmap(start, before);
        unmap(bytes.wrapping_add(len), after);
    }
    NonNull::new(bytes)
}

fn map_anywhere(len: usize) -> Option<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, wherever the kernel likes.
    let start = unsafe { libc::mmap(null_mut(), len, protection, flags, -1, 0) };
    // The kernel maps nothing at address 0.
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// # Safety
/// The range is mapped, in whole pages, and nobody uses it.
unsafe fn unmap(start: *mut u8, len: usize) {
    // SAFETY: by the caller. It fails only when the kernel has no room for one more area; then the addresses stay, and
    // their memory goes all the same.
    unsafe {
        if len > 0 && libc::munmap(start.cast(), len) != 0 {
            libc::madvise(start.cast(), len, libc::MADV_DONTNEED);
        }
    }
}

/// What a slot of a full chunk costs besides its own bytes, rounded up; vectors may be twice as long as they need.
#[cfg(test)]
pub(crate) fn books(len: usize) -> usize {
    let allocator = 16;
    let chunk = 2 * (size_of::<Option<Chunk>>() + size_of::<u32>()) + allocator;
    size_of::<Record>() + chunk.div_ceil(slots(len.trailing_zeros() as u8))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn there_are_slots_from_4_kib_to_8_mib() {
        for len in [0, 512, 2048, 4095, 12 << 10, 16 << 20, 1 << 31] {
            assert!(Slot::zeroed(len).is_none(), "{len}");
        }
        for shift in SMALLEST..=LARGEST {
            let len = 1 << shift;
            let mut slots: Vec<Slot> = (0..3).map(|_| Slot::zeroed(len).unwrap()).collect();
            for (i, slot) in slots.iter_mut().enumerate() {
                assert!(slot.len() == len && slot.iter().all(|byte| *byte == 0), "{len}");
                assert!(slot.as_ptr().addr().is_multiple_of(4096), "{len}");
                let bytes = slot.get_mut().unwrap();
                (bytes[0], bytes[len - 1]) = (i as u8, !(i as u8));
            }
            for (i, slot) in slots.iter().enumerate() {
                assert_eq!((slot[0], slot[len - 1]), (i as u8, !(i as u8)), "{len}: slots overlap");
            }
        }
    }

    #[test]
    fn only_the_only_handle_writes() {
        let mut slot = Slot::copy_of(&[7; 8192]).unwrap();
        let copy = Slot::copy_of(&slot).unwrap();
        let mut other = slot.clone();
        assert!(slot.is_same(&other) && !slot.is_same(&copy) && !slot.is_unshared());
        assert!(slot.get_mut().is_none() && other.get_mut().is_none());
        drop(slot);
        other.get_mut().unwrap().fill(8);
        assert!(copy.iter().all(|byte| *byte == 7));
    }

    /// On a slab of its own, so that no other test takes part.
    #[test]
    fn slots_are_used_again_and_all_empty_chunks_but_one_unmapped() {
        let mut slab = Slab::new();
        let take = |slab: &mut Slab| {
            let (slot, fresh) = slab.take(16, map).unwrap();
            // Dropped, it would go to the slab of the process.
            let slot = std::mem::ManuallyDrop::new(slot);
            ((slot.record().chunk, slot.record().index), fresh, slot.bytes)
        };
        let first: Vec<_> = (0..32).map(|_| take(&mut slab)).collect();
        let places: Vec<_> = first.iter().map(|slot| slot.0).collect();
        assert_eq!(places, (0..32).map(|index| (0, index)).collect::<Vec<_>>(), "neighbours in time and memory");
        assert!(first.iter().all(|slot| slot.1) && slab.open.is_empty());
        assert_eq!(take(&mut slab).0, (1, 0), "a full chunk is followed by another");

        assert!(slab.give_back(0, 7).is_none() && slab.give_back(0, 9).is_none());
        assert_eq!(take(&mut slab), ((0, 9), false, first[9].2));
        assert_eq!(take(&mut slab), ((0, 7), false, first[7].2));

        assert!(slab.give_back(1, 0).is_none(), "one empty chunk is kept");
        assert_eq!(slab.spare, Some(1));
        let released: Vec<_> = (0..32).filter(|index| slab.give_back(0, *index).is_some()).collect();
        assert_eq!(released, [31], "released with its last slot");
        assert_eq!((slab.open.as_slice(), slab.vacant.as_slice()), (&[1][..], &[0][..]));

        let (place, fresh, _) = take(&mut slab);
        assert_eq!((place, fresh, slab.spare), ((1, 0), false, None), "what was touched is not fresh");
        assert!(take(&mut slab).1);
        let full: Vec<_> = (0..62).map(|_| take(&mut slab).0).collect();
        assert_eq!((full[30], full[61]), ((0, 0), (0, 31)), "the vacant number is taken again");
        for (chunk, index) in (0..2).flat_map(|chunk| (0..32).map(move |index| (chunk, index))) {
            assert_eq!(slab.give_back(chunk, index).is_some(), (chunk, index) == (1, 31));
        }
    }

    #[test]
    fn a_refusing_kernel_costs_a_slab_nothing() {
        let mut slab = Slab::new();
        let refuse: fn(usize) -> Option<NonNull<u8>> = |_| None;
        let take = |slab: &mut Slab, map: fn(usize) -> Option<NonNull<u8>>| {
            // Dropped, it would go to the slab of the process.
            slab.take(23, map).map(std::mem::ManuallyDrop::new)
        };
        assert!(take(&mut slab, refuse).is_none() && slab.chunks.is_empty() && slab.open.is_empty());
        assert!(take(&mut slab, map).is_some());
        for index in 1..FEWEST_SLOTS {
            assert!(take(&mut slab, refuse).is_some(), "slot {index} of the chunk that is there");
        }
        assert!(take(&mut slab, refuse).is_none());
        assert_eq!((slab.chunks.len(), slab.open.len()), (1, 0));
        assert!(take(&mut slab, map).is_some());
        for (chunk, index) in [(1, 0)].into_iter().chain((0..FEWEST_SLOTS as u16).map(|index| (0, index))) {
            drop(slab.give_back(chunk, index));
        }
        assert_eq!((slab.vacant.as_slice(), slab.spare), (&[0][..], Some(1)));
        for _ in 0..FEWEST_SLOTS {
            assert!(take(&mut slab, map).is_some());
        }
        assert!(take(&mut slab, refuse).is_none());
        assert_eq!(slab.vacant, [0], "the number stays to be taken");
        for index in 0..FEWEST_SLOTS as u16 {
            drop(slab.give_back(1, index));
        }
    }

    /// Otherwise a cache of 128 GiB could not be: a process has 65530 areas unless the administrator allows more.
    #[test]
    fn neighbouring_chunks_are_one_area_for_the_kernel() {
        const CHUNKS: usize = 64;
        for make in [map, map_and_trim] {
            let chunks: Vec<NonNull<u8>> = (0..CHUNKS).map(|_| make(HUGE_PAGE).unwrap()).collect();
            assert!(chunks.iter().all(|chunk| chunk.as_ptr().addr().is_multiple_of(HUGE_PAGE)));
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let areas = maps.lines().map(|line| {
                let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
                usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()
            });
            let count = areas.filter(|area| chunks.iter().any(|chunk| area.contains(&chunk.as_ptr().addr()))).count();
            // Other tests map too meanwhile, and come between.
            assert!((1..=CHUNKS / 4).contains(&count), "{count} areas for {CHUNKS} chunks");
            // SAFETY: mapped above, and used by nobody.
            chunks.iter().for_each(|chunk| unsafe { unmap(chunk.as_ptr(), HUGE_PAGE) });
        }
    }

    const WORDS: usize = 4096 / 8;

    fn words(slot: &Slot) -> impl Iterator<Item = u64> {
        slot.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
    }

    /// Threads share, write when they alone hold a slot, and drop what others made. `word` fills the slot as long as any
    /// handle that was sent with it lives.
    fn churn(seed: u64, steps: u64, inbox: Receiver<(Slot, u64)>, peers: Vec<Sender<(Slot, u64)>>) -> u64 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut held: Vec<(Slot, u64)> = Vec::new();
        let mut written = 0;
        for step in 0..steps {
            held.extend(inbox.try_iter());
            if held.len() > 100 {
                held.truncate(20);
            }
            let at = random.random_range(0..held.len().max(1));
            match (random.random_range(0..6), held.get_mut(at)) {
                (0, _) => {
                    let slot = Slot::zeroed(4096).unwrap();
                    assert!(slot.iter().all(|byte| *byte == 0));
                    held.push((slot, 0));
                }
                (1, Some(_)) => drop(held.swap_remove(at)),
                (2 | 3, Some((slot, word))) => {
                    let peer = &peers[random.random_range(0..peers.len())];
                    // A peer that is done takes no more.
                    let _ = peer.send((slot.clone(), *word));
                }
                (_, Some((slot, word))) => {
                    assert!(words(slot).all(|found| found == *word), "seed {seed}, step {step}");
                    if let Some(bytes) = slot.get_mut() {
                        *word = seed << 32 | step;
                        bytes.copy_from_slice(&word.to_ne_bytes().repeat(WORDS));
                        written += 1;
                    }
                }
                (_, None) => {}
            }
        }
        written
    }

    #[test]
    fn threads_never_see_what_others_write_into_a_shared_slot() {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..4).map(|_| channel()).unzip();
        let threads: Vec<_> = (1..)
            .zip(inboxes)
            .map(|(seed, inbox)| {
                let peers = senders.clone();
                std::thread::spawn(move || churn(seed, 20_000, inbox, peers))
            })
            .collect();
        drop(senders);
        for thread in threads {
            assert!(thread.join().unwrap() > 1000, "too few writes to say anything");
        }
    }
}
