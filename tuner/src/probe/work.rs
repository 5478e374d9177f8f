//! What requests cost this machine's processor: client, kernel, and TLS where it is used. Pure.
//!
//! From the processor time of the whole process during each visit, which is no number of the store's. Small requests tell what one
//! costs, large ones what a byte costs on top. The cheapest visit counts: work is charged where the cores are busy, and there
//! no request pays for falling asleep and waking.

use super::plan::{LARGE, Planned, SMALL};
use super::visit::Visit;
use crate::model::Operation;
use crate::model::settings::CpuRates;

/// `rates` with the requests' work as it was found; what was not found stays as it is.
#[must_use]
pub fn with_work_of_requests(mut rates: CpuRates, found: &[(Planned, Visit)]) -> CpuRates {
    let of_bodies = || {
        found.iter().filter(|(cell, visit)| {
            matches!(cell.operation, Operation::Get | Operation::Put) && visit.succeeded > 0 && visit.cpu_s > 0.0
        })
    };
    let small = of_bodies().filter(|(cell, _)| cell.size == SMALL);
    let each = small.map(|(_, visit)| visit.cpu_s / visit.succeeded as f64);
    let Some(request_s) = each.min_by(f64::total_cmp) else { return rates };
    rates.request_us = (request_s * 1e6).round();
    let large = of_bodies().filter(|(cell, _)| cell.size >= LARGE);
    let of_a_byte = large.map(|(cell, visit)| {
        let bytes = visit.bytes as f64;
        // Charged as a work of its own.
        let hash_s = if cell.operation == Operation::Put { bytes / rates.sha256_bytes_per_s } else { 0.0 };
        (visit.cpu_s - visit.succeeded as f64 * request_s - hash_s) / bytes
    });
    if let Some(byte_s) = of_a_byte.filter(|byte_s| *byte_s > 0.0).min_by(f64::total_cmp) {
        rates.body_bytes_per_s = (1.0 / byte_s).round();
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Billing;
    use crate::probe::plan::Plan;

    #[test]
    fn a_request_and_a_byte_come_apart_and_the_hash_is_not_counted_twice() {
        let before = CpuRates { sha256_bytes_per_s: 1e9, ..CpuRates::default() };
        let plan = Plan::new(&Billing::FREE, 1.0).unwrap();
        let visit = |cell: &Planned| {
            let bytes = cell.slot * cell.size;
            let hash = if cell.operation == Operation::Put { bytes as f64 / 1e9 } else { 0.0 };
            // 80 us a request, 0.5 ns a byte; alone, the waking comes on top.
            let waking = if cell.concurrency == 1 { 0.001 } else { 0.0 };
            let cpu_s = cell.slot as f64 * (80e-6 + waking) + bytes as f64 * 0.5e-9 + hash;
            Visit { succeeded: cell.slot, bytes, cpu_s, ..Visit::default() }
        };
        let found: Vec<_> = plan.cells.iter().map(|cell| (cell.clone(), visit(cell))).collect();
        let after = with_work_of_requests(before.clone(), &found);
        assert!((80.0..=87.0).contains(&after.request_us), "{after:?}");
        assert!((after.body_bytes_per_s / 2e9 - 1.0).abs() < 0.05, "{after:?}");
        assert_eq!(with_work_of_requests(before.clone(), &[]), before);
    }
}
