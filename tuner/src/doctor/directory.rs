//! The checks of a directory that stands for a bucket (`--test`).

use std::path::Path;

use bytes::Bytes;
use s3b_engine::clock;
use s3b_engine::error::Result;
use s3b_engine::object::{GetIf, ObjectHeaders, PutIf};

use super::Check;
use super::bucket::volume;
use crate::claim::Claim;
use crate::connection::Access;
use crate::place::Place;

/// Objects of 1 MiB written and read to see how fast the disk is.
const OBJECTS: usize = 64;
const OBJECT: usize = 1 << 20;
/// Below this a volume soon has no room.
const LITTLE_ROOM: u64 = 1 << 30;

pub async fn checks(path: &Path, access: &Access) -> Vec<Check> {
    let claim = match Claim::new(access, None, None).await {
        Ok(claim) => claim,
        Err(error) => {
            return vec![Check::fail("directory", format!("{error:#}"), "mend this first; the rest needs it")];
        }
    };
    let mut checks = vec![Check::ok("directory", format!("{} is there and not in use", path.display())), room(path)];
    checks.push(match speed(&claim.place).await {
        Ok(found) => Check::ok("disk", found),
        Err(error) => Check::fail("disk", error.to_string(), "make the directory writable, with 64 MiB of room"),
    });
    // Looking opens the directory too, and it is locked as long as the place is there.
    claim.end().await;
    checks.push(volume(access).await);
    checks
}

fn room(path: &Path) -> Check {
    let name = "free space";
    match rustix::fs::statvfs(path) {
        Ok(found) => {
            let free = found.f_bavail * found.f_frsize;
            let text = format!("{:.1} GB", free as f64 / 1e9);
            if free < LITTLE_ROOM {
                Check::warn(name, text, "a volume grows up to its size; choose a directory with room for it")
            } else {
                Check::ok(name, text)
            }
        }
        Err(error) => Check::unknown(name, error),
    }
}

/// Written and made durable, then read, most likely from memory.
async fn speed(place: &Place) -> Result<String> {
    let objects = place.objects();
    let key = |number: usize| format!("{}doctor-{number}", place.prefix());
    let body = Bytes::from((0..OBJECT).map(|at| (at * 31 % 251) as u8).collect::<Vec<u8>>());
    let start = clock::now();
    for number in 0..OBJECTS {
        objects.put(&key(number), ObjectHeaders::default(), body.clone(), PutIf::Always).await?;
    }
    let write_s = start.elapsed().as_secs_f64();
    objects.sync().await?;
    let durable_s = start.elapsed().as_secs_f64();
    let start = clock::now();
    for number in 0..OBJECTS {
        objects.get(&key(number), GetIf::Always, OBJECT).await?;
    }
    let megabytes = (OBJECTS * OBJECT) as f64 / 1e6;
    Ok(format!(
        "{:.0} MB/s written, {:.0} made durable, {:.0} read back (from memory, most likely)",
        megabytes / write_s,
        megabytes / durable_s,
        megabytes / start.elapsed().as_secs_f64()
    ))
}
