//! What s3b promises: each heading of `docs/SEMANTICS.md` is a test, and each test here a heading.

mod cache_file;
mod durability;
mod mounting;
mod offline;
mod outages;
mod reading_and_writing;
mod rig;

use std::collections::BTreeSet;
use std::fs;

const MODULES: [&str; 6] = ["cache_file", "durability", "mounting", "offline", "outages", "reading_and_writing"];

/// `A flush is a barrier` becomes `a_flush_is_a_barrier`.
fn test_name(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

fn tests_of(text: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim_start());
        if line.trim() == "#[test]"
            && let Some(name) = next.strip_prefix("fn ").and_then(|rest| rest.split('(').next())
        {
            tests.insert(name.to_owned());
        }
    }
    tests
}

#[test]
fn headings_and_tests_match_one_to_one() {
    let root = s3b_testkit::workspace_root();
    let document = fs::read_to_string(root.join("docs/SEMANTICS.md")).unwrap();
    let here = root.join("engine/tests/semantics");
    let mut tests = BTreeSet::new();
    for module in MODULES {
        tests.extend(tests_of(&fs::read_to_string(here.join(format!("{module}.rs"))).unwrap()));
    }
    assert!(tests.len() > 20, "the tests were not found: {tests:?}");
    let promises = document.split("\n## Not promised").next().unwrap();
    assert_ne!(promises.len(), document.len(), "what is not promised must be said");
    let mut seen = 0;
    for section in promises.split("\n### ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap();
        let elsewhere: Vec<&str> =
            body.lines().filter_map(|line| line.strip_prefix("Test: `")?.strip_suffix('`')).collect();
        for named in &elsewhere {
            let (path, name) = named.rsplit_once("::").unwrap();
            let text =
                fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("«{heading}»: {path}: {error}"));
            assert_eq!(name, test_name(heading), "a test is named like its promise");
            assert!(tests_of(&text).contains(name), "«{heading}» names {named}, which is not a test");
        }
        if elsewhere.is_empty() {
            assert!(tests.remove(&test_name(heading)), "«{heading}» has no test {}", test_name(heading));
        }
        seen += 1;
    }
    assert!(seen > 20, "the headings were not found");
    assert!(tests.is_empty(), "tests without a heading: {tests:?}");
}
