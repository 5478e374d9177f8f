//! Results (`report FILE`, `explain FILE`, `compare A B`): what is accepted can be shown in every way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_tuner::compare;
use s3b_tuner::report::{csv, explain, html, json, markdown, text};

fuzz_target!(|input: &str| {
    let Ok(outcome) = json::read(input, "fuzz") else { return };
    for width in [0, 100] {
        let _ = (text::render(&outcome, width), explain::render(&outcome, width));
    }
    let _ = (markdown::render(&outcome), csv::render(&outcome), html::render(&outcome));
    let compared = compare::compare(&outcome, &outcome, 0.05);
    let _ = (compare::text(&compared), compare::markdown(&compared), compare::json(&compared));
    json::read(&json::render(&outcome), "again").expect("what was written is read");
});
