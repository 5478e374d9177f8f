//! What a probe asks, how often, and what that may cost at most. Pure.
//!
//! A **cell** is an operation at a size and a concurrency; a **slot** is one visit to it. Each cell is visited in several
//! rounds, so that a slow minute of the store does not fall on one cell alone. The numbers of requests are scaled down until
//! the worst case fits the cap.

use crate::budget::at_most;
use crate::model::Operation;
use crate::outcome::StoreLedger;
use crate::prices::Billing;

pub const SMALL: u64 = 4 << 10;
pub const MEDIUM: u64 = 64 << 10;
/// What a mount has by default.
pub const USUAL: u64 = 256 << 10;
pub const LARGE: u64 = 1 << 20;
pub const HUGE: u64 = 8 << 20;

/// Keys in a bulk delete of the probe.
pub const BULK_KEYS: u64 = 50;

/// Times the most wanted cells are visited.
pub const ROUNDS: u32 = 3;

/// One cell and how often it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub operation: Operation,
    pub size: u64,
    pub concurrency: u32,
    /// Requests of one visit, warm-up included.
    pub slot: u64,
    pub rounds: u32,
}

impl Planned {
    /// What one visit is billed for at most: every page of a listing may be full.
    pub fn slot_requests(&self) -> StoreLedger {
        let count = self.slot;
        let mut requests = StoreLedger::ZERO;
        match self.operation {
            Operation::Get => (requests.gets, requests.get_bytes) = (count, count * self.size),
            Operation::Head => requests.heads = count,
            Operation::Put => (requests.puts, requests.put_bytes) = (count, count * self.size),
            Operation::Delete | Operation::BulkDelete => requests.deletes = count,
            Operation::List => requests.lists = count,
        }
        at_most(&requests, "", u64::MAX)
    }

    /// The first of a visit are not counted: connections open, queues fill.
    pub fn warm_up(&self) -> u64 {
        u64::from(self.concurrency).min(self.slot / 4).max(1)
    }

    /// Cells that differ in concurrency alone are climbed like a ladder.
    pub fn ladder(&self) -> (Operation, u64) {
        (self.operation, self.size)
    }

    pub fn title(&self) -> String {
        let size = match self.size {
            0 => String::new(),
            size if size >= 1 << 20 => format!(" {} MiB", size >> 20),
            size => format!(" {} KiB", size >> 10),
        };
        format!("{}{size}, {} at a time", self.operation.name(), self.concurrency)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub cells: Vec<Planned>,
    /// Objects put in place first, by size.
    pub fills: Vec<(u64, u64)>,
    /// Below 1: the cap left room for this share of the requests only.
    pub scale: f64,
}

/// Fewer requests than this say nothing about a cell.
const LEAST_SLOT: u64 = 4;

impl Plan {
    /// The largest plan whose worst case is at most `max_dollars`.
    ///
    /// # Errors
    /// The cap is below the smallest plan; says what that costs.
    pub fn new(billing: &Billing, max_dollars: f64) -> Result<Self, String> {
        // Reading large objects is what costs most outside the region.
        let generous = !billing.charges_reading();
        let mut scale = 1.0;
        loop {
            let plan = Self::scaled(generous, scale);
            let worst = plan.worst_case(billing);
            if worst <= max_dollars {
                return Ok(plan);
            }
            if plan.cells.iter().all(|cell| cell.slot == LEAST_SLOT) {
                return Err(format!("the smallest probe may cost ${worst:.4}"));
            }
            scale *= 0.9;
        }
    }

    fn scaled(generous: bool, scale: f64) -> Self {
        let mut cells = Vec::new();
        let mut add = |operation, size, concurrency, count: u64, rounds: u32| {
            let slot = (count as f64 / f64::from(rounds) * scale).round() as u64;
            cells.push(Planned { operation, size, concurrency, slot: slot.max(LEAST_SLOT), rounds });
        };
        // 330 requests leave 299 after the warm-up: the fewest that bound a 99th percentile with 95 % confidence.
        // Finest where most mounts are: a cache works with 4 to 64 threads.
        let ladder = [(1, 330, ROUNDS), (4, 345, ROUNDS), (16, 390, ROUNDS), (64, 470, 2), (128, 512, 1)];
        for (concurrency, count, rounds) in ladder {
            for operation in [Operation::Get, Operation::Put] {
                add(operation, SMALL, concurrency, count, rounds);
                let count = if concurrency == 1 { 150 } else { count };
                add(operation, MEDIUM, concurrency, count, rounds);
            }
        }
        for operation in [Operation::Get, Operation::Put] {
            for (concurrency, count, rounds) in [(1, 40, 2), (4, 64, 2), (16, 96, 2)] {
                add(operation, USUAL, concurrency, count, rounds);
            }
            add(operation, LARGE, 1, 24, 2);
            add(operation, LARGE, 4, 32, 1);
            add(operation, LARGE, 16, 64, 1);
            add(operation, HUGE, 1, 8, 2);
            if generous || operation == Operation::Put {
                add(operation, HUGE, 8, 24, 1);
                add(operation, HUGE, 32, 64, 1);
            }
        }
        for (concurrency, count, rounds) in [(1, 100, 2), (32, 300, 1)] {
            add(Operation::Head, 0, concurrency, count, rounds);
            add(Operation::Delete, 0, concurrency, count, rounds);
        }
        add(Operation::List, 0, 1, 40, 2);
        add(Operation::List, 0, 8, 60, 1);
        add(Operation::BulkDelete, BULK_KEYS, 1, 16, 1);
        let fills = vec![(SMALL, 64), (MEDIUM, 64), (USUAL, 16), (LARGE, 8), (HUGE, 2)];
        Self { cells, fills, scale }
    }

    /// Requests if every visit takes place.
    pub fn worst_requests(&self) -> StoreLedger {
        let fills = self.fills.iter().map(|(size, count)| StoreLedger {
            puts: *count,
            put_bytes: size * count,
            ..StoreLedger::ZERO
        });
        let visits = self.cells.iter().flat_map(|cell| (0..cell.rounds).map(|_| cell.slot_requests()));
        fills.chain(visits).fold(StoreLedger::ZERO, |sum, one| sum.plus(&one))
    }

    pub fn worst_case(&self, billing: &Billing) -> f64 {
        billing.dollars(&self.worst_requests())
    }

    /// Visits in all.
    pub fn visits(&self) -> u64 {
        self.cells.iter().map(|cell| u64::from(cell.rounds)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::PriceTable;
    use crate::prices::Reader;

    fn far() -> Billing {
        Billing::of(PriceTable::standard(), Reader::Outside)
    }

    fn near() -> Billing {
        Billing::of(PriceTable::standard(), Reader::InRegion)
    }

    #[test]
    fn the_worst_case_fits_the_cap_and_five_cents_are_enough() {
        for billing in &[far(), near()] {
            let plan = Plan::new(billing, 0.05).unwrap();
            assert!(
                plan.worst_case(billing) <= 0.05 && plan.scale > 0.5,
                "{} {}",
                plan.worst_case(billing),
                plan.scale
            );
            let half = plan.worst_case(billing) / 2.0;
            let small = Plan::new(billing, half).unwrap();
            assert!(small.worst_case(billing) <= half && small.scale < plan.scale);
            let refused = Plan::new(billing, 0.0001).unwrap_err();
            assert!(refused.contains("may cost $0.0"), "{refused}");
        }
        let free = Plan::new(&Billing::FREE, 0.0).unwrap();
        assert_eq!((free.scale, free.worst_case(&Billing::FREE)), (1.0, 0.0));
    }

    #[test]
    fn the_users_prices_decide_how_large_it_may_be() {
        let dear = PriceTable { put_per_1000: 0.5, ..PriceTable::standard() };
        let plan = Plan::new(&Billing::of(dear, Reader::InRegion), 0.5).unwrap();
        assert!(plan.scale < 0.5, "{}", plan.scale);
        assert_eq!(Plan::new(&near(), 0.5).unwrap().scale, 1.0);
        let free = PriceTable { egress_per_gb: 0.0, ..PriceTable::standard() };
        assert_eq!(Plan::new(&Billing::of(free, Reader::Outside), 1.0), Plan::new(&near(), 1.0), "nothing to save");
    }

    #[test]
    fn enough_is_asked_for_a_99th_percentile() {
        let plan = Plan::new(&near(), 1.0).unwrap();
        let cells = plan.cells.iter().filter(|cell| cell.size == SMALL);
        for cell in cells {
            let counted = u64::from(cell.rounds) * (cell.slot - cell.warm_up());
            assert!(counted >= 299, "{}: {counted}", cell.title());
        }
    }
}
