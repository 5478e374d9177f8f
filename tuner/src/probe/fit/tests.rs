use super::*;
use crate::model::{shipped, text};
use crate::prices::Billing;
use crate::probe::plan::{HUGE, LARGE, MEDIUM, Plan, SMALL};

/// What a store of 20 ms, 50 MB/s a connection and 200 MB/s a link would show.
fn found(service_ms: f64) -> Vec<(Planned, Visit)> {
    let plan = Plan::new(&Billing::FREE, 1.0).unwrap();
    let cells = plan.cells.into_iter().map(|cell| {
        let bytes = if matches!(cell.operation, Operation::Get | Operation::Put) { cell.size } else { 0 };
        let alone = bytes as f64 / 50e6;
        let each_s = (alone + service_ms / 1000.0).max(bytes as f64 * f64::from(cell.concurrency) / 200e6);
        let count = 300;
        // Half a millisecond of noise, evenly spread.
        let ms = (0..count).map(|n| each_s * 1000.0 - 0.25 + 0.5 * f64::from(n * 7 % count) / f64::from(count));
        let took_s = f64::from(count) * each_s / f64::from(cell.concurrency);
        let visit = Visit {
            ms: ms.collect(),
            bytes: bytes * count as u64,
            succeeded: count as u64,
            took_s,
            ..Visit::default()
        };
        (cell, visit)
    });
    let mut found: Vec<_> = cells.collect();
    found.sort_by_key(|(cell, _)| (cell.operation, cell.size, cell.concurrency));
    found
}

fn known() -> Known {
    Known {
        name: "test".into(),
        place: "a test".into(),
        when: "2026-11-22".into(),
        price_class: "s3-standard".into(),
        connection_set_up_ms: 1.0,
        cpu: CpuRates::default(),
        published: shipped::standard().limits,
    }
}

#[test]
fn latency_and_bandwidth_come_apart_again() {
    let fitted = fit(&found(20.0), known()).unwrap();
    let network = &fitted.model.network;
    for (value, wanted) in [
        (network.connection_up_bytes_per_s, 50e6),
        (network.connection_down_bytes_per_s, 50e6),
        (network.link_up_bytes_per_s, 200e6),
        (network.link_down_bytes_per_s, 200e6),
    ] {
        assert!((value / wanted - 1.0).abs() < 0.02, "{network:?}");
    }
    for size in [SMALL, MEDIUM] {
        let cell = fitted.model.cells(Operation::Get).find(|cell| cell.size == size && cell.concurrency == 1).unwrap();
        assert!((cell.ms[5] - 20.0).abs() < 0.05 && cell.samples == 300, "{cell:?}");
    }
    let huge: Vec<f64> =
        fitted.model.cells(Operation::Get).filter(|cell| cell.size >= HUGE).map(|cell| cell.ms[5]).collect();
    assert!(
        huge.len() == 3 && huge.iter().all(|ms| (ms - 20.0).abs() < 0.5),
        "{huge:?}: where the link is full, as alone"
    );
    assert!(fitted.head.iter().any(|line| line == "link up 200.0 MB/s; down 200.0 MB/s"), "{:?}", fitted.head);
    assert!(fitted.notes[0].contains("p99") && fitted.notes[0].contains("95 %"), "{}", fitted.notes[0]);
    let text = text::write(&fitted.model, &fitted.notes);
    assert_eq!(StoreModel::parse(&text).unwrap(), fitted.model);
}

#[test]
fn a_link_that_was_never_full_is_a_lower_bound() {
    let mut found = found(20.0);
    found.retain(|(cell, _)| cell.size < LARGE || cell.concurrency < 8);
    let head = fit(&found, known()).unwrap().head;
    assert!(head.iter().any(|line| line.contains("at least")), "{head:?}");
}

#[test]
fn throttling_sets_the_limit_and_without_it_the_published_one_stays() {
    let mut found = found(20.0);
    assert_eq!(fit(&found, known()).unwrap().model.limits, shipped::standard().limits);
    for (cell, visit) in &mut found {
        if cell.operation == Operation::Put && cell.concurrency == 128 && cell.size == SMALL {
            (visit.throttled, visit.succeeded, visit.took_s) = (500, 1000, 2.0);
        }
    }
    let limits = fit(&found, known()).unwrap().model.limits;
    assert_eq!(limits.put, Some(RateLimit { per_s: 500.0, burst: 500.0 }));
    assert_eq!(limits.get, shipped::standard().limits.get);
}

#[test]
fn nothing_measured_is_no_model() {
    let mut found = found(20.0);
    for (cell, visit) in &mut found {
        if cell.operation == Operation::Put {
            *visit = Visit { failed: 3, first_error: Some("403 AccessDenied".into()), ..Visit::default() };
        }
    }
    let refused = fit(&found, known()).err().unwrap();
    assert!(refused.contains("put") && refused.contains("403 AccessDenied"), "{refused}");
}
