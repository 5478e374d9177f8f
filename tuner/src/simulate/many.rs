//! Many simulations, one on each thread. Results do not depend on how many threads there are or who finishes first.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

use anyhow::Result;

use super::{Job, Simulated, run_until};

/// A job that ended, in the order in which they end.
pub struct Finished<'a> {
    /// Its place among the jobs.
    pub number: usize,
    pub result: &'a Result<Simulated>,
    pub done: usize,
    pub of: usize,
}

/// Runs all jobs, at most `threads` at a time; answers results in the order of the jobs. Once `stop` is set, what runs
/// ends as [`Stopped`](super::Ended::Stopped) and what has not begun is left out as nothing.
///
/// Memory: that of `threads` simulations, and of each result only what a comparison needs.
pub fn many(
    jobs: &[Job],
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(Finished<'_>),
    stop: &AtomicBool,
) -> Vec<Option<Result<Simulated>>> {
    let mut results: Vec<Option<Result<Simulated>>> = Vec::new();
    results.resize_with(jobs.len(), || None);
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(jobs.len()) {
            let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let next = &next;
            scope.spawn(move || {
                while let number = next.fetch_add(1, Relaxed)
                    && let Some(job) = jobs.get(number)
                    && !stop.load(Relaxed)
                {
                    let mut result = run_until(job, stop);
                    if let Ok(simulated) = &mut result {
                        simulated.measured.forget_details();
                    }
                    if tell.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        // Only the threads hold senders from here on, so that the channel ends with them.
        drop(tell);
        for (done, (number, result)) in told.iter().enumerate() {
            progress(Finished { number, result: &result, done: done + 1, of: jobs.len() });
            results[number] = Some(result);
        }
    });
    results
}
