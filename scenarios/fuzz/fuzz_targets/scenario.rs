//! Scenario files: whatever the text, an answer; and what is accepted keeps what every scenario promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_scenarios_fuzz::play;

fuzz_target!(|text: &str| play(text));
