//! What a bucket's configuration means for a disk in it. Pure: documents in, checks out.

use super::Check;

/// Answers to `?versioning`: a document without a status when it was never on.
pub fn versioning(document: Option<&str>) -> Check {
    let name = "versioning";
    match document.and_then(|text| element(text, "Status")) {
        Some("Enabled") => Check::warn(
            name,
            "on: every overwritten block stays, and is billed, as an old version",
            "suspend versioning, or add a lifecycle rule that expires noncurrent versions after a day",
        ),
        Some(other) => Check::ok(name, format!("{other}: old versions may still be there and be billed")),
        None => Check::ok(name, "off"),
    }
}

pub fn object_lock(document: Option<&str>) -> Check {
    let name = "object lock";
    match document.and_then(|text| element(text, "ObjectLockEnabled")) {
        Some("Enabled") => Check::warn(
            name,
            "on: nothing that was ever written can be freed while it is retained",
            "use a bucket without object lock",
        ),
        _ => Check::ok(name, "off"),
    }
}

pub fn replication(document: Option<&str>) -> Check {
    let name = "replication";
    let on = document.is_some_and(|text| rules(text).any(|rule| element(rule, "Status") == Some("Enabled")));
    if on {
        let found = "on: every stored block is sent, and billed, once more; the copy is no consistent disk";
        return Check::warn(name, found, "use a bucket, or a prefix, that is not replicated");
    }
    Check::ok(name, "off")
}

/// A rule that deletes blocks destroys the disk; one that moves them makes them dear or unreadable.
pub fn lifecycle(document: Option<&str>, prefix: &str) -> Check {
    let name = "lifecycle";
    let mut touching = Vec::new();
    for rule in document.into_iter().flat_map(rules) {
        let theirs = element(rule, "Prefix").unwrap_or("");
        let meets = prefix.starts_with(theirs) || theirs.starts_with(prefix);
        if element(rule, "Status") == Some("Enabled") && meets {
            touching.push((element(rule, "ID").unwrap_or("without an ID"), rule));
        }
    }
    for (id, rule) in &touching {
        let expires = element(rule, "Expiration").is_some_and(|how| how.contains("<Days>") || how.contains("<Date>"));
        if expires {
            let found = format!("rule {id:?} deletes objects under this prefix: blocks would vanish");
            return Check::fail(name, found, "remove the rule, or restrict it to another prefix");
        }
    }
    match touching.iter().find(|(_, rule)| element(rule, "Transition").is_some()) {
        Some((id, _)) => Check::warn(
            name,
            format!("rule {id:?} moves objects under this prefix to another storage class"),
            "restrict it to another prefix: moved blocks cost more to overwrite, and archived ones cannot be read",
        ),
        None if touching.is_empty() => Check::ok(name, "no rule touches this prefix"),
        None => Check::ok(name, "rules touch this prefix, but neither delete nor move current objects"),
    }
}

/// Of what `--storage-class` asks for.
pub fn storage_class(class: Option<&str>) -> Check {
    let name = "storage class";
    let minimum = |days: u32| {
        let found = format!(
            "{}: every object is billed as at least 128 KB and {days} days, so each overwrite of a block pays the rest",
            class.unwrap_or("")
        );
        Check::warn(name, found, "leave --storage-class out (STANDARD)")
    };
    match class.unwrap_or("") {
        "" => Check::ok(name, "the bucket's default (STANDARD)"),
        "STANDARD_IA" | "ONEZONE_IA" => minimum(30),
        "GLACIER_IR" => minimum(90),
        archive @ ("GLACIER" | "DEEP_ARCHIVE") => Check::fail(
            name,
            format!("{archive}: a block cannot be read again before it is restored, which takes hours"),
            "leave --storage-class out (STANDARD)",
        ),
        "INTELLIGENT_TIERING" => Check::warn(
            name,
            "INTELLIGENT_TIERING: every object of 128 KB and more costs monitoring each month",
            "leave --storage-class out (STANDARD), unless most of the disk is never touched",
        ),
        other => Check::ok(name, other),
    }
}

/// Seconds the server's clock is ahead.
pub fn clock(ahead_s: Option<i64>) -> Check {
    let name = "clock";
    // S3 refuses requests that are 15 minutes off; dates have whole seconds.
    match ahead_s.map(i64::abs) {
        None => Check::unknown(name, "the server names no date"),
        Some(0..=2) => Check::ok(name, "as the server's"),
        Some(off @ 3..=600) => {
            Check::warn(name, format!("{off} s from the server's"), "set this machine's clock: run an NTP client")
        }
        Some(off) => Check::fail(
            name,
            format!("{off} s from the server's; signatures are refused at 900 s"),
            "set this machine's clock: run an NTP client",
        ),
    }
}

fn rules(text: &str) -> impl Iterator<Item = &str> {
    text.split("<Rule>").skip(1).map(|rule| rule.split("</Rule>").next().unwrap_or(rule))
}

/// The text between the first tags of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = text.find(&format!("<{name}>"))? + name.len() + 2;
    let len = text[begin..].find(&format!("</{name}>"))?;
    Some(text[begin..begin + len].trim())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn versions_locks_and_copies_are_warned_about() {
        let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        assert_eq!(versioning(Some(on)).verdict, Verdict::Warn);
        assert_eq!(versioning(Some("<VersioningConfiguration/>")).verdict, Verdict::Ok);
        assert_eq!(versioning(Some(&on.replace("Enabled", "Suspended"))).verdict, Verdict::Ok);
        let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
        assert_eq!((object_lock(Some(lock)).verdict, object_lock(None).verdict), (Verdict::Warn, Verdict::Ok));
        let copy = "<ReplicationConfiguration><Rule><Status>Enabled</Status></Rule></ReplicationConfiguration>";
        assert_eq!((replication(Some(copy)).verdict, replication(None).verdict), (Verdict::Warn, Verdict::Ok));
    }

    #[test]
    fn a_rule_that_deletes_blocks_is_a_failure() {
        let rule = |prefix: &str, status: &str, what: &str| {
            format!(
                "<LifecycleConfiguration><Rule><ID>old</ID><Filter><Prefix>{prefix}</Prefix></Filter>\
                 <Status>{status}</Status>{what}</Rule></LifecycleConfiguration>"
            )
        };
        let days = "<Expiration><Days>30</Days></Expiration>";
        let of = |text: String| lifecycle(Some(&text), "disk1/").verdict;
        assert_eq!(of(rule("", "Enabled", days)), Verdict::Fail);
        assert_eq!(of(rule("disk1/", "Enabled", days)), Verdict::Fail);
        assert_eq!(of(rule("logs/", "Enabled", days)), Verdict::Ok);
        assert_eq!(of(rule("", "Disabled", days)), Verdict::Ok);
        let moved = "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>";
        assert_eq!(of(rule("", "Enabled", moved)), Verdict::Warn);
        let old = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>";
        assert_eq!(of(rule("", "Enabled", old)), Verdict::Ok);
        assert_eq!(lifecycle(None, "disk1/").verdict, Verdict::Ok);
    }

    #[test]
    fn classes_and_clocks_have_their_price() {
        let classes =
            ["STANDARD_IA", "GLACIER_IR", "GLACIER", "STANDARD"].map(|class| storage_class(Some(class)).verdict);
        assert_eq!(classes, [Verdict::Warn, Verdict::Warn, Verdict::Fail, Verdict::Ok]);
        assert!(storage_class(Some("STANDARD_IA")).found.contains("128 KB and 30 days"));
        let clocks = [Some(-1), Some(60), Some(-1000), None].map(|ahead| clock(ahead).verdict);
        assert_eq!(clocks, [Verdict::Ok, Verdict::Warn, Verdict::Fail, Verdict::Unknown]);
    }
}
