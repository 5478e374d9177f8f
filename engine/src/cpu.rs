//! Where heavy computation (hash, compression, cipher, zero test) runs, and what it costs in a simulation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock::{self, Instant};
use crate::settings::{CipherName, Compression};

/// Small work is done in place, larger work on a bounded blocking pool, so that no network task waits
/// behind a megabyte of zlib. Cloning shares the bound, and modelled cores.
#[derive(Clone, Debug)]
pub struct Cpu(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Inline,
    Pool(Arc<Semaphore>),
    Modelled(Arc<Modelled>),
}

/// A kind of work, counted by the bytes it looks at (decompression: by those it yields).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Md5,
    Sha256,
    Compress(Compression),
    Inflate,
    Unzstd,
    /// With the HMAC.
    Encrypt(CipherName),
    Decrypt(CipherName),
    /// What the S3 client does for a request whatever its body, signing included. Counted by requests.
    Request,
    /// What the client and the kernel do with a body, either way.
    Carry,
    /// Until a thread that slept runs. Counted by times.
    WakeUp,
}

/// Bytes (requests) per second that one core does of a kind of work. Infinite or not above zero: it takes no time.
pub type Rates = dyn Fn(Work) -> f64 + Send + Sync;

struct Modelled {
    rates: Box<Rates>,
    /// Virtual nanoseconds per nanosecond of work.
    dilation: u32,
    /// Locked to take on one piece.
    cores: Mutex<Cores>,
}

/// When each core has done what it took on so far; `None`: it took on nothing yet.
struct Cores {
    free_at: Vec<Option<Instant>>,
    /// As if the short work were all there is.
    short_free_at: Vec<Option<Instant>>,
}

/// Below this many bytes a hand-over costs more than it saves (about 10 us a hop; MD5 of 64 KiB takes 100 us).
const INLINE_BYTES: usize = 64 << 10;

impl Cpu {
    /// At most `threads` pieces of work at a time on the blocking pool.
    pub fn pool(threads: usize) -> Self {
        Self(Kind::Pool(Arc::new(Semaphore::new(threads.max(1)))))
    }

    /// Everything in place: for tests and for single-threaded virtual time.
    pub fn inline() -> Self {
        Self(Kind::Inline)
    }

    /// Everything in place, and its time is waited for on the clock: each piece of work goes, in the order of the calls, to
    /// the core of `cores` that is free first. `dilation`: the clock's seconds for one second of work.
    pub fn modelled(rates: Box<Rates>, cores: usize, dilation: u32) -> Self {
        let free_at = vec![None; cores.max(1)];
        let cores = Mutex::new(Cores { short_free_at: free_at.clone(), free_at });
        Self(Kind::Modelled(Arc::new(Modelled { rates, dilation: dilation.max(1), cores })))
    }

    /// Runs `work` over about `bytes` bytes of input. `cost` says what was done; only a model asks.
    pub async fn run<T: Send + 'static, C: IntoIterator<Item = (Work, usize)>>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
        cost: impl FnOnce(&T) -> C,
    ) -> T {
        if let Kind::Modelled(model) = &self.0 {
            let done = work();
            let time = cost(&done).into_iter().map(|(work, bytes)| model.time(work, bytes)).sum();
            model.pass(time).await;
            return done;
        }
        if bytes < INLINE_BYTES {
            return work();
        }
        self.block(work).await
    }

    /// Lets the time of work pass that was done already, or is not done at all. Only a model takes any.
    pub async fn charge(&self, work: Work, bytes: usize) {
        if let Kind::Modelled(model) = &self.0 {
            model.pass(model.time(work, bytes)).await;
        }
    }

    /// What a task that was called has to wait until its thread runs, which keeps no core busy. Only a model takes any.
    pub async fn wake_up(&self) {
        if let Kind::Modelled(model) = &self.0 {
            let time = model.time(Work::WakeUp, 1);
            if !time.is_zero() {
                clock::sleep(time).await;
            }
        }
    }

    /// Puts short work onto the modelled cores that other threads did between `since` and now, and answers when it is
    /// done: in the past, if a core had the time. It does not queue behind what [`Cpu::run`] took on (the kernel divides a
    /// core among threads), but that takes so much longer. `None` without a model.
    pub fn interleave(&self, since: Instant, work: impl IntoIterator<Item = (Work, usize)>) -> Option<Instant> {
        let Kind::Modelled(model) = &self.0 else { return None };
        let time: Duration = work.into_iter().map(|(work, bytes)| model.time(work, bytes)).sum();
        if time.is_zero() {
            return Some(since);
        }
        let mut cores = model.cores.lock();
        take_on(&mut cores.free_at, clock::now(), time);
        Some(take_on(&mut cores.short_free_at, since, time))
    }

    /// Runs `work` that waits for a local disk.
    pub async fn block<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Kind::Pool(pool) = &self.0 else {
            return work();
        };
        let _permit = pool.acquire().await.expect("the semaphore is never closed");
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl Modelled {
    /// On the clock.
    fn time(&self, work: Work, bytes: usize) -> Duration {
        let rate = (self.rates)(work);
        if rate > 0.0 {
            clock::transfer(bytes as f64, rate).saturating_mul(self.dilation).min(clock::NEVER)
        } else {
            Duration::ZERO
        }
    }

    async fn pass(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let end = take_on(&mut self.cores.lock().free_at, clock::now(), time);
        clock::sleep_until(end).await;
    }
}

/// Onto the core that is free first, from `start` on at the earliest. Answers its end.
fn take_on(free_at: &mut [Option<Instant>], start: Instant, time: Duration) -> Instant {
    let core = free_at.iter_mut().min().expect("there is at least one core");
    let end = core.map_or(start, |free| free.max(start)) + time;
    *core = Some(end);
    end
}

impl fmt::Debug for Modelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} modelled cores", self.cores.lock().free_at.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_waits_for_the_core_that_is_free_first() {
        let rates = |work| if work == Work::Md5 { 100.0 } else { f64::INFINITY };
        let cpu = Cpu::modelled(Box::new(rates), 2, 10);
        let start = clock::now();
        let timed = |bytes: usize| {
            let cpu = cpu.clone();
            async move {
                let done = cpu.run(bytes, move || bytes, |done| [(Work::Md5, *done), (Work::Sha256, 1 << 30)]).await;
                (done, start.elapsed().as_millis())
            }
        };
        // Ten seconds of the clock for each second: 3 s and 1 s side by side, the next ones behind the shorter.
        let (a, b, c, d) = tokio::join!(timed(300), timed(100), timed(100), timed(200));
        assert_eq!([a, b, c, d], [(300, 30_000), (100, 10_000), (100, 20_000), (200, 40_000)]);
        cpu.charge(Work::Carry, 1 << 30).await;
        assert_eq!(start.elapsed().as_millis(), 40_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_takes_its_time_on_a_slowed_clock_and_keeps_no_core_busy() {
        let rates = |work| if work == Work::WakeUp { 1e6 / 20.0 } else { 1.0 };
        let cpu = Cpu::modelled(Box::new(rates), 1, 1000);
        let start = clock::now();
        let (busy, ..) = tokio::join!(cpu.charge(Work::Md5, 1), cpu.wake_up(), async {
            cpu.wake_up().await;
            assert_eq!(start.elapsed(), Duration::from_millis(20));
        });
        let () = busy;
        Cpu::inline().wake_up().await;
        assert_eq!(start.elapsed(), Duration::from_secs(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_rate_takes_as_good_as_for_ever() {
        let cpu = Cpu::modelled(Box::new(|_| 1e-14), 1, 1000);
        let start = clock::now();
        cpu.charge(Work::Md5, 1 << 20).await;
        assert_eq!(start.elapsed(), clock::NEVER);
        assert_eq!(cpu.interleave(start, [(Work::Request, 1), (Work::Carry, 1)]), Some(start + 2 * clock::NEVER));
    }

    #[tokio::test(start_paused = true)]
    async fn short_work_delays_long_work_and_never_waits_for_it() {
        let rates = |work| if work == Work::Request { 10.0 } else { 1000.0 };
        let cpu = Cpu::modelled(Box::new(rates), 1, 1);
        let start = clock::now();
        let at = |instant: Option<Instant>| instant.map(|instant| instant.duration_since(start).as_millis());
        let long = tokio::spawn({
            let cpu = cpu.clone();
            async move { cpu.charge(Work::Sha256, 1000).await }
        });
        tokio::task::yield_now().await;
        // Two requests of 100 ms each, one behind the other; the long one is 1 s, and the next is 200 ms late for them.
        assert_eq!(at(cpu.interleave(start, [(Work::Request, 1)])), Some(100));
        assert_eq!(at(cpu.interleave(start, [(Work::Request, 1)])), Some(200));
        long.await.unwrap();
        assert_eq!(start.elapsed().as_millis(), 1000);
        cpu.charge(Work::Sha256, 1000).await;
        assert_eq!(start.elapsed().as_millis(), 2200);
        // What had time to happen before is done already.
        assert_eq!(at(cpu.interleave(start + Duration::from_millis(500), [(Work::Request, 1)])), Some(600));
        assert_eq!(Cpu::inline().interleave(start, [(Work::Request, 1)]), None);
    }
}
