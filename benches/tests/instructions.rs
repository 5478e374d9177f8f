//! What an operation costs in instructions is what it cost when the baseline was written.

use std::io::Write;
use std::path::Path;

use s3b_benches::instructions::{Baseline, REWRITE, complaints};

#[test]
fn operations_cost_the_instructions_of_the_baseline() {
    if !s3b_testkit::require_program("valgrind") {
        return;
    }
    let now = Baseline::count(Path::new(env!("CARGO_BIN_EXE_instructions"))).unwrap();
    let compared = Baseline::load().unwrap().ok_or_else(|| format!("no {}", Baseline::path().display()));
    let compared = compared.and_then(|baseline| complaints(&now, &baseline).map_err(|why| why.to_string()));
    match compared {
        Ok(lines) => assert!(lines.is_empty(), "{}\nIf that is meant to be: {REWRITE}", lines.join("\n")),
        // Counts of another compiler or C library say nothing; that is no failure, in CI neither. Past libtest's
        // capture, which would hide it.
        Err(why) => {
            let counts = now.instructions;
            let _ = writeln!(std::io::stderr().lock(), "instructions NOT COMPARED: {why}; counted now: {counts:?}");
        }
    }
}
