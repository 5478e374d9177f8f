//! Tables of prices (`--prices FILE`): what is accepted makes a bill that is a number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_tuner::outcome::{PriceTable, StoreLedger};
use s3b_tuner::prices::Reader;

fuzz_target!(|text: &str| {
    let Ok(table) = PriceTable::parse(text, "fuzz") else { return };
    for reader in [Reader::InRegion, Reader::Outside] {
        assert!(!table.per_month(&StoreLedger::default(), 60.0, 1e9, reader).is_nan());
    }
});
