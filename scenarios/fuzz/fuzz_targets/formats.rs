//! One reader, chosen by name in the environment (`S3B_FUZZ_FORMAT`); without a name the content decides.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use s3b_scenarios::trace::{Format, Options};
use s3b_scenarios_fuzz::read_to_the_end;

static OPTIONS: OnceLock<Options> = OnceLock::new();

fn chosen() -> Options {
    let name = std::env::var("S3B_FUZZ_FORMAT").ok();
    let format = name.map(|name| name.parse::<Format>().unwrap_or_else(|what| panic!("S3B_FUZZ_FORMAT {name} {what}")));
    Options { format, ..Options::default() }
}

fuzz_target!(|bytes: &[u8]| read_to_the_end(bytes, OPTIONS.get_or_init(chosen)));
