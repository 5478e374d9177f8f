//! How many operations a stream makes and how long that takes, before any is made. By means alone, so within a factor of
//! a few: enough to find a slip in a unit. Never refuses anything itself.

use super::arrivals::{ArrivalKind, Arrivals};
use super::shape::Shape;
use super::small_files::SmallFiles;
use super::step::Sizes;
use super::stream::{Amount, Stream};

/// Of one stream in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    pub ops: u64,
    /// From the start of the phase to the stream's end, in nanoseconds.
    pub length_ns: u64,
}

pub(super) fn estimate(stream: &Stream) -> Estimate {
    let Stream { shape, area, sizes, arrivals, .. } = stream;
    // What one arrival brings.
    let (ops, bytes) = match shape {
        Shape::SmallFiles { files, .. } => SmallFiles::burst(*files, sizes),
        _ => (1, mean(sizes, |size| size)),
    };
    let (arriving, duration) = match stream.amount {
        Amount::Requests(requests) => (requests.div_ceil(ops), None),
        Amount::Bytes(asked) => (asked.div_ceil(bytes), None),
        Amount::Duration(period) => (within(*arrivals, period.0), Some(period.0)),
        Amount::Once => match shape {
            Shape::Discard { gap } => (area.len.div_ceil(bytes.saturating_add(*gap)), None),
            _ => (1, None),
        },
    };
    let length_ns = duration.unwrap_or_else(|| length_of(*arrivals, arriving));
    let ops = match stream.amount {
        Amount::Requests(requests) => requests,
        _ => arriving.saturating_mul(ops),
    };
    Estimate { ops, length_ns: length_ns.saturating_add(stream.delay.0) }
}

/// Of what each size amounts to, at least 1.
pub(super) fn mean(sizes: &Sizes, of: impl Fn(u64) -> u64) -> u64 {
    let weights: u128 = sizes.weighted.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let sum: u128 = sizes.weighted.iter().map(|(size, weight)| u128::from(of(*size)) * u128::from(*weight)).sum();
    narrow(sum / weights.max(1)).max(1)
}

/// How many arrive in so many nanoseconds. Streams begin with a burst.
fn within(arrivals: Arrivals, ns: u64) -> u64 {
    let busy = match arrivals.kind {
        ArrivalKind::Regular | ArrivalKind::Poisson => ns,
        ArrivalKind::Bursty { on, off } => {
            let share = u128::from(ns) * u128::from(on.0) / (u128::from(on.0) + u128::from(off.0)).max(1);
            narrow(share).saturating_add(on.0).min(ns)
        }
    };
    busy / arrivals.every.0.max(1) + 1
}

/// How many nanoseconds so many arrivals take.
fn length_of(arrivals: Arrivals, count: u64) -> u64 {
    let busy = u128::from(count) * u128::from(arrivals.every.0);
    let silent = match arrivals.kind {
        ArrivalKind::Regular | ArrivalKind::Poisson => 0,
        ArrivalKind::Bursty { on, off } => (busy / u128::from(on.0.max(1))).saturating_mul(off.0.into()),
    };
    narrow(busy.saturating_add(silent))
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::op::OpKind;
    use crate::scenario::Scenario;

    /// Within a factor of two of what really comes, for every way to say how much.
    #[test]
    fn estimates_are_near_what_comes() {
        let bursty = "{ kind = \"bursty\", every = \"1ms\", on = \"10ms\", off = \"90ms\" }";
        let mixed = "[{ size = \"4k\", weight = 99 }, { size = \"8m\", weight = 1 }]";
        for (shape, request, amount, arrivals) in [
            ("shape = \"uniform\"", "\"4k\"", "duration = \"100s\"", bursty),
            ("shape = \"uniform\"", "\"4k\"", "requests = 10000", bursty),
            ("shape = \"sequential\"", mixed, "bytes = \"1g\"", "{ kind = \"poisson\", every = \"1ms\" }"),
            ("shape = \"small-files\"\nfiles = 9", mixed, "duration = \"100s\"", bursty),
            ("shape = \"small-files\"\nfiles = 9", mixed, "bytes = \"1g\"", bursty),
            ("shape = \"small-files\"\nfiles = 9", mixed, "requests = 10000", bursty),
        ] {
            let text = format!(
                "name = \"one\"\nquestion = \"?\"\nspan = \"1g\"\n[[phase]]\n{shape}\n\
                 request = {request}\n{amount}\narrivals = {arrivals}\n"
            );
            let scenario = Scenario::parse("one", &text).unwrap();
            let estimate = super::estimate(&scenario.phases[0].streams[0].1);
            let (mut ops, mut last_ns) = (0u64, 0);
            for op in scenario.ops().filter(|op| op.kind != OpKind::Flush) {
                (ops, last_ns) = (ops + 1, op.time_ns);
            }
            let near = |guess: u64, found: u64| guess <= 2 * found && found <= 2 * guess;
            assert!(near(estimate.ops, ops), "{text}: {} operations, guessed {}", ops, estimate.ops);
            assert!(near(estimate.length_ns, last_ns), "{text}: {} ns, guessed {}", last_ns, estimate.length_ns);
        }
    }
}
