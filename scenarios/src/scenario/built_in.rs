//! The scenarios that come with the program.

use super::Scenario;

/// Name and file.
pub(super) type Shipped = (&'static str, &'static str);

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../data/", $name, ".toml")))),*]
    };
}

pub(super) const BUILT_IN: [Shipped; 10] = shipped![
    "backup-stream",
    "restore",
    "vm-boot",
    "oltp",
    "mail",
    "mkfs-untar",
    "git-churn",
    "photo-archive",
    "idle-desktop",
    "fstrim",
];

pub(super) const BASIC: [Shipped; 5] =
    shipped!["sequential-write", "sequential-read", "random-mix", "fsync-small", "discard"];

pub(super) fn all(shipped: &[Shipped]) -> Vec<Scenario> {
    let parse = |(name, text): &Shipped| match Scenario::parse(name, text) {
        Ok(scenario) => scenario,
        Err(error) => unreachable!("a shipped scenario is wrong (a test reads them all): {error}"),
    };
    shipped.iter().map(parse).collect()
}

pub(super) fn text_of(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().chain(&BASIC).find(|(known, _)| *known == name).map(|(_, text)| *text)
}
