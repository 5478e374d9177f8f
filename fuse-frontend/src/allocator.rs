//! How the C library hands out memory.
//!
//! Blocks are allocated on one thread and freed on another. With an arena per thread, glibc kept more than twice the
//! cache's size resident (554 MiB for a full cache of 256 MiB); with one arena it is 272 MiB. Small allocations do not
//! notice: they come from each thread's own cache.

/// Before the first thread starts.
pub fn settle() {
    // SAFETY: plain integers; no other thread runs yet. A failure leaves the default, which only costs memory.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
