//! A Rust file as the rules see it: which lines are the product's, where functions begin and end.

use std::path::{Path, PathBuf};

/// One file. `code` is the text with comments and literals blanked, line by line the same.
pub struct Source {
    path: PathBuf,
    text: String,
    code: String,
    is_test: bool,
}

pub struct Function {
    pub name: String,
    /// Where its `fn` stands, from 1.
    pub line: usize,
    pub lines: usize,
}

impl Source {
    /// Only the product's part is kept: a test module at the end is cut off, a test file is empty.
    pub fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let path = path.into();
        let is_test = path.components().any(|part| ["tests", "benches"].iter().any(|t| part.as_os_str() == *t))
            && !path.starts_with("benches/src")
            || path.ends_with("tests.rs");
        let text = if is_test { String::new() } else { before_tests(text) };
        Self { code: blank(&text), path, text, is_test }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn is_test(&self) -> bool {
        self.is_test
    }

    pub fn product_lines(&self) -> usize {
        self.text.lines().count()
    }

    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, name) in words_after(&self.code, "fn") {
            let Some(open) = body_start(&self.code[at..]) else { continue };
            let Some(len) = matching_brace(&self.code[at + open..]) else { continue };
            let line = self.code[..at].matches('\n').count() + 1;
            let lines = self.code[at..at + open + len].matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
        found
    }

    /// Line numbers of `unwrap()`, and whether that line or the one above has a comment.
    pub fn unwraps(&self) -> Vec<(usize, bool)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let commented = |number: usize| lines[number].contains("//");
        let found = self.code.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
        found.map(|(n, _)| (n + 1, commented(n) || n > 0 && commented(n - 1))).collect()
    }

    pub fn type_and_module_names(&self) -> Vec<String> {
        let kinds = ["struct", "enum", "trait", "mod", "type"];
        kinds.iter().flat_map(|kind| words_after(&self.code, kind)).map(|(_, name)| name).collect()
    }
}

/// The words of a name: `CacheManager` and `cache_manager` both have `cache` and `manager`.
pub fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        if letter != '_' {
            parts.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn before_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let module_follows = lines.peek().is_some_and(|next| next.starts_with("mod ") || next.starts_with("#["));
        if line == "#[cfg(test)]" && module_follows {
            break;
        }
        kept += line;
        kept.push('\n');
    }
    kept
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Every place where `keyword` stands as a word, with the identifier that follows it.
fn words_after(code: &str, keyword: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(keyword) {
        let before = code[..at].chars().next_back();
        let rest = &code[at + keyword.len()..];
        if before.is_some_and(is_word) || !rest.starts_with([' ', '\n']) {
            continue;
        }
        let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
        if !name.is_empty() {
            found.push((at, name));
        }
    }
    found
}

/// Where the body's brace stands; `None` for a declaration without one.
fn body_start(code: &str) -> Option<usize> {
    let mut brackets = 0;
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 => return None,
            '{' if brackets == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// Length of the text up to and with the brace that closes the first one.
fn matching_brace(code: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Puts spaces over comments, strings and character literals; line breaks stay.
fn blank(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let len = literal_len(&letters, at);
        if len == 0 {
            out.push(letters[at]);
            at += 1;
        }
        for letter in &letters[at..at + len] {
            out.push(if *letter == '\n' { '\n' } else { ' ' });
        }
        at += len;
    }
    out
}

/// How many characters from `at` are a comment or a literal; 0 if none starts here.
fn literal_len(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let starts = |mark: &str| rest.len() >= mark.len() && mark.chars().zip(rest).all(|(a, b)| a == *b);
    let word_before = at > 0 && is_word(letters[at - 1]);
    if starts("//") {
        return rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
    }
    if starts("/*") {
        return rest.windows(2).position(|pair| pair == ['*', '/']).map_or(rest.len(), |end| end + 2);
    }
    if !word_before && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#")) {
        return raw_string_len(rest);
    }
    match rest[0] {
        '"' => quoted_len(rest, '"'),
        // A lifetime has no closing quote two or (escaped) more characters on.
        '\'' if rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'') => quoted_len(rest, '\''),
        _ => 0,
    }
}

fn quoted_len(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string_len(rest: &[char]) -> usize {
    let open = rest.iter().take_while(|c| matches!(c, 'b' | 'r')).count();
    let hashes = rest[open..].iter().take_while(|c| **c == '#').count();
    if rest.get(open + hashes) != Some(&'"') {
        // `r#type`: a raw identifier.
        return 0;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = open + hashes + 1;
    let end = rest[body..].windows(close.len()).position(|w| w == close);
    end.map_or(rest.len(), |end| body + end + close.len())
}

#[test]
fn literals_and_comments_do_not_count_as_code() {
    let text = "a('{', '\\'', \"}\\\"{\") // {\n/* { */ r#\"{\"# b'x' 'life r#type";
    let code = blank(text);
    assert_eq!(code.chars().count(), text.chars().count());
    assert!(!code.contains('{') && !code.contains('}') && code.contains("'life r#type"), "{code}");
}

#[test]
fn functions_are_found_with_their_length() {
    let file =
        Source::new("a.rs", "trait T { fn declared(&self); }\nfn one() {}\npub fn three<'a>(x: [u8; 3])\n{\n}\n");
    let found: Vec<_> = file.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("one".into(), 2, 1), ("three".into(), 3, 3)]);
}
