//! Fingerprints against the table in the traces' README, and stores against an independent count of them.

use s3b_scenarios::Op;
use s3b_tuner::analysis::PAGE;
use s3b_tuner::analysis::coalescing::{Coalescing, WRITE_DELAYS_NS};
use s3b_tuner::analysis::distance::Recency;
use s3b_tuner::analysis::fingerprint::{Fingerprint, Gatherer};

use crate::recorded;

fn fingerprint(ops: &[Op]) -> Fingerprint {
    let (mut gatherer, mut pages) = (Gatherer::new(&[], 0), Recency::new(PAGE, usize::MAX));
    for op in ops {
        gatherer.add(op, op.offset);
        pages.add(op, op.offset);
    }
    gatherer.fingerprint(&pages)
}

/// What the README's table holds, as it prints it.
fn row(found: &Fingerprint) -> String {
    let mut parts = Vec::new();
    for one in &found.requests {
        let mib = (one.bytes as f64 / 1048576.0).round();
        parts.push(match one.kind {
            "read" | "write" => format!("{} {} {mib} MiB {}/{}", one.kind, one.count, one.size_p50, one.size_p95),
            other => format!("{other} {}", one.count),
        });
    }
    let mib = found.working_set.bytes as f64 / 1048576.0;
    let gib = found.working_set.span_bytes as f64 / 1073741824.0;
    let digits = usize::from(gib < 100.0);
    let (seconds, strict) = (found.duration_s, found.sequential.strict);
    format!("{}; WSS {mib:.1}, span {gib:.digits$}, {seconds:.1} s, seq {strict:.2}", parts.join(", "))
}

#[test]
fn fingerprints_are_those_of_the_table() {
    for (ops, expected) in [
        (
            recorded::vm_io(),
            "read 46974 1714 MiB 61440/65536, write 66898 2297 MiB 40960/69632; WSS 1051.6, span 31.3, 7200.1 s, seq 0.26",
        ),
        (
            recorded::postmark(),
            "read 51780 4994 MiB 65536/98304, write 10477 8523 MiB 241664/4194304; WSS 5989.8, span 21.3, 490.4 s, seq 0.46",
        ),
        (
            recorded::sqlite(),
            "read 18647 101 MiB 4096/12288, write 53281 1141 MiB 4096/131072, flush 9297, discard 9; WSS 51.8, span 1.0, \
             46.5 s, seq 0.14",
        ),
        (
            recorded::trace("blk-small/keks.blktrace.0"),
            "write 1158 12 MiB 8192/32768, flush 24, discard 10; WSS 8.9, span 472, 56.3 s, seq 0.11",
        ),
        (
            recorded::trace("blk-small/randread.blktrace.0"),
            "read 963 4 MiB 4096/4096; WSS 3.8, span 136, 0.3 s, seq 0.00",
        ),
    ] {
        let Some(ops) = ops else { continue };
        assert_eq!(row(&fingerprint(&ops)), expected);
    }
}

fn stores(ops: &[Op], block_size: u64) -> [u64; 5] {
    let mut coalescing = Coalescing::new(block_size, WRITE_DELAYS_NS, usize::MAX);
    ops.iter().for_each(|op| coalescing.add(op, op.offset));
    let [a, b, c, d] = coalescing.stores();
    [a.block_writes, a.stores, b.stores, c.stores, d.stores]
}

/// Counted independently, by a program that knows neither of these structures.
#[test]
fn stores_by_block_size_and_write_delay_are_exact() {
    if let Some(ops) = recorded::vm_io() {
        assert_eq!(stores(&ops, 4 << 10), [656_169, 611_279, 607_169, 566_508, 491_514]);
        assert_eq!(stores(&ops, 64 << 10), [103_425, 59_667, 56_342, 49_198, 39_944]);
        assert_eq!(stores(&ops, 256 << 10), [76_072, 30_572, 27_058, 21_556, 15_723]);
        assert_eq!(stores(&ops, 1 << 20), [69_146, 22_043, 18_647, 13_591, 8_758]);
        assert_eq!(stores(&ops, 4 << 20), [67_458, 18_836, 15_493, 10_590, 6_075]);
    }
    if let Some(ops) = recorded::sqlite() {
        assert_eq!(stores(&ops, 4 << 10), [292_162, 143_127, 67_151, 27_679, 14_946]);
        assert_eq!(stores(&ops, 64 << 10), [68_341, 14_120, 5_601, 1_894, 949]);
        assert_eq!(stores(&ops, 1 << 20), [54_208, 1_376, 525, 157, 68]);
    }
    if let Some(ops) = recorded::postmark() {
        assert_eq!(stores(&ops, 64 << 10), [146_137, 142_167, 141_949, 141_544, 136_345]);
        assert_eq!(stores(&ops, 1 << 20), [18_955, 13_815, 13_423, 12_947, 10_293]);
    }
}
