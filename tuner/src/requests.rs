//! What went over the wire, from the counters of a backend. Prices nothing.

use s3b_engine::wrap::Counts;

use crate::headers;
use crate::outcome::StoreLedger;

/// All that has been sent so far, repetitions included: what a store bills. These counters tell neither retries nor
/// throttling apart.
pub fn sent(counts: &Counts) -> StoreLedger {
    let (puts, gets, heads, lists) = (counts.puts.get(), counts.gets.get(), counts.heads.get(), counts.lists.get());
    let (deletes, bulk_deletes) = (counts.deletes.get(), counts.bulk_deletes.get());
    StoreLedger {
        gets,
        heads,
        puts,
        lists,
        deletes: deletes + bulk_deletes,
        deleted_keys: deletes + counts.bulk_deleted_keys.get(),
        get_bytes: counts.get_bytes.get(),
        put_bytes: counts.put_bytes.get(),
        header_bytes: puts * headers::PUT.bytes()
            + gets * headers::GET.bytes()
            + heads * headers::HEAD.bytes()
            + lists * headers::LIST.bytes()
            + deletes * headers::DELETE.bytes()
            + bulk_deletes * headers::BULK_DELETE.bytes(),
        errors: counts.errors.get(),
        ..StoreLedger::ZERO
    }
}
