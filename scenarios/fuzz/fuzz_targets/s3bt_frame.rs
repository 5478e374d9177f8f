//! s3bt behind its checksums: the input is the number of operations and the content of one frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use s3b_scenarios::trace::s3bt::Header;
use s3b_scenarios::trace::{Format, Options};
use s3b_scenarios_fuzz::read_to_the_end;

fuzz_target!(|input: &[u8]| {
    let [kind, packing, ops, unpacked, content @ ..] = input else { return };
    let unpacked = if packing & 1 == 0 { content.len() } else { usize::from(*unpacked) };
    let mut file = Header::default().encode();
    let frame = file.len();
    file.extend(b"s3bf");
    file.extend([1 + (kind & 1), packing & 1, 0, 0]);
    file.extend((content.len() as u32).to_le_bytes());
    file.extend((unpacked as u32).to_le_bytes());
    file.extend(u32::from(*ops).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&file[frame..]), content);
    file.extend(checksum.to_le_bytes());
    file.extend(content);
    read_to_the_end(&file, &Options::of(Format::S3bt));
});
