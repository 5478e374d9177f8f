//! Many simulations, one on each thread. Results do not depend on how many threads there are or who finishes first.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

use anyhow::Result;

use super::{Job, Simulated, run_until};

/// A job that ended, told of in the order in which they end.
pub struct Finished<'a> {
    /// Its place among the jobs.
    pub number: usize,
    pub result: &'a Result<Simulated>,
    pub done: usize,
    pub of: usize,
}

/// Runs all jobs, at most `threads` at a time; answers results in the order of the jobs. Once `stop` is set, what runs
/// ends as [`Stopped`](super::Ended::Stopped), and what has not begun is left out as nothing.
///
/// Memory: that of `threads` simulations, and of each result only what a comparison needs (no service times, no lag).
pub fn many(
    jobs: &[Job],
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(Finished<'_>),
    stop: &AtomicBool,
) -> Vec<Option<Result<Simulated>>> {
    let work = |job: &Job| {
        let mut result = run_until(job, stop);
        if let Ok(simulated) = &mut result {
            simulated.measured.forget_details();
        }
        result
    };
    let mut done = 0;
    let mut tell = |number: usize, result: &Result<Simulated>| {
        done += 1;
        progress(Finished { number, result, done, of: jobs.len() });
    };
    in_parallel(jobs, threads, work, &mut tell, stop)
}

/// Does `work` for each item on its own thread, at most `threads` at a time; nothing for those not begun before `stop`.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: NonZeroUsize,
    work: impl Fn(&T) -> R + Sync,
    done: &mut dyn FnMut(usize, &R),
    stop: &AtomicBool,
) -> Vec<Option<R>> {
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(items.len(), || None);
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(items.len()) {
            let (tell, next, work) = (tell.clone(), &next, &work);
            scope.spawn(move || {
                while let number = next.fetch_add(1, Relaxed)
                    && let Some(item) = items.get(number)
                    && !stop.load(Relaxed)
                {
                    // The receiver lives as long as this thread.
                    let _ = tell.send((number, work(item)));
                }
            });
        }
        // Only the threads hold senders from here on, so that the channel ends with them.
        drop(tell);
        for (number, result) in told {
            done(number, &result);
            results[number] = Some(result);
        }
    });
    results
}
