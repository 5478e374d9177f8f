//! How the C library hands out memory.
//!
//! Blocks below 4 KiB, bodies and much else are allocated on one thread and freed on another. With an arena per thread, glibc
//! kept more than twice the cache's size resident (554 MiB for a full cache of 256 MiB); with one arena it was 272 MiB. Small
//! allocations do not notice: they come from each thread's own cache.
//!
//! Into which buffer a request is read, the FUSE library decides: 16 MiB and a page, from the allocator. Mapped, it starts 16 bytes
//! into a page, and a write's data 96 bytes into one, so that they and the blocks of the cache agree modulo 32. Where they do
//! not, they are copied at half the speed (see `docs/decisions/huge-page-buffers.md`). Left to itself, glibc maps the first such buffer
//! and takes the later ones from its heap, wherever that has got to.

/// Just below the FUSE library's buffers, so that they are mapped and nothing smaller is.
#[cfg(target_env = "gnu")]
const MAP_FROM: libc::c_int = 16 << 20;

/// Before the first thread starts.
pub fn settle() {
    // SAFETY: plain integers; no other thread runs yet. A failure leaves the default, which only costs memory or time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAP_FROM);
        // Twice, as glibc itself has it; its default beside a fixed threshold would return every 128 KiB to the kernel.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * MAP_FROM);
    }
}
