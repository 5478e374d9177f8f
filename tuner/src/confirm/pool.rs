//! From the pieces of a workload, run once or several times, to figures of the whole. Pure.

use super::Piece;
use crate::figures;
use crate::measure::Measured;
use crate::outcome::{Figures, KindFigures, Ledger};
use crate::simulate::Pace;

/// One run of one piece, real or simulated.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub piece: &'a Piece,
    pub measured: &'a Measured,
    pub ledger: &'a Ledger,
    pub at_risk_bytes: u64,
}

/// Figures per run of the whole workload, from `rounds` runs of each of its pieces. Counts, bytes and seconds are those
/// of one run; percentiles are of all samples, weighted by what their pieces stand for; `latency.count` is how many
/// samples there really were.
pub(super) fn pool(parts: &[Part<'_>], rounds: u32, pace: Pace, idle_seconds: f64) -> Figures {
    let runs = f64::from(rounds.max(1));
    let mut pooled = Measured::default();
    let mut samples = Measured::default();
    let mut ledger = Ledger::default();
    let (mut seconds, mut drain_seconds, mut late) = (0.0, 0.0, 0.0);
    for part in parts {
        let piece = part.piece;
        pooled.add_times(part.measured, piece.times_ops.round().max(1.0) as u32);
        samples.add(part.measured);
        ledger = ledger.zip(part.ledger, |sum, one| sum + (one as f64 * piece.times_ops).round() as u64);
        // By schedule a piece takes its time; as fast as possible, it takes what its operations take.
        let times = if pace == Pace::Schedule { piece.times } else { piece.times_ops };
        seconds += part.measured.elapsed.as_secs_f64() * times / runs;
        drain_seconds += part.measured.drain.as_secs_f64() * times / runs;
        late += part.measured.late as f64 * piece.times_ops / runs;
    }
    let ledger = ledger.zip(&ledger, |sum, _| (sum as f64 / runs).round() as u64);
    let mut figures = figures::of_measured(&pooled);
    let of_samples = figures::of_measured(&samples);
    let kinds = [
        (&mut figures.read, &of_samples.read),
        (&mut figures.write, &of_samples.write),
        (&mut figures.flush, &of_samples.flush),
        (&mut figures.discard, &of_samples.discard),
    ];
    for (kind, seen) in kinds {
        per_run(kind, seen, runs);
    }
    Figures {
        seconds: seconds + idle_seconds,
        drain_seconds,
        late: late.round() as u64,
        ledger,
        at_risk_bytes: parts.iter().map(|part| part.at_risk_bytes).max().unwrap_or(0),
        runs: rounds,
        ..figures
    }
}

fn per_run(kind: &mut KindFigures, seen: &KindFigures, runs: f64) {
    for value in [&mut kind.ops, &mut kind.bytes, &mut kind.failed] {
        *value = (*value as f64 / runs).round() as u64;
    }
    kind.latency.count = seen.latency.count;
    kind.service.count = seen.service.count;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use s3b_scenarios::OpKind;

    use super::*;
    use crate::measure::Done;
    use crate::outcome::StoreLedger;
    use crate::simulate::{Found, Tape};

    fn piece(times: f64, times_ops: f64) -> Piece {
        let tape = Arc::new(Tape::of_ops("t", Vec::new(), Found::Nothing));
        Piece { case: 0, tape, window: None, times, times_ops, starts: Vec::new() }
    }

    fn measured(reads: u64, ms: u64, seconds: u64) -> Measured {
        let mut measured = Measured::default();
        measured.elapsed = Duration::from_secs(seconds);
        let latency = Duration::from_millis(ms);
        (0..reads).for_each(|_| measured.done(Done { kind: OpKind::Read, bytes: 10, latency, service: latency }));
        measured
    }

    #[test]
    fn windows_weigh_what_they_stand_for_and_rounds_do_not_add_up() {
        let (rare, usual) = (piece(1.0, 1.0), piece(9.0, 3.0));
        let (slow, quick) = (measured(100, 50, 10), measured(100, 1, 10));
        let ledger = Ledger { store: StoreLedger { puts: 7, ..StoreLedger::default() }, ..Ledger::default() };
        let part = |piece, measured| Part { piece, measured, ledger: &ledger, at_risk_bytes: 5 };
        let twice = [part(&rare, &slow), part(&usual, &quick), part(&rare, &slow), part(&usual, &quick)];
        let figures = pool(&twice, 2, Pace::Schedule, 4.0);
        assert!((figures.seconds - 104.0).abs() < 1e-9, "10 + 9 x 10 + 4 idle: {}", figures.seconds);
        assert_eq!((figures.read.ops, figures.read.bytes, figures.ledger.store.puts), (400, 4000, 28));
        assert_eq!((figures.read.latency.count, figures.runs), (400, 2), "samples are counted as they were");
        assert!((figures.read.latency.p50_ms - 1.0).abs() < 0.01 && (figures.read.latency.p90_ms - 50.0).abs() < 0.1);
        let closed = pool(&twice, 2, Pace::Closed { outstanding: 1 }, 0.0);
        assert!((closed.seconds - 40.0).abs() < 1e-9, "10 + 3 x 10: {}", closed.seconds);
    }
}
