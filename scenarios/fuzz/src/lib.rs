//! What every reader promises, whatever it is given: trace or scenario.

use s3b_scenarios::trace::{Options, Trace};
use s3b_scenarios::{OpKind, Scenario};

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

/// Reads a scenario and makes its first operations.
///
/// # Panics
/// When a promise is broken.
pub fn play(text: &str) {
    let scenario = match Scenario::parse("fuzz", text) {
        Ok(scenario) => scenario,
        Err(error) => {
            assert!(error.to_string().starts_with("scenario fuzz: "), "an error says where");
            return;
        }
    };
    let (mut last_ns, mut count, streams) = (0, 0, scenario.streams().len());
    for op in scenario.ops().take(2_000) {
        assert!(op.time_ns >= last_ns, "times never fall");
        assert!(op.origin.stream() < streams, "operations have a stream");
        match op.kind {
            OpKind::Flush => assert_eq!((op.offset, op.len), (0, 0), "flushes are of everything"),
            _ => assert!(op.len > 0 && op.end() <= scenario.span.0, "operations lie inside the span"),
        }
        (last_ns, count) = (op.time_ns, count + 1);
    }
    assert!(count > 0, "never empty");
}
