//! Models of a store (`--model FILE`): what is accepted can be written, and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_tuner::model::{StoreModel, text};

fuzz_target!(|input: &str| {
    let Ok(model) = StoreModel::parse(input) else { return };
    let written = text::write(&model, &[]);
    let again = StoreModel::parse(&written).expect("what was written is read");
    assert_eq!(text::write(&again, &[]), written);
});
