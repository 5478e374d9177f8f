//! What every reader promises, whatever it is given.

use s3b_scenarios::trace::{Options, Trace};

/// Reads arbitrary bytes to their end or first error.
///
/// # Panics
/// When a promise is broken: that is what the fuzzer looks for.
pub fn read_to_the_end(bytes: &[u8], options: &Options) {
    let Ok(mut trace) = Trace::from_bytes_with(bytes.to_vec(), options) else { return };
    let (mut last_ns, mut devices) = (0, 0);
    for op in trace.by_ref().map_while(Result::ok) {
        assert!(op.time_ns >= last_ns, "times never fall");
        assert!(op.offset.checked_add(op.len).is_some(), "ranges end within 64 bits");
        assert!(op.device <= devices, "devices are numbered in order of appearance");
        (last_ns, devices) = (op.time_ns, devices.max(op.device + 1));
    }
    let _ = (trace.skipped(), trace.notices(), trace.recording());
}
