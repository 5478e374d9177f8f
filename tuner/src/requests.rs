//! What went over the wire, from the counters of a backend. Prices nothing.

use s3b_engine::wrap::Counts;

use crate::outcome::StoreLedger;

/// Headers of a request and its answer, in bytes: what the engine's client sends to S3 and what S3 answers, about.
const PUT_HEADER_BYTES: u64 = 700 + 330;
const GET_HEADER_BYTES: u64 = 480 + 400;
const OTHER_HEADER_BYTES: u64 = 480 + 330;

/// All that has been sent so far, repetitions included: what a store bills. These counters tell neither retries nor
/// throttling apart.
pub fn sent(counts: &Counts) -> StoreLedger {
    let (puts, gets, heads, lists) = (counts.puts.get(), counts.gets.get(), counts.heads.get(), counts.lists.get());
    let deletes = counts.deletes.get() + counts.bulk_deletes.get();
    StoreLedger {
        gets,
        heads,
        puts,
        lists,
        deletes,
        deleted_keys: counts.deletes.get() + counts.bulk_deleted_keys.get(),
        get_bytes: counts.get_bytes.get(),
        put_bytes: counts.put_bytes.get(),
        header_bytes: puts * PUT_HEADER_BYTES
            + gets * GET_HEADER_BYTES
            + (heads + lists + deletes) * OTHER_HEADER_BYTES,
        errors: counts.errors.get(),
        ..StoreLedger::ZERO
    }
}
