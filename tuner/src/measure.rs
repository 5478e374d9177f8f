//! What a replay measured: latencies by kind of operation, lag, failures.
//!
//! Latency counts from the intended start, so that a slow answer also charges the operations that queued behind it;
//! service time counts from the real start. The two are kept apart, never mixed.

use std::time::Duration;

use hdrhistogram::Histogram;
use s3b_scenarios::OpKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An operation started this much after its intended start counts as late: two ticks of the timer.
pub const LATE: Duration = Duration::from_millis(2);

/// Percentiles beyond this many samples' reach say little; p99 of fewer is near the largest value seen.
pub const P99_SAMPLES: u64 = 299;

/// One minute more than a day, in nanoseconds: longer values are clamped.
const LONGEST_NS: u64 = 86_460_000_000_000;

/// Durations, to three significant digits. Nothing is allocated before the first one: a sweep keeps thousands of these.
#[derive(Clone, Debug, Default)]
pub struct Durations(Option<Histogram<u32>>);

impl Durations {
    pub fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(LONGEST_NS).clamp(1, LONGEST_NS);
        self.histogram().record(ns).expect("an auto-resizing histogram has room for a day");
    }

    fn histogram(&mut self) -> &mut Histogram<u32> {
        self.0.get_or_insert_with(|| Histogram::new(3).expect("three digits are among the possible ones"))
    }

    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The value that `percent` of the samples do not exceed; zero without samples.
    pub fn percentile(&self, percent: f64) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |all| Duration::from_nanos(all.value_at_percentile(percent)))
    }

    /// Zero without samples.
    pub fn mean(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |all| Duration::from_nanos(all.mean() as u64))
    }

    pub fn longest(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |all| Duration::from_nanos(all.max()))
    }

    /// As if every sample of `other` had been taken so many times.
    pub fn add_times(&mut self, other: &Durations, times: u32) {
        for (ns, count) in other.pairs() {
            let count = u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(times);
            self.histogram().record_n(ns, count).expect("an auto-resizing histogram has room for another's values");
        }
    }

    /// Nanoseconds and how often, rising.
    fn pairs(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.0.iter().flat_map(Histogram::iter_recorded);
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value().into()))
    }

    pub fn add(&mut self, other: &Durations) {
        if let Some(other) = &other.0 {
            self.histogram().add(other).expect("an auto-resizing histogram has room for another's values");
        }
    }
}

/// As pairs of nanoseconds and how often: what is read back has the same percentiles.
impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.pairs())
    }
}

impl<'de> Deserialize<'de> for Durations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut durations = Self::default();
        for (ns, count) in Vec::<(u64, u32)>::deserialize(deserializer)? {
            let ns = ns.clamp(1, LONGEST_NS);
            durations.histogram().record_n(ns, count).expect("an auto-resizing histogram has room for a day");
        }
        Ok(durations)
    }
}

/// One kind of operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KindMeasured {
    pub ops: u64,
    pub bytes: u64,
    pub failed: u64,
    /// From the intended start.
    pub latency: Durations,
    /// From the real start.
    pub service: Durations,
}

/// One operation, done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub kind: OpKind,
    pub bytes: u64,
    pub latency: Duration,
    pub service: Duration,
}

/// A whole replay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    kinds: [KindMeasured; 4],
    pub lag: Durations,
    pub late: u64,
    /// From the first intended start to the end of the final flush.
    pub elapsed: Duration,
    /// The final flush: what was not yet stored when the last operation had returned.
    pub drain: Duration,
    pub first_failure: Option<String>,
    /// Ended before the workload did.
    pub interrupted: bool,
}

impl Measured {
    pub fn kind(&self, kind: OpKind) -> &KindMeasured {
        &self.kinds[kind as usize]
    }

    pub fn started(&mut self, lag: Duration) {
        self.lag.record(lag);
        self.late += u64::from(lag > LATE);
    }

    pub fn done(&mut self, done: Done) {
        let kind = &mut self.kinds[done.kind as usize];
        kind.ops += 1;
        kind.bytes += done.bytes;
        kind.latency.record(done.latency);
        kind.service.record(done.service);
    }

    /// Failed operations count, but their time does not: an error is not a fast answer.
    pub fn failed(&mut self, kind: OpKind, what: impl FnOnce() -> String) {
        self.kinds[kind as usize].failed += 1;
        self.first_failure.get_or_insert_with(what);
    }

    pub fn failures(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.failed).sum()
    }

    /// Bytes read and written.
    pub fn bytes(&self) -> u64 {
        self.kind(OpKind::Read).bytes + self.kind(OpKind::Write).bytes
    }

    /// Bytes per second over the whole time, the final flush included.
    pub fn throughput(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.bytes() as f64 / seconds } else { 0.0 }
    }

    /// Forgets all times but the latencies, which are all that a comparison needs.
    pub fn forget_details(&mut self) {
        self.kinds.iter_mut().for_each(|kind| kind.service = Durations::default());
        self.lag = Durations::default();
    }

    /// As if another run had been so many; its times of the whole are left out.
    pub fn add_times(&mut self, other: &Measured, times: u32) {
        for (mine, its) in self.kinds.iter_mut().zip(&other.kinds) {
            mine.ops += its.ops * u64::from(times);
            mine.bytes += its.bytes * u64::from(times);
            mine.failed += its.failed * u64::from(times);
            mine.latency.add_times(&its.latency, times);
            mine.service.add_times(&its.service, times);
        }
        self.lag.add_times(&other.lag, times);
    }

    /// Pools another run of the same workload.
    pub fn add(&mut self, other: &Measured) {
        for (mine, its) in self.kinds.iter_mut().zip(&other.kinds) {
            mine.ops += its.ops;
            mine.bytes += its.bytes;
            mine.failed += its.failed;
            mine.latency.add(&its.latency);
            mine.service.add(&its.service);
        }
        self.lag.add(&other.lag);
        self.late += other.late;
        self.elapsed += other.elapsed;
        self.drain += other.drain;
        self.interrupted |= other.interrupted;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(99.0), Duration::ZERO);
        (1..=1000).for_each(|ms| durations.record(Duration::from_millis(ms)));
        for (percent, ms) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = durations.percentile(percent).as_secs_f64() * 1e3;
            assert!((found / ms - 1.0).abs() < 0.001, "p{percent} = {found} ms");
        }
        durations.record(Duration::from_secs(1 << 40));
        assert_eq!(durations.count(), 1001);
    }

    #[test]
    fn runs_are_pooled_and_failures_are_not_fast_answers() {
        let done = Done { kind: OpKind::Write, bytes: 10, latency: Duration::from_secs(1), service: Duration::ZERO };
        let mut one = Measured { elapsed: Duration::from_secs(2), ..Measured::default() };
        one.done(done);
        one.failed(OpKind::Write, || "first".into());
        one.failed(OpKind::Read, || unreachable!("only the first failure is described"));
        let mut two = one.clone();
        two.add(&one);
        assert_eq!((two.kind(OpKind::Write).ops, two.failures(), two.bytes()), (2, 4, 20));
        assert_eq!(two.throughput(), 5.0);
        assert_eq!(two.kind(OpKind::Write).latency.count(), 2);
    }
}
