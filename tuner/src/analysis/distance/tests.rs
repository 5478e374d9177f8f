//! Against a plain list, which is slow and obvious.

use s3b_scenarios::random::Random;

use super::*;

/// The most recent block last.
fn slow(list: &mut Vec<u64>, block: u64) -> Reuse {
    let found = list.iter().position(|one| *one == block);
    let reuse = found.map_or(Reuse::First, |at| Reuse::After((list.len() - at - 1) as u64));
    if let Some(at) = found {
        list.remove(at);
    }
    list.push(block);
    reuse
}

/// Enough accesses to close the row of places up many times.
#[test]
fn every_distance_is_that_of_a_plain_list() {
    let mut random = Random::new(7);
    let (mut list, mut recency) = (Vec::new(), Recency::new(4096, usize::MAX));
    for n in 0..60_000u64 {
        // Hot blocks, a slow walk, and blocks never seen again.
        let block = match random.below(10) {
            0..6 => random.below(40),
            6..9 => 1000 + (n / 7 + random.below(300)) % 3000,
            _ => 1_000_000 + n,
        };
        assert_eq!(recency.touch(block, n % 3 == 0), slow(&mut list, block), "access {n}");
    }
    assert_eq!((recency.distinct(), recency.rate()), (list.len() as u64, 1.0));
    assert_eq!((recency.all().accesses, recency.reads().accesses), (60_000, 20_000));
    let [hits, all] = recency.all().hit_ratios(&[40, 1 << 20])[..] else { panic!("two sizes") };
    assert!(hits > 0.3 && hits < all && (all - recency.all().reuse()).abs() < 1e-12, "{hits} {all}");
}

#[test]
fn requests_touch_their_blocks_and_discards_none() {
    let mut recency = Recency::new(8192, 100);
    recency.add(&Op::new(0, OpKind::Write, 0, 16384), 0);
    recency.add(&Op::new(0, OpKind::Discard, 0, 16384), 0);
    recency.add(&Op::new(0, OpKind::Flush, 0, 0), 0);
    recency.add(&Op::new(0, OpKind::Read, 4096, 8192), 4096);
    recency.add(&Op::new(0, OpKind::Read, 1 << 20, 1), 1 << 20);
    assert_eq!((recency.all().accesses, recency.reads().accesses, recency.distinct()), (5, 3, 3));
    assert_eq!((recency.distinct_read(), recency.distinct_written()), (3, 2));
    // Both reads come back at distance 1; the writes were first.
    assert_eq!(recency.all().hit_ratios(&[0, 1, 2]), [0.0, 0.0, 0.4]);
    assert_eq!(recency.reads().hit_ratios(&[1, 2]), [0.0, 2.0 / 3.0]);
}

#[test]
fn memory_stops_at_the_limit_and_the_estimate_stays_near() {
    let mut random = Random::new(3);
    let (mut exact, mut sampled) = (Recency::new(4096, usize::MAX), Recency::new(4096, 2000));
    for _ in 0..400_000 {
        let block = random.below(20_000).min(random.below(20_000));
        exact.touch(block, true);
        sampled.touch(block, true);
        assert!(sampled.entries.len() <= 2000);
    }
    assert!(sampled.rate() <= 0.125 && sampled.order.taken.len() * 64 <= 2 * 2000 + 2 * GROUP_PLACES + 4096);
    assert!((sampled.distinct() as f64 / exact.distinct() as f64 - 1.0).abs() < 0.05);
    let sizes: Vec<u64> = (0..20).map(|n| n * 1000).collect();
    for (one, other) in exact.all().hit_ratios(&sizes).iter().zip(sampled.all().hit_ratios(&sizes)) {
        assert!((one - other).abs() < 0.02, "{one} {other}");
    }
}
