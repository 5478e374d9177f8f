//! What a bucket's configuration means for a disk in it. Pure: documents in, checks out.

use quick_xml::de::from_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Check;

/// Answers to `?versioning` and to `?object-lock`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Switches {
    status: String,
    object_lock_enabled: String,
}

/// Answers to `?lifecycle` and to `?replication`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rules {
    #[serde(rename = "Rule")]
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    #[serde(rename = "ID")]
    id: Option<String>,
    status: String,
    /// Where rules of before 2016 have it.
    prefix: Option<String>,
    filter: Filter,
    expiration: Expiration,
    transition: Vec<Transition>,
}

/// Which objects a rule is for; all of it must hold.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    prefix: Option<String>,
    tag: Vec<Tag>,
    object_size_greater_than: Option<String>,
    object_size_less_than: Option<String>,
    and: Option<Box<Filter>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tag {
    key: String,
}

/// Without a day: of delete markers only, which are no blocks.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Expiration {
    days: Option<String>,
    date: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Transition {
    storage_class: String,
}

impl Rule {
    fn is_on(&self) -> bool {
        self.status.trim() == "Enabled"
    }

    fn name(&self) -> &str {
        self.id.as_deref().unwrap_or("without an ID")
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().or_else(|| self.filter.prefix()).unwrap_or("")
    }

    fn expires(&self) -> bool {
        self.expiration.days.is_some() || self.expiration.date.is_some()
    }
}

impl Filter {
    fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref().or_else(|| self.and.as_deref()?.prefix())
    }

    /// What else it asks of objects than where they are.
    fn asks_for(&self) -> Option<String> {
        if let Some(tag) = self.tag.first() {
            return Some(format!("tag {:?}", tag.key));
        }
        let has_sizes = self.object_size_greater_than.is_some() || self.object_size_less_than.is_some();
        if has_sizes { Some("certain sizes".into()) } else { self.and.as_deref()?.asks_for() }
    }
}

/// A document as it is read; without one, as if nothing were set.
fn read<T: Default + DeserializeOwned>(name: &'static str, document: Option<&str>) -> Result<T, Check> {
    let read = document.map(from_str::<T>).transpose();
    read.map(Option::unwrap_or_default).map_err(|error| Check::unknown(name, format!("the answer is odd: {error}")))
}

/// Answers to `?versioning`: a document without a status when it was never on.
pub fn versioning(document: Option<&str>) -> Check {
    let name = "versioning";
    match read(name, document).map(|answer: Switches| answer.status) {
        Err(unknown) => unknown,
        Ok(status) => match status.trim() {
            "" => Check::ok(name, "off"),
            "Enabled" => Check::warn(
                name,
                "on: every overwritten block stays, and is billed, as an old version",
                "suspend versioning, or add a lifecycle rule that expires noncurrent versions after a day",
            ),
            other => Check::ok(name, format!("{other}: old versions may still be there and be billed")),
        },
    }
}

pub fn object_lock(document: Option<&str>) -> Check {
    let name = "object lock";
    match read(name, document).map(|answer: Switches| answer.object_lock_enabled) {
        Err(unknown) => unknown,
        Ok(status) if status.trim() == "Enabled" => Check::warn(
            name,
            "on: nothing that was ever written can be freed while it is retained",
            "use a bucket without object lock",
        ),
        Ok(_) => Check::ok(name, "off"),
    }
}

pub fn replication(document: Option<&str>) -> Check {
    let name = "replication";
    match read(name, document) {
        Err(unknown) => unknown,
        Ok(Rules { rules }) if rules.iter().any(Rule::is_on) => {
            let found = "on: every stored block is sent, and billed, once more; the copy is no consistent disk";
            Check::warn(name, found, "use a bucket, or a prefix, that is not replicated")
        }
        Ok(_) => Check::ok(name, "off"),
    }
}

/// A rule that deletes blocks destroys the disk; one that moves them makes them dear or unreadable. Whether blocks have the
/// tags or sizes that a rule asks for is not known here: that is a warning.
pub fn lifecycle(document: Option<&str>, prefix: &str) -> Check {
    let name = "lifecycle";
    let rules = match read(name, document) {
        Ok(Rules { rules }) => rules,
        Err(unknown) => return unknown,
    };
    let meets = |rule: &Rule| prefix.starts_with(rule.prefix()) || rule.prefix().starts_with(prefix);
    let touching: Vec<&Rule> = rules.iter().filter(|rule| rule.is_on() && meets(rule)).collect();
    let advice = "remove the rule, or restrict it to another prefix";
    let (some, all): (Vec<&Rule>, Vec<&Rule>) =
        touching.iter().filter(|rule| rule.expires()).partition(|rule| rule.filter.asks_for().is_some());
    if let Some(rule) = all.first() {
        let found = format!("rule {:?} deletes objects under this prefix: blocks would vanish", rule.name());
        return Check::fail(name, found, advice);
    }
    if let Some((rule, what)) = some.first().and_then(|rule| Some((rule, rule.filter.asks_for()?))) {
        let found =
            format!("rule {:?} deletes objects of {what} under this prefix: blocks may be among them", rule.name());
        return Check::warn(name, found, advice);
    }
    match touching.iter().find_map(|rule| Some((rule.name(), rule.transition.first()?))) {
        Some((id, to)) => Check::warn(
            name,
            format!("rule {id:?} moves objects under this prefix to another storage class ({})", to.storage_class),
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
        assert_eq!(of("<LifecycleConfiguration><Rule>".into()), Verdict::Unknown);
    }

    #[test]
    fn what_a_rule_asks_for_is_read_as_it_is_meant() {
        let days = "<Expiration>\n<Days>30</Days></Expiration>";
        let rule = |filter: &str| {
            format!(
                "<?xml version=\"1.0\"?>\n<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n\
                 <Rule>\n  <ID>a</ID>{filter}<Status>Enabled</Status>{days}</Rule></LifecycleConfiguration>"
            )
        };
        let of = |filter: &str| lifecycle(Some(&rule(filter)), "a&b/").verdict;
        assert_eq!(of("<Filter><Prefix>a&amp;b/</Prefix></Filter>"), Verdict::Fail);
        assert_eq!(of("<Filter><Prefix>a&amp;c/</Prefix></Filter>"), Verdict::Ok);
        assert_eq!(of("<Prefix>a&#38;b/</Prefix>"), Verdict::Fail);
        assert_eq!(of("<Filter/>"), Verdict::Fail);
        let tag = "<Tag><Key>k</Key><Value>v</Value></Tag>";
        assert_eq!(of(&format!("<Filter>{tag}</Filter>")), Verdict::Warn);
        assert_eq!(of("<Filter><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></Filter>"), Verdict::Warn);
        assert_eq!(of(&format!("<Filter><And><Prefix>a&amp;b/</Prefix>{tag}{tag}</And></Filter>")), Verdict::Warn);
        assert_eq!(of(&format!("<Filter><And><Prefix>logs/</Prefix>{tag}</And></Filter>")), Verdict::Ok);
        // The rule that is sure to delete is told, wherever it stands.
        let both = rule("<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>")
            .replace("</Rule>", &format!("</Rule><Rule><Status>Enabled</Status>{days}</Rule>"));
        assert_eq!(lifecycle(Some(&both), "a&b/").verdict, Verdict::Fail);
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
