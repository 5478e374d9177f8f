//! Judgements of made-up numbers.

use std::time::Duration;

use s3b_scenarios::OpKind;

use super::judge::judge;
use super::judgement::{Judged, Judgement};
use super::validation::{Played, SCHEMA, Tried, Validation};
use crate::measure::{Done, Measured};
use crate::outcome::rounds::{OneRun, Round};
use crate::outcome::{CacheLedger, Environment, Ledger, Place, PlaceKind, PriceTable, RunInfo, StoreLedger};

const CONFIGURATIONS: usize = 10;

/// What a run is to look like.
#[derive(Clone, Copy)]
struct Shape {
    seconds: f64,
    reads: u64,
    read_ms: f64,
    /// Of one read in fifty.
    slow_ms: f64,
    puts: u64,
    hits: u64,
}

/// Each configuration slower than the one before it; workload 0 in a closed loop, 1 by schedule.
fn shape(slot: usize) -> Shape {
    let nth = 1.0 + slot as f64;
    Shape { seconds: nth, reads: 400, read_ms: 10.0 * nth, slow_ms: 40.0 * nth, puts: 1000, hits: 300 }
}

fn run(slot: usize, piece: usize, shape: Shape) -> OneRun {
    let mut measured = Measured::default();
    measured.elapsed = Duration::from_secs_f64(shape.seconds);
    for n in 0..shape.reads {
        let ms = if n % 50 == 0 { shape.slow_ms } else { shape.read_ms };
        let latency = Duration::from_secs_f64(ms / 1e3);
        measured.done(Done { kind: OpKind::Read, bytes: 4096, latency, service: latency });
    }
    let store = StoreLedger { puts: shape.puts, ..StoreLedger::default() };
    let cache = CacheLedger { read_hits: shape.hits, read_misses: 400 - shape.hits, ..CacheLedger::default() };
    let ledger = Ledger { store, cache, ..Ledger::default() };
    OneRun { slot, piece, measured, ledger, at_risk_bytes: 0, cpu_share: 0.1 }
}

fn round(number: u32, shapes: &dyn Fn(usize, usize) -> Shape) -> Round {
    let pairs = (0..CONFIGURATIONS).flat_map(|slot| [(slot, 0), (slot, 1)]);
    let runs = pairs.map(|(slot, piece)| run(slot, piece, shapes(slot, piece))).collect();
    Round { number, hold_out: false, runs }
}

/// Predictions in five weathers and two rounds of real runs.
fn validation(predicted: &dyn Fn(usize, usize) -> Shape, measured: &dyn Fn(u32, usize, usize) -> Shape) -> Validation {
    let workload = |name: &str, closed| Played {
        name: name.into(),
        closed,
        window: None,
        ops: 400,
        bytes: 400 * 4096,
        seconds: 1.0,
    };
    let tried = |n: usize| Tried { values: vec![n.to_string()], settings_toml: String::new() };
    let place =
        Place { kind: PlaceKind::Bucket, description: "b".into(), model_toml: String::new(), says_block_size: true };
    Validation {
        schema: SCHEMA.into(),
        run: RunInfo { seed: 1, ..RunInfo::default() },
        environment: Environment::default(),
        place,
        prices: PriceTable::standard(),
        in_region: true,
        axes: Vec::new(),
        configurations: (0..CONFIGURATIONS).map(tried).collect(),
        workloads: vec![workload("closed", true), workload("scheduled", false)],
        predicted: vec![round(0, predicted); 5],
        rounds: (0..2).map(|number| round(number, &|slot, piece| measured(number, slot, piece))).collect(),
        unfinished: None,
        notes: Vec::new(),
        judgement: None,
    }
}

/// As predicted, but for a half per cent between rounds.
fn as_it_is(number: u32, slot: usize, _: usize) -> Shape {
    let one = shape(slot);
    Shape { seconds: one.seconds * (1.0 + 0.005 * f64::from(number)), ..one }
}

fn row<'a>(judgement: &'a Judgement, name: &str) -> &'a Judged {
    judgement.measures.iter().find(|row| row.measure == name).unwrap_or_else(|| panic!("no row {name}"))
}

fn missed(judgement: &Judgement) -> Vec<&str> {
    judgement.measures.iter().filter(|row| row.reached == Some(false)).map(|row| &*row.measure).collect()
}

#[test]
fn what_is_met_is_reached() {
    let judgement = judge(&validation(&|slot, _| shape(slot), &as_it_is));
    assert!(judgement.is_reached(), "{:?}", missed(&judgement));
    let judged = judgement.measures.iter().filter(|row| row.reached.is_some()).count();
    assert_eq!(judged, 12, "all but requests that nobody sent: {:#?}", judgement.measures);
    assert_eq!(row(&judgement, "order, tau b (separable pairs)").found, Some(1.0));
    assert_eq!(row(&judgement, "separable pairs").count, 2 * 45);
    assert!(!Judgement::default().is_reached(), "nothing judged is nothing reached");
}

#[test]
fn wrong_counts_and_ratios_are_found_where_more_than_one_in_ten_is_wrong() {
    let wrong = |most: usize| {
        validation(
            &move |slot, _| {
                let puts = if slot < most { 1030 } else { 1002 };
                Shape { puts, hits: 301, ..shape(slot) }
            },
            &as_it_is,
        )
    };
    let judgement = judge(&wrong(1));
    assert!(
        judgement.is_reached(),
        "two requests of 1000 are alike, one pair in ten may be off: {:?}",
        missed(&judgement)
    );
    assert!((row(&judgement, "PUT requests (9 of 10)").worst.unwrap() - 0.03).abs() < 1e-9);
    // The dollars are those of the PUTs.
    assert_eq!(missed(&judge(&wrong(3))), ["PUT requests (9 of 10)", "dollars (9 of 10)"]);
    let ratio = validation(&|slot, _| Shape { hits: 303, ..shape(slot) }, &as_it_is);
    assert_eq!(missed(&judge(&ratio)), ["hit ratio (9 of 10)"], "303 of 400 against 300");
}

#[test]
fn throughput_has_a_close_bound_for_half_and_noise_widens_it() {
    let slower = |slot, _| Shape { seconds: shape(slot).seconds * 1.08, ..shape(slot) };
    assert_eq!(missed(&judge(&validation(&slower, &as_it_is))), ["throughput (median)"]);
    let noisy = |number: u32, slot: usize, _: usize| Shape {
        seconds: shape(slot).seconds * (1.0 + 0.16 * f64::from(number)),
        ..shape(slot)
    };
    // Rounds of 1.00 and 1.16 times the seconds are 1.08 on average; 1.18 is 8.5 % off.
    let slower = |slot, _| Shape { seconds: shape(slot).seconds * 1.18, ..shape(slot) };
    let judgement = judge(&validation(&slower, &noisy));
    let median = row(&judgement, "throughput (median)");
    assert!(median.bound > 0.13 && median.reached == Some(true), "{median:?}");
    // Within the bound, yet nobody may read it as the promise kept.
    assert_eq!((median.verdict(), median.repeats), ("within noise", 10));
    let nine = row(&judgement, "throughput (9 of 10)");
    assert_eq!((nine.verdict(), nine.within_noise), ("yes", false), "{nine:?}");
    assert!(judgement.is_reached() && judgement.notes.iter().any(|note| note.contains("1 of 12 judged measures")));
    let mut shown = validation(&slower, &noisy);
    shown.judgement = Some(judgement);
    assert!(super::show::render(&shown, false).contains("within noise"));
}

#[test]
fn noise_is_that_of_every_two_rounds_and_of_the_twin_only_where_there_is_one() {
    // Rounds of 1.00, 1.02 and 1.10 times the seconds; the second runs of the first configuration are wild.
    let mut three = validation(&|slot, _| shape(slot), &as_it_is);
    let times = |number: u32| [1.0, 1.02, 1.10][number as usize];
    let of_round = |number: u32| {
        let slower = |slot: usize, _: usize| Shape { seconds: shape(slot).seconds * times(number), ..shape(slot) };
        let mut all = round(number, &slower);
        all.runs.push(run(CONFIGURATIONS, 0, Shape { seconds: 9.0 * times(number), ..shape(0) }));
        all
    };
    three.rounds = (0..3).map(of_round).collect();
    let found = judge(&three);
    let median = row(&found, "throughput (median)");
    // Ratios 1.02, 1.0784 and 1.10 of each configuration.
    assert_eq!(median.repeats, 3 * CONFIGURATIONS);
    assert!((median.noise.unwrap() - 0.0784).abs() < 1e-3, "{median:?}");
    three.rounds.truncate(1);
    let found = judge(&three);
    let median = row(&found, "throughput (median)");
    assert_eq!((median.repeats, median.noise.map(f64::round)), (1, Some(8.0)), "{median:?}");
}

#[test]
fn an_order_rests_on_the_same_percentile_on_both_sides() {
    // 100 samples a run show no 99th percentile, whatever five weathers or several rounds show together: of the two per cent
    // that are predicted in the opposite order nothing can be known.
    let few = |slot: usize| Shape { reads: 100, ..shape(slot) };
    let predicted = |slot: usize, _: usize| Shape { slow_ms: 40.0 * (10 - slot) as f64, ..few(slot) };
    let judgement =
        judge(&validation(&predicted, &|number, slot, piece| Shape { reads: 100, ..as_it_is(number, slot, piece) }));
    assert_eq!(row(&judgement, "order, tau b (separable pairs)").found, Some(1.0), "{:#?}", judgement.notes);
    // Nor where only one side has the samples: here a weather of 400 against rounds of 100.
    let many = |slot: usize, _: usize| Shape { reads: 400, ..predicted(slot, 0) };
    let judgement =
        judge(&validation(&many, &|number, slot, piece| Shape { reads: 100, ..as_it_is(number, slot, piece) }));
    assert_eq!(row(&judgement, "order, tau b (separable pairs)").found, Some(1.0), "{:#?}", judgement.notes);
}

#[test]
fn among_five_there_is_no_choice_to_judge() {
    let mut five = validation(&|slot, _| shape(CONFIGURATIONS - 1 - slot), &as_it_is);
    five.configurations.truncate(5);
    for round in five.predicted.iter_mut().chain(&mut five.rounds) {
        round.runs.retain(|run| run.slot < 5);
    }
    let judgement = judge(&five);
    for name in super::agreement::CHOICES {
        assert_eq!(row(&judgement, name).reached, None, "{name} cannot be missed");
    }
    assert!(judgement.notes.iter().any(|note| note.contains("all 5 configurations are among 5")));
}

#[test]
fn latencies_are_judged_by_schedule_only_and_tails_only_of_enough_samples() {
    let slow = |slot, _| Shape { read_ms: shape(slot).read_ms * 1.2, ..shape(slot) };
    assert_eq!(missed(&judge(&validation(&slow, &as_it_is))), ["p50 (9 of 10)"]);
    let in_closed_loop = |slot, piece| if piece == 0 { slow(slot, 0) } else { shape(slot) };
    assert!(judge(&validation(&in_closed_loop, &as_it_is)).is_reached());
    let heavy = |slot, _| Shape { slow_ms: shape(slot).slow_ms * 1.5, ..shape(slot) };
    assert_eq!(missed(&judge(&validation(&heavy, &as_it_is))), ["p99 (9 of 10)"]);
    // Between the rounds' own percentiles is inside what was measured.
    let wide = |number: u32, slot: usize, _: usize| Shape {
        slow_ms: shape(slot).slow_ms * if number == 0 { 1.0 } else { 2.0 },
        ..shape(slot)
    };
    let p99 = judge(&validation(&heavy, &wide));
    assert_eq!(row(&p99, "p99 (9 of 10)").worst, Some(0.0), "{:?}", row(&p99, "p99 (9 of 10)"));
    // 200 samples twice are no 400 of one run.
    let few = |number, slot, piece| Shape { reads: 200, ..as_it_is(number, slot, piece) };
    let few = judge(&validation(&heavy, &few));
    assert!(row(&few, "p99 (9 of 10)").reached.is_none() && few.notes.iter().any(|note| note.contains("299")));
}

#[test]
fn a_wrong_order_and_a_wrong_choice_are_found() {
    let judgement = judge(&validation(&|slot, _| shape(CONFIGURATIONS - 1 - slot), &as_it_is));
    assert_eq!(row(&judgement, "order, tau b (separable pairs)").found, Some(-1.0));
    let names =
        ["true best among the predicted 5", "regret after confirmation (mean)", "regret after confirmation (p95)"];
    assert!(names.iter().all(|name| row(&judgement, name).reached == Some(false)), "{:#?}", judgement.measures);
    assert_eq!(row(&judgement, names[0]).found, Some(0.0));
    // The sixth at 6 s and 60 ms is the best of the predicted five, the first at 1 s and 10 ms the true best: 6 times as
    // slow in the closed loop, by schedule 5.47 times, since of a tail the first 10 ms are not felt.
    assert!((row(&judgement, names[1]).found.unwrap() - 4.73).abs() < 0.1);
    // The order within the five does not matter to the choice.
    let near = |slot: usize, _: usize| shape(if slot < 5 { 4 - slot } else { slot });
    let judgement = judge(&validation(&near, &as_it_is));
    assert!(names.iter().all(|name| row(&judgement, name).reached == Some(true)), "{:#?}", judgement.measures);
}

#[test]
fn what_cannot_be_told_apart_is_no_order() {
    let noisy = |number: u32, slot: usize, _: usize| {
        let factor = if (slot + number as usize).is_multiple_of(2) { 1.0 } else { 20.0 };
        let one = shape(slot);
        Shape { seconds: one.seconds * factor, read_ms: one.read_ms * factor, slow_ms: one.slow_ms * factor, ..one }
    };
    let judgement = judge(&validation(&|slot, _| shape(slot), &noisy));
    assert_eq!(row(&judgement, "separable pairs").found, Some(0.0));
    assert_eq!(row(&judgement, "order, tau b (separable pairs)").reached, None);
    assert!(missed(&judgement).contains(&"separable pairs"));
}

#[test]
fn a_part_of_a_round_is_judged_and_choices_are_not() {
    let mut part = validation(&|slot, _| shape(slot), &as_it_is);
    let mut first = part.rounds.remove(0);
    first.runs.truncate(7);
    (part.rounds, part.unfinished) = (Vec::new(), Some(first));
    part.run.stopped = Some("interrupted".into());
    let judgement = judge(&part);
    assert_eq!(row(&judgement, "PUT requests (9 of 10)").count, 7);
    assert_eq!(row(&judgement, "true best among the predicted 5").reached, None);
    part.judgement = Some(judgement.clone());
    let text = super::show::render(&part, false);
    assert!(text.contains("PARTIAL (interrupted)") && text.contains("not judged"), "{text}");
    // Written down and read back it is judged the same.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("result.json");
    std::fs::write(&path, serde_json::to_string(&part).unwrap()).unwrap();
    assert_eq!(judge(&Validation::load(&path).unwrap()), judgement);
    part.predicted[0].runs[0].slot = CONFIGURATIONS;
    std::fs::write(&path, serde_json::to_string(&part).unwrap()).unwrap();
    let error = format!("{:#}", Validation::load(&path).unwrap_err());
    assert!(error.contains("result.json") && error.contains("configuration 10 on workload 0"), "{error}");
    std::fs::write(&path, "{\"schema\": \"s3b-sweep/1\"}").unwrap();
    let error = format!("{:#}", Validation::load(&path).unwrap_err());
    assert!(error.contains("s3b-sweep/1, not s3b-validate/1"), "{error}");
}
