//! s3bt behind its checksums: the input is cut into frames, and its last bytes follow them as they are.
//!
//! First how many bytes are left raw at the end; then, for each frame, its flags (bit 0 compressed, 1 a statement, 2 a
//! wrong checksum, 3 a wrong length), its operations, the length of its content, and the content.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_scenarios::trace::s3bt::Header;
use s3b_scenarios::trace::{Format, Options};
use s3b_scenarios_fuzz::read_to_the_end;

fuzz_target!(|input: &[u8]| {
    let [raw, rest @ ..] = input else { return };
    let (mut frames, raw) = rest.split_at(rest.len().saturating_sub(usize::from(*raw)));
    let mut file = Header::default().encode();
    while let [flags, ops, len, behind @ ..] = frames {
        let (content, next) = behind.split_at(behind.len().min(usize::from(*len)));
        frames = next;
        push_frame(&mut file, *flags, *ops, content);
    }
    file.extend(raw);
    read_to_the_end(&file, &Options::of(Format::S3bt));
});

fn push_frame(file: &mut Vec<u8>, flags: u8, ops: u8, content: &[u8]) {
    let has = |bit: u8| flags & 1 << bit != 0;
    let packed = zstd::bulk::compress(content, 1).expect("a few bytes compress");
    let stored = if has(0) { &packed[..] } else { content };
    let start = file.len();
    file.extend(b"s3bf");
    file.extend([1 + u8::from(has(1)), u8::from(has(0)), 0, 0]);
    file.extend((stored.len() as u32).to_le_bytes());
    file.extend((content.len() as u32 + u32::from(has(3))).to_le_bytes());
    file.extend(u32::from(ops).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&file[start..]), stored);
    file.extend((checksum ^ u32::from(has(2))).to_le_bytes());
    file.extend(stored);
}
