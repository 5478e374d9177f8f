//! The house rules that a machine can check. Each rule is a function from text to complaints, tried on small strings
//! below, then run over the tree.

mod imports;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use imports::{Crates, Modules};
use source::Source;

/// A file is one concern; lines before its tests.
const FILE_LINES: usize = 500;
/// A function fits one screen.
const FUNCTION_LINES: usize = 70;

/// Words that mean unfinished work. Split so that this file does not name them.
const UNFINISHED: [&str; 7] = [
    "todo!",
    "unimplemented!",
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    "#[ignore",
    "allow(dead_code)",
    "assert!(true)",
];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = ["manager", "util", "utils", "helper", "helpers", "common", "misc"];

fn size(file: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = file.product_lines();
    if lines > FILE_LINES {
        complaints.push(format!("{lines} lines before its tests, at most {FILE_LINES}: split it by concern"));
    }
    for function in file.functions() {
        if function.lines > FUNCTION_LINES {
            let (name, line, len) = (&function.name, function.line, function.lines);
            complaints.push(format!("line {line}: fn {name} has {len} lines, at most {FUNCTION_LINES}"));
        }
    }
    complaints
}

fn words(file: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in file.text().lines().enumerate() {
        for word in UNFINISHED {
            if line.contains(word) {
                complaints.push(format!("line {}: `{word}` is unfinished work", number + 1));
            }
        }
    }
    for (number, reason_near) in file.unwraps() {
        if !reason_near {
            complaints.push(format!("line {number}: unwrap() without a comment that says why it cannot fail"));
        }
    }
    let stem = file.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for name in file.type_and_module_names().into_iter().chain([stem]) {
        if source::parts(&name).iter().any(|part| EMPTY_NAMES.contains(&part.as_str())) {
            complaints.push(format!("`{name}`: say what it is; {EMPTY_NAMES:?} say nothing"));
        }
    }
    complaints
}

fn head(file: &Source) -> Vec<String> {
    let opens = file.text().starts_with("//!") || file.text().starts_with("#![");
    (!opens && file.product_lines() > 10)
        .then(|| "a file opens with a comment: what it adds, what it never does".to_owned())
        .into_iter()
        .collect()
}

fn root() -> PathBuf {
    s3b_testkit::workspace_root()
}

/// Every Rust file below a directory, by path from the workspace's root.
fn rust_texts(root: &Path, directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root.join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the workspace, in order.
fn rust_files(root: &Path) -> Vec<Source> {
    let directories = ["engine", "fuse-frontend", "tuner", "scenarios", "benches"];
    let texts = directories.iter().flat_map(|directory| rust_texts(root, directory));
    texts.map(|(path, text)| Source::new(path, &text)).collect()
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

fn over_all_files(rules: &[fn(&Source) -> Vec<String>]) -> Vec<String> {
    let files = rust_files(&root());
    assert!(files.len() > 20, "the tree was not found");
    let mut complaints = Vec::new();
    for file in &files {
        for rule in rules {
            complaints.extend(rule(file).into_iter().map(|what| format!("{}: {what}", file.path().display())));
        }
    }
    complaints
}

#[test]
fn files_and_functions_fit_their_bounds() {
    complain(over_all_files(&[size]));
}

#[test]
fn nothing_is_unfinished_and_names_say_something() {
    complain(over_all_files(&[words, head]));
}

#[test]
fn modules_stand_in_order() {
    let mut complaints = Vec::new();
    for package in ["engine", "fuse-frontend", "tuner", "scenarios", "benches"] {
        let modules = Modules::read(package, &rust_files(&root()));
        complaints.extend(modules.circles().into_iter().map(|what| format!("{package}: {what}")));
        if package == "engine" {
            complaints.extend(modules.sideways());
        }
    }
    complain(complaints);
}

#[test]
fn every_promise_has_a_test_of_its_name() {
    let promises = fs::read_to_string(root().join("docs/SEMANTICS.md")).unwrap();
    let names = promised(&promises);
    assert!(names.len() > 10, "the promises were not found");
    let mut tests = Vec::new();
    for directory in ["engine/tests", "fuse-frontend/tests"] {
        for (_, text) in rust_texts(&root(), directory) {
            tests.extend(test_names(&text));
        }
    }
    let missing: Vec<&String> = names.iter().filter(|name| !tests.contains(name)).collect();
    assert!(missing.is_empty(), "docs/SEMANTICS.md promises what no test of that name shows: {missing:?}");
}

/// The headings of the third level, as names of functions.
fn promised(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter_map(|line| line.strip_prefix("### "));
    let words = |heading: &str| -> Vec<String> {
        let lower = heading.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    headings.map(|heading| words(heading).join("_")).collect()
}

/// The functions right below a test attribute.
fn test_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        let name = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
        names.extend(name.filter(|_| is_test).map(str::to_owned));
        is_test = false;
    }
    names
}

#[test]
fn crates_only_look_down() {
    complain(Crates::read(&root()).upward());
}

#[test]
fn the_rules_can_be_broken() {
    let long_file = format!("//! Long.\n{}", "fn f() {}\n".repeat(FILE_LINES));
    assert_eq!(size(&Source::new("engine/src/a.rs", &long_file)).len(), 1);
    let tested = format!("//! Long tests.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(FILE_LINES));
    assert_eq!(size(&Source::new("engine/src/a.rs", &tested)), Vec::<String>::new());
    let long_function = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES - 1));
    assert_eq!(size(&Source::new("engine/src/a.rs", &long_function)).len(), 1);
    let just_fits = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES - 2));
    assert_eq!(size(&Source::new("engine/src/a.rs", &just_fits)), Vec::<String>::new());

    let broken = |text: &str| words(&Source::new("engine/src/a.rs", text)).len();
    assert_eq!(broken(concat!("fn f() { to", "do!() }")), 1);
    assert_eq!(broken("fn f() { x.unwrap() }"), 1);
    assert_eq!(broken("fn f() {\n // Never empty.\n x.unwrap()\n}"), 0);
    assert_eq!(broken("#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }"), 0);
    assert_eq!(broken("/// let x = y.unwrap();\nfn f() {}"), 0);
    assert_eq!(broken("struct CacheManager;"), 1);
    assert_eq!(broken("struct Commons; mod utility {}"), 0);
    assert_eq!(words(&Source::new("engine/src/utils.rs", "")).len(), 1);
    assert_eq!(head(&Source::new("engine/src/a.rs", &"fn f() {}\n".repeat(11))).len(), 1);

    assert_eq!(promised("## No\n### Kill -9 is survived!\ntext"), ["kill_9_is_survived"]);
    let text =
        "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(start_paused = true)]\n#[cfg(unix)]\nasync fn three() {}";
    assert_eq!(test_names(text), ["one", "three"]);
}
