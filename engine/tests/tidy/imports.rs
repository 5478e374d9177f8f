//! Who names whom: modules inside a crate, crates inside the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::Source;

/// Side by side on the contracts: none names another. Only `stack`, which builds them, and `volume`, which speaks to
/// the topmost one, may.
const LAYERS: [&str; 12] = [
    "block_cache",
    "md5_cache",
    "zero_map",
    "object_blocks",
    "mount_lock",
    "retry",
    "wrap",
    "s3",
    "directory",
    "memory",
    "discard",
    "direct",
];

/// What each crate of the workspace may depend on.
const MAY_DEPEND: [(&str, &[&str]); 6] = [
    ("engine", &["s3b-testkit"]),
    ("engine/testkit", &[]),
    ("scenarios", &[]),
    ("fuse-frontend", &["s3b-engine", "s3b-scenarios", "s3b-testkit"]),
    ("tuner", &["s3b-engine", "s3b-scenarios", "s3b-testkit"]),
    ("benches", &["s3b", "s3b-engine", "s3b-scenarios", "s3b-testkit", "s3b-tuner"]),
];

type ModulePath = Vec<String>;

/// The modules of one crate, and the modules each names.
pub struct Modules {
    named: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

impl Modules {
    pub fn read(package: &str, files: &[Source]) -> Self {
        let source = Path::new(package).join("src");
        let files = files.iter().filter(|file| file.path().starts_with(&source) && !file.is_test());
        Self::of(files.map(|file| {
            let inside = file.path().strip_prefix(&source).unwrap().with_extension("");
            let mut module: ModulePath = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                module.pop();
            }
            (module, file.code().to_owned())
        }))
    }

    fn of(files: impl Iterator<Item = (ModulePath, String)>) -> Self {
        let files: BTreeMap<ModulePath, String> = files.collect();
        let known: BTreeSet<ModulePath> = files.keys().cloned().collect();
        let named = files.iter().map(|(module, code)| (module.clone(), names(module, code, &known))).collect();
        Self { named }
    }

    /// Circles among the children of one module. A module and its parent are one thing, and may name each other.
    pub fn circles(&self) -> Vec<String> {
        let parents: BTreeSet<ModulePath> =
            self.named.keys().filter(|m| !m.is_empty()).map(|m| m[..m.len() - 1].to_vec()).collect();
        parents.iter().filter_map(|parent| self.circle_below(parent)).collect()
    }

    fn circle_below(&self, parent: &ModulePath) -> Option<String> {
        let child = |module: &ModulePath| {
            (module.len() > parent.len() && module.starts_with(parent)).then(|| module[parent.len()].clone())
        };
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, named) in &self.named {
            let Some(from) = child(module) else { continue };
            let to = named.iter().filter_map(child).filter(|to| *to != from);
            graph.entry(from.clone()).or_default().extend(to);
        }
        // Whoever names nobody that is left, or is named by nobody, is in no circle; take those away until none is left.
        loop {
            let named: BTreeSet<String> = graph.values().flatten().cloned().collect();
            let inside: BTreeSet<String> = graph.keys().filter(|name| named.contains(*name)).cloned().collect();
            let before = graph.len();
            graph.retain(|name, _| inside.contains(name));
            graph.values_mut().for_each(|to| to.retain(|name| inside.contains(name)));
            graph.retain(|_, to| !to.is_empty());
            if graph.len() == before {
                break;
            }
        }
        let place = if parent.is_empty() { "the crate".into() } else { parent.join("::") };
        (!graph.is_empty()).then(|| format!("import circle in {place}: {graph:?}"))
    }

    /// Layers that name another layer.
    pub fn sideways(&self) -> Vec<String> {
        let layer = |module: &ModulePath| module.first().filter(|name| LAYERS.contains(&name.as_str())).cloned();
        let mut complaints = Vec::new();
        for (module, named) in &self.named {
            let Some(from) = layer(module) else { continue };
            for to in named.iter().filter_map(layer).filter(|to| *to != from) {
                complaints.push(format!("{} names {to}: layers meet only in stack", module.join("::")));
            }
        }
        complaints
    }
}

/// The known modules that paths in `code` lead to.
fn names(module: &ModulePath, code: &str, known: &BTreeSet<ModulePath>) -> BTreeSet<ModulePath> {
    let mut found = BTreeSet::new();
    for (start, keyword) in ["crate", "super", "self"].iter().flat_map(|word| code.match_indices(word)) {
        let rest = &code[start + keyword.len()..];
        let before = code[..start].chars().next_back();
        let continues = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if !rest.starts_with("::") || continues {
            continue;
        }
        let base = match keyword {
            "crate" => Vec::new(),
            "self" => module.clone(),
            _ => module[..module.len().saturating_sub(1)].to_vec(),
        };
        for path in expand(base, &rest[2..]).0 {
            let deepest = (0..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| known.contains(path));
            found.extend(deepest.filter(|to| to != module && !to.is_empty()));
        }
    }
    found
}

/// Spells out `a::{b, c::d}` after `base`. Answers the paths, and how many bytes of `text` they took.
fn expand(mut base: ModulePath, text: &str) -> (Vec<ModulePath>, usize) {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += word.len();
        if word == "super" {
            base.pop();
        } else if !word.is_empty() && word != "self" {
            base.push(word);
        }
        let rest = &text[at..];
        if rest.starts_with("::") {
            at += 2;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let (paths, taken) = group(&base, inside);
            return (paths, at + 1 + taken);
        } else {
            return (vec![base], at);
        }
    }
}

fn group(base: &ModulePath, text: &str) -> (Vec<ModulePath>, usize) {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '}' => return (paths, at + 1),
            c if c.is_alphanumeric() || c == '_' => {
                let (more, taken) = expand(base.clone(), &text[at..]);
                paths.extend(more);
                at += taken;
            }
            c => at += c.len_utf8(),
        }
    }
    (paths, at)
}

/// Each crate's dependencies inside the workspace.
pub struct Crates(Vec<(String, Vec<String>)>);

impl Crates {
    pub fn read(root: &Path) -> Self {
        let crates = MAY_DEPEND.iter().map(|(directory, _)| {
            let manifest = fs::read_to_string(root.join(directory).join("Cargo.toml")).unwrap();
            (directory.to_string(), dependencies(&manifest))
        });
        Self(crates.collect())
    }

    pub fn upward(&self) -> Vec<String> {
        let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND.into_iter().collect();
        let mut complaints = Vec::new();
        for (directory, depends) in &self.0 {
            for name in depends.iter().filter(|name| !allowed[directory.as_str()].contains(&name.as_str())) {
                complaints.push(format!("{directory} must not depend on {name}"));
            }
        }
        complaints
    }
}

fn dependencies(manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().unwrap();
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let names = sections.iter().filter_map(|section| table.get(*section)?.as_table()).flat_map(|t| t.keys());
    // The front end's package is named as its program.
    names.filter(|name| *name == "s3b" || name.starts_with("s3b-")).cloned().collect()
}

#[cfg(test)]
fn modules(files: &[(&str, &str)]) -> Modules {
    Modules::of(files.iter().map(|(module, code)| {
        let path = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        (path, (*code).to_owned())
    }))
}

#[test]
fn a_circle_is_seen_through_groups_and_super() {
    let circle = [("a", "use crate::{b::B, c};"), ("b", "fn f() { super::a::g(); }"), ("c", "")];
    assert_eq!(modules(&circle).circles(), ["import circle in the crate: {\"a\": {\"b\"}, \"b\": {\"a\"}}"]);
    let straight = [("a", "use crate::{b::B, c};"), ("b", "use crate::c::{self, d};"), ("c", "use super::elsewhere;")];
    assert_eq!(modules(&straight).circles(), Vec::<String>::new());
    let inside = [("a", "use self::x::X; use self::y::Y;"), ("a::x", "use super::y::Y;"), ("a::y", "use crate::a::x;")];
    assert_eq!(modules(&inside).circles().len(), 1);
    let family = [("a", "use self::x::X;"), ("a::x", "use super::A;")];
    assert_eq!(modules(&family).circles(), Vec::<String>::new());
}

#[test]
fn a_layer_that_names_its_sibling_is_seen() {
    let sideways = [("block_cache", ""), ("block_cache::driver", "use crate::zero_map::ZeroMap;"), ("zero_map", "")];
    assert_eq!(modules(&sideways).sideways().len(), 1);
    let straight =
        [("block_cache", "use crate::store::BlockStore;"), ("stack", "use crate::block_cache;"), ("store", "")];
    assert_eq!(modules(&straight).sideways(), Vec::<String>::new());
}

#[test]
fn an_upward_dependency_is_seen() {
    let depends = dependencies("[dependencies]\ns3b-scenarios = { path = \"../scenarios\" }\ntokio = \"1\"\n");
    assert_eq!(depends, ["s3b-scenarios"]);
    assert_eq!(Crates(vec![("engine".into(), depends)]).upward().len(), 1);
    assert_eq!(Crates(vec![("tuner".into(), vec!["s3b-engine".into()])]).upward(), Vec::<String>::new());
}
