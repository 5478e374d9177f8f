//! Processor time, where wall time would say something else: of the S3 client, and of a recording.
//!
//! User and system time of this whole process, so that threads in the background are part of it.

pub mod client;
pub mod recording;

use std::time::Duration;

use anyhow::{Result, ensure};

/// What this process has used so far.
///
/// # Errors
/// The kernel does not say.
pub fn used() -> Result<Duration> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure it is given; it is valid when that succeeds, and zeroes are valid too.
    let usage = unsafe {
        let failed = libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        ensure!(failed == 0, "getrusage: {}", std::io::Error::last_os_error());
        usage.assume_init()
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok(of(usage.ru_utime) + of(usage.ru_stime))
}

/// Middle of the values; of none, not a number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
