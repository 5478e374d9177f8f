//! The checks of a bucket. About thirty requests, for less than a thousandth of a dollar.

use anyhow::Result;
use bytes::Bytes;
use s3b_engine::admin::{self, VolumeInfo};
use s3b_engine::error::ErrorKind;
use s3b_engine::object::{GetIf, Got, ObjectHeaders, PutIf};
use s3b_engine::s3::S3Backend;
use s3b_engine::stack::Parts;

use super::{Check, Verdict, configuration};
use crate::claim::Claim;
use crate::connection::Access;
use crate::outcome::StoreLedger;
use crate::place::Place;
use crate::reach;

/// Above this a cold read is felt as a pause.
const SLOW_ROUND_TRIP_MS: f64 = 150.0;

/// All checks of a bucket, as far as they make sense: one that cannot be reached has no others.
pub async fn checks(name: &str, access: &Access) -> Vec<Check> {
    let backend = match reach::bucket(name, access).await {
        Ok(backend) => backend,
        Err(error) => return vec![Check::fail("bucket", format!("{error:#}"), "mend this first; the rest needs it")],
    };
    let s3 = &access.settings.s3;
    let region = s3.region.as_deref().unwrap_or("us-east-1 (by default)");
    let endpoint = s3.base_url.as_deref().unwrap_or("Amazon's endpoint");
    let mut checks =
        vec![Check::ok("bucket", format!("answers at {endpoint}, region {region}; the keys are accepted"))];
    checks.extend(configured(&backend, &access.settings.volume.prefix).await);
    checks.push(configuration::storage_class(s3.storage_class.as_deref()));
    checks.extend(tried_out(access).await);
    checks.push(volume(access).await);
    checks.push(match reach::reach_times(name, access).await {
        Ok(times) => {
            let found = format!("{:.1} ms; a new connection {:.1} ms more", times.round_trip_ms, times.set_up_ms);
            if times.round_trip_ms > SLOW_ROUND_TRIP_MS {
                let advice = "use a bucket in a nearer region; a large cache and read-ahead hide part of it";
                Check::warn("round trip", found, advice)
            } else {
                Check::ok("round trip", found)
            }
        }
        Err(error) => Check::unknown("round trip", error),
    });
    checks
}

/// What [`warnings`] sends; each question is billed as a GET, and answered with a document that is short.
pub const QUESTIONS: StoreLedger = StoreLedger { gets: 4, lists: 1, get_bytes: 32 << 10, ..StoreLedger::ZERO };

/// What speaks against storing in this bucket, for those who are about to: versions, locks, copies, storage classes. What
/// may not be asked speaks against nothing.
///
/// # Errors
/// A bucket that cannot be reached.
pub async fn warnings(name: &str, access: &Access) -> Result<Vec<Check>> {
    let backend = reach::bucket(name, access).await?;
    let mut checks = configured(&backend, &access.settings.volume.prefix).await;
    checks.push(configuration::storage_class(access.settings.s3.storage_class.as_deref()));
    checks.retain(|check| matches!(check.verdict, Verdict::Warn | Verdict::Fail));
    Ok(checks)
}

/// Shows [`warnings`] on stderr.
///
/// # Errors
/// As [`warnings`].
pub async fn warn(name: &str, access: &Access) -> Result<()> {
    for check in warnings(name, access).await? {
        eprintln!("WARNING: {name}: {}: {}; {}", check.name, check.found, check.advice);
    }
    Ok(())
}

/// What the bucket says of itself.
async fn configured(backend: &S3Backend, prefix: &str) -> Vec<Check> {
    let mut ahead_s = None;
    let mut checks = Vec::new();
    for question in ["versioning", "object-lock", "lifecycle", "replication"] {
        let answer = match backend.ask_bucket(question).await {
            Ok(answer) => answer,
            Err(error) => {
                let name = if question == "object-lock" { "object lock" } else { question };
                checks.push(Check::unknown(name, error));
                continue;
            }
        };
        ahead_s = ahead_s.or(answer.clock_ahead_s);
        let document = answer.document.as_deref();
        checks.push(match question {
            "versioning" => configuration::versioning(document),
            "object-lock" => configuration::object_lock(document),
            "lifecycle" => configuration::lifecycle(document, prefix),
            _ => configuration::replication(document),
        });
    }
    checks.insert(0, configuration::clock(ahead_s));
    checks
}

/// A few requests in a prefix of our own, which is cleaned afterwards.
async fn tried_out(access: &Access) -> Vec<Check> {
    let claim = match Claim::new(access, None, None).await {
        Ok(claim) => claim,
        Err(error) => return vec![Check::fail("access", format!("{error:#}"), "allow s3:ListBucket, s3:PutObject")],
    };
    let mut checks = vec![permissions(&claim.place).await, conditional_put(&claim.place).await];
    let cleaned = claim.end().await;
    if let Some(error) = cleaned.first_error {
        let found = format!("{} objects of this check are left behind: {error}", cleaned.left);
        checks.push(Check::fail("delete", found, "allow s3:DeleteObject; without it no space is ever freed"));
    }
    checks
}

async fn permissions(place: &Place) -> Check {
    let (name, objects) = ("access", place.objects());
    let key = format!("{}doctor-access", place.prefix());
    let body = Bytes::from_static(b"s3b-tuner doctor");
    let result: Result<bool> = async {
        objects.put(&key, ObjectHeaders::default(), body.clone(), PutIf::Always).await?;
        let got = objects.get(&key, GetIf::Always, body.len()).await?;
        let there = objects.head(&key).await?.is_some_and(|info| info.len == body.len() as u64);
        objects.delete(&key).await?;
        Ok(there && matches!(got, Got::Object(object) if object.body == body))
    }
    .await;
    match result {
        Ok(true) => Check::ok(name, "PUT, GET, HEAD, DELETE and LIST work here"),
        Ok(false) => Check::fail(
            name,
            "what was just put is not what is read",
            "find out what stands between this machine and the store: a cache or a proxy must not",
        ),
        Err(error) => {
            Check::fail(name, format!("{error:#}"), "allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket")
        }
    }
}

/// Two creations of one key: the second must be refused.
async fn conditional_put(place: &Place) -> Check {
    let (name, objects) = ("conditional PUT", place.objects());
    let key = format!("{}doctor-condition", place.prefix());
    let create = || objects.put(&key, ObjectHeaders::default(), Bytes::from_static(b"once"), PutIf::Absent);
    match (create().await, create().await) {
        (Ok(_), Err(error)) if error.kind() == ErrorKind::Conflict => {
            Check::ok(name, "honoured: a second mount is kept away safely")
        }
        (Ok(_), Ok(_)) => Check::warn(
            name,
            "ignored: two mounts that start in the same second may both believe they own the volume",
            "never mount from two machines at once; s3b waits and reads back, which narrows the gap only",
        ),
        (Err(error), _) | (_, Err(error)) => Check::unknown(name, error),
    }
}

/// What lies under the user's own prefix; nothing is written there.
pub(super) async fn volume(access: &Access) -> Check {
    let name = "volume";
    let parts = Parts::for_process(access.password.clone(), access.access_key.clone());
    match admin::info(&access.settings, &parts).await {
        Ok(info) => describe(name, &info),
        Err(error) => Check::unknown(name, error),
    }
}

fn describe(name: &'static str, info: &VolumeInfo) -> Check {
    let shape = info.geometry.as_ref().map(|geometry| (u64::from(geometry.block_size()), geometry.size()));
    let found = match shape.or(info.block_zero) {
        Some((block_size, size)) => format!("one of {size} bytes, in blocks of {block_size}, is here already"),
        None => "none here".to_owned(),
    };
    if let Some(damage) = &info.damage {
        return Check::warn(name, format!("its superblock is damaged: {damage}"), "mount with --force to rewrite it");
    }
    match &info.mounted_by {
        Some((owner, token)) => Check::warn(
            name,
            format!("{found}; mounted by {owner} (token {token})"),
            "do not mount it here; if that mount is dead: s3b reset-mounted-flag",
        ),
        None => Check::ok(name, found),
    }
}
