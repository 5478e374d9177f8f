//! Plans and real runs over a store in memory behind a model, and the judgement of both.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use s3b_engine::settings::{Location, Settings};
use s3b_scenarios::{Op, OpKind};

use super::*;
use crate::budget::Budget;
use crate::connection::Access;
use crate::interrupt::Interrupt;
use crate::model::shipped;
use crate::outcome::{StoreLedger, Verdict};
use crate::place::{Owner, Place};
use crate::runs::{Description, Record, RunDirectory};
use crate::simulate::Found;

/// Reads of 64 blocks of 64 KiB, and writes with flushes between.
fn case() -> Case {
    let mut ops = Vec::new();
    for n in 0..64u64 {
        ops.push(Op::new(n * 1_000_000, OpKind::Read, n << 16, 4096));
        if n % 8 == 0 {
            ops.push(Op::new(n * 1_000_000, OpKind::Write, n << 16, 65536));
            ops.push(Op::new(n * 1_000_000, OpKind::Flush, 0, 0));
        }
    }
    let tape = Arc::new(Tape::of_ops("t", ops, Found::WhatIsRead));
    Case {
        workload: 0,
        tape,
        pace: Pace::Closed { outstanding: 2 },
        weight: 1.0,
        expected_seconds: 0.0,
        budget_seconds: None,
    }
}

fn candidate(configuration: usize, block_size: u64) -> Candidate {
    let mut settings = Settings::default();
    settings.volume.block_size = Some(block_size);
    settings.block_cache.size = s3b_engine::settings::CacheSize::Blocks(64);
    Candidate { configuration, settings }
}

fn wanted() -> Wanted {
    Wanted {
        purpose: Purpose::Choose,
        candidates: vec![candidate(7, 65536), candidate(3, 16384)],
        keep: Some(1),
        cases: vec![case()],
        goal: GoalKind::Throughput,
        model: Some(Arc::new(shipped::standard())),
        prices: PriceTable::standard(),
        reader: Reader::Outside,
        max_dollars: Some(0.5),
        max_time: Duration::from_secs(600),
        most_rounds: 4,
        seed: 1,
    }
}

async fn place(model: bool, owner: Owner) -> Place {
    let settings = Settings { location: Location::Memory, ..Settings::default() };
    let access = Access { settings, password: None, access_key: None };
    Place::claim_for(&access, model.then(shipped::standard), owner).await.unwrap()
}

/// The fewest seconds.
fn quickest(measured: &[Vec<Figures>], _noise: Option<f64>) -> Option<usize> {
    (0..measured.len()).min_by(|a, b| measured[*a][0].seconds.total_cmp(&measured[*b][0].seconds))
}

fn budget(cap: f64) -> Arc<Budget> {
    Budget::new(PriceTable::standard(), Reader::Outside, Some(cap))
}

#[test]
fn a_plan_names_its_worst_case_and_keeps_within_its_bounds() {
    let stop = AtomicBool::new(false);
    let all = plan(wanted(), &stop).unwrap();
    assert_eq!((all.rounds, all.wanted.candidates.len(), all.left_out.len()), (4, 2, 0));
    assert!(all.dollars > 5.0 * all.round_dollars && all.dollars < 0.5, "{}", all.dollars);
    assert!(all.text().contains(&format!("${:.4}", all.dollars)), "{}", all.text());
    // Money for one round and the control: fewer rounds; for less: nothing is sent at all.
    let one_round = all.dollars - 3.0 * all.round_dollars;
    let fewer = plan(Wanted { max_dollars: Some(one_round * 1.001), ..wanted() }, &stop).unwrap();
    assert!(fewer.rounds == 1 && fewer.dollars <= one_round * 1.001);
    let refused = plan(Wanted { max_dollars: Some(0.000_1), ..wanted() }, &stop).err().unwrap().to_string();
    assert!(refused.contains("--max-cost 0.0001 is too little") && refused.contains("--sim-only"), "{refused}");
    let third = Wanted { candidates: [wanted().candidates, vec![candidate(9, 4096)]].concat(), ..wanted() };
    let left = plan(Wanted { max_dollars: Some(one_round * 1.001), ..third }, &stop).unwrap();
    assert_eq!((left.left_out.clone(), left.wanted.keep), (vec![9], Some(1)), "the last goes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_confirm_what_the_model_said_and_cost_less_than_planned() {
    let stop = AtomicBool::new(false);
    let plan = plan(Wanted { most_rounds: 2, ..wanted() }, &stop).unwrap();
    let budget = budget(0.5);
    let dir = tempfile::tempdir().unwrap();
    let description = Description { id: "aa".into(), ..Description::default() };
    let run_directory = Arc::new(RunDirectory::create_in(dir.path(), description).unwrap());
    let place = place(true, Owner { run: Some(run_directory.clone()), budget: Some(budget.clone()) }).await;
    let keep = Keep { run: Some(&run_directory), ..Keep::default() };
    let mut steps = Vec::new();
    let confirmed =
        run(&plan, &place, keep, &quickest, &Interrupt::default(), &mut |step| steps.push(step)).await.unwrap();
    assert_eq!(confirmed.stopped, None);
    // Two rounds of three, and the control.
    assert_eq!((steps.len(), confirmed.rounds.len(), confirmed.losses[0].len()), (7, 3, 2));
    assert!(budget.dollars() <= plan.dollars, "{} of {}", budget.dollars(), plan.dollars);
    assert_eq!(place.clean().await.left, 0);
    for (slot, predicted) in plan.predicted.iter().enumerate() {
        let (found, said) = (&confirmed.measured[slot][0], &predicted[0]);
        assert_eq!((found.read.ops, found.write.ops, found.runs), (64, 8, 2));
        assert_eq!(found.ledger.store.puts, said.ledger.store.puts, "slot {slot}");
    }
    // Four times as many GETs behind the same latency.
    assert_eq!(confirmed.best, Some(0));
    assert!(confirmed.differences[0].other == 3 && confirmed.hold_out.is_some() && confirmed.noise_floor.is_some());
    let trust = judge(&plan, &confirmed);
    assert!(trust.confirmations.iter().any(|row| row.metric == "puts" && row.configuration == 7 && row.within_bounds));
    // 8 flushes show no median. What neither predicted nor measured to matter is no figure that was met: two GETs, a tick.
    assert!(trust.confirmations.iter().all(|row| row.metric != "flush.p50"), "{:?}", trust.confirmations);
    assert!(trust.confirmations.iter().any(|row| row.metric == "gets"));
    let mut small = confirmed.clone();
    let mut small_plan = super::plan(Wanted { most_rounds: 2, ..wanted() }, &stop).unwrap();
    let all_figures = small_plan.predicted.iter_mut().chain(&mut small.measured).flatten();
    all_figures.for_each(|one| one.ledger.store.gets = 2);
    let rows = judge(&small_plan, &small).confirmations;
    assert!(!rows.is_empty() && rows.iter().all(|row| row.metric != "gets"), "{rows:?}");
    // The order is that of the rounds.
    let agreement = |losses: [f64; 2]| {
        let losses = losses.map(|loss| vec![loss; 2]).to_vec();
        judge(&plan, &Confirmed { losses, noise_floor: None, ..confirmed.clone() }).rank_agreement
    };
    assert_eq!([[1.0, 2.0], [2.0, 1.0], [1.0, 1.01]].map(agreement), [Some(1.0), Some(-1.0), None]);
    // What was kept is not run again, and comes to the same.
    drop(place);
    let description = run_directory.description.clone();
    drop(run_directory);
    let (_again, records) = RunDirectory::resume_in(dir.path(), "aa", &description).unwrap();
    let spent =
        records.iter().rev().find_map(|record| if let Record::Spent(spent) = record { Some(*spent) } else { None });
    assert_eq!(spent, Some(budget.spent()), "counted to the last request");
    let earlier: Vec<Round> = records
        .into_iter()
        .filter_map(|record| if let Record::Round(round) = record { Some(round) } else { None })
        .collect();
    let place = self::place(true, Owner::default()).await;
    let first = vec![earlier[0].clone()];
    let keep = Keep { run: None, earlier, resumed: true };
    let resumed = run(&plan, &place, keep, &quickest, &Interrupt::default(), &mut |_| panic!("nothing is left to run"))
        .await
        .unwrap();
    assert_eq!((&resumed.measured, &resumed.losses), (&confirmed.measured, &confirmed.losses));
    // Differences and the control are of the one that is recommended, whatever its mean.
    let keep = Keep { run: None, earlier: resumed.rounds, resumed: true };
    let other = |_: &[Vec<Figures>], _: Option<f64>| Some(1);
    let chosen = run(&plan, &place, keep, &other, &Interrupt::default(), &mut |_| panic!("nothing is left to run"))
        .await
        .unwrap();
    assert_eq!((chosen.best, chosen.differences[0].other, chosen.hold_out), (Some(1), 7, None));
    assert!(chosen.differences[0].ratio < 1.0, "the other is quicker: {:?}", chosen.differences);
    // What was spent before counts: nothing is begun that would pass the cap.
    let capped = self::budget(budget.dollars() + plan.round_dollars);
    capped.charge_earlier(&budget.spent());
    let place = self::place(true, Owner { run: None, budget: Some(capped.clone()) }).await;
    let keep = Keep { run: None, earlier: first, resumed: true };
    let poor =
        run(&plan, &place, keep, &quickest, &Interrupt::default(), &mut |_| panic!("no money is left")).await.unwrap();
    assert_eq!((poor.stopped.as_deref(), poor.rounds.len()), (Some("out of money"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_its_cap_ends_with_what_it_has() {
    let plan = plan(wanted(), &AtomicBool::new(false)).unwrap();
    let budget = budget(plan.dollars);
    let place = place(false, Owner { run: None, budget: Some(budget.clone()) }).await;
    // In the middle of the second round the price of all that was planned is gone otherwise.
    let mut ran = 0;
    let mut spend = |_: Step| {
        ran += 1;
        if ran == 4 {
            let puts = ((plan.dollars - budget.dollars()) / 5e-6) as u64;
            budget.charge_earlier(&StoreLedger { puts, ..StoreLedger::ZERO });
        }
    };
    let confirmed = run(&plan, &place, Keep::default(), &quickest, &Interrupt::default(), &mut spend).await.unwrap();
    assert_eq!((confirmed.stopped.as_deref(), confirmed.rounds.len(), ran), (Some("out of money"), 1, 4));
    assert!(budget.dollars() <= budget.cap().unwrap());
    assert_eq!(place.clean().await.left, 0);
}

/// Killed in the middle of the first round, with most of the money gone: there is nothing to be had for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_resumed_before_its_first_whole_round_begins_none_that_it_cannot_end() {
    let plan = plan(wanted(), &AtomicBool::new(false)).unwrap();
    let resumed = || Keep { resumed: true, ..Keep::default() };
    let filling = plan.filling_dollars(&[0, 1, 2], &BTreeSet::new());
    assert!(filling > 0.0 && plan.filling_dollars(&[1], &BTreeSet::new()) < filling);
    // Enough for the first round and the control, but not for filling their volumes as well.
    let cap = plan.round_dollars * (1.0 + 1.0 / plan.slots() as f64) + filling * 0.9;
    let budget = budget(cap);
    let place = self::place(true, Owner { run: None, budget: Some(budget.clone()) }).await;
    let claimed = budget.dollars();
    assert!(claimed < filling * 0.9, "{claimed} {filling}");
    let never = &mut |_: Step| panic!("nothing is begun");
    let poor = run(&plan, &place, resumed(), &quickest, &Interrupt::default(), never).await.unwrap();
    assert_eq!((poor.stopped.as_deref(), budget.dollars()), (Some("out of money"), claimed));
    place.clean().await;
    let mut plan = plan;
    plan.wanted.max_time = Duration::from_secs_f64(plan.round_seconds);
    let place = self::place(true, Owner::default()).await;
    let late = run(&plan, &place, resumed(), &quickest, &Interrupt::default(), never).await.unwrap();
    assert_eq!(late.stopped.as_deref(), Some("out of time"));
    place.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_wrong_is_not_trusted() {
    // By its own times the workload takes as long however slow the store is: what is judged is the goal's number.
    let cases = vec![Case { pace: Pace::Schedule, ..case() }];
    let wanted = Wanted { most_rounds: 1, goal: GoalKind::Latency, cases, ..wanted() };
    let plan = plan(wanted, &AtomicBool::new(false)).unwrap();
    // In memory, without the latencies of the model.
    let place = place(false, Owner::default()).await;
    let confirmed = run(&plan, &place, Keep::default(), &quickest, &Interrupt::default(), &mut |_| {}).await.unwrap();
    let trust = judge(&plan, &confirmed);
    assert_eq!(trust.verdict, Verdict::ModelNotTrusted, "{trust:?}");
    let rows = &trust.confirmations;
    assert!(rows.iter().any(|row| row.metric == "loss") && rows.iter().all(|row| row.metric != "seconds"), "{rows:?}");
    assert!(trust.model_error.unwrap()[0] > 0.2, "{:?}", trust.model_error);
    assert!(confirmed.case_losses[0][0][0] > 0.0);
    let interrupt = Interrupt::default();
    interrupt.ask();
    let nothing = run(&plan, &place, Keep::default(), &quickest, &interrupt, &mut |_| {}).await.unwrap();
    assert_eq!((nothing.stopped.as_deref(), nothing.best), (Some("interrupted"), None));
    assert_eq!(judge(&plan, &nothing).verdict, Verdict::SimulatedOnly);
    place.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_run_is_begun_when_the_time_is_over() {
    let mut plan = plan(wanted(), &AtomicBool::new(false)).unwrap();
    // Shorter than the first run of the first round; nothing was measured yet that could tell.
    plan.wanted.max_time = Duration::from_millis(300);
    let place = place(true, Owner::default()).await;
    let mut steps = 0;
    let confirmed =
        run(&plan, &place, Keep::default(), &quickest, &Interrupt::default(), &mut |_| steps += 1).await.unwrap();
    assert_eq!((steps, confirmed.stopped.as_deref(), confirmed.rounds.len()), (1, Some("out of time"), 0));
    place.clean().await;
}
