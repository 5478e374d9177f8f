//! The page as a person opens it: in Chromium, wide and narrow, light and dark.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use s3b_testkit::{require_program, run_to_end};
use s3b_tuner::report::html;
use serde_json::Value;

use crate::fixture;

/// Loads the pages named below each other in frames of each width, waits for all, and writes down what it finds. In a
/// frame a page is laid out for the frame's width, and nothing needs to be put into the page under test.
const HARNESS: &str = r#"<!doctype html><meta charset="utf-8"><body><pre id="found"></pre><script>
const pages = PAGES, widths = [1280, 400], found = [];
let open = pages.length * widths.length;
function look(frame, page, width) {
  const d = frame.contentDocument, w = frame.contentWindow, e = d.documentElement;
  const all = s => [...d.querySelectorAll(s)];
  const one = { page, width, overflow: e.scrollWidth - e.clientWidth, inside: e.clientWidth };
  one.wide = all('body *').filter(x => x.getBoundingClientRect().right > width + 1 && !x.closest('.scroll, pre, svg'))
    .map(x => x.tagName + '.' + x.className).slice(0, 5);
  one.charts = all('svg.chart').length;
  one.unlabelled = all('svg.chart').filter(x => !x.querySelector('text.label') || !x.getAttribute('aria-label')).length;
  one.unmarked = all('svg.chart').filter(x => !x.querySelector('[data-tip]')).length;
  one.cut = all('svg.chart text').filter(x => { const t = x.getBoundingClientRect(), s = x.ownerSVGElement.getBoundingClientRect();
    return t.left < s.left - 2 || t.right > s.right + 2; }).map(x => x.textContent).slice(0, 5);
  one.images = all('img').length;
  one.links = all('[src], [href]:not([href^="data:"])').length;
  one.styles = all('[style]').filter(x => !x.classList.contains('tip')).length;
  one.paper = w.getComputedStyle(d.body).backgroundColor;
  one.ink = w.getComputedStyle(d.body).color;
  const mark = d.querySelector('svg circle[data-tip]'), tip = d.querySelector('.tip');
  if (mark) mark.dispatchEvent(new w.PointerEvent('pointerover', { bubbles: true, clientX: 9999, clientY: 9 }));
  one.tip = tip && !tip.hidden ? tip.textContent : '';
  one.tipRight = tip ? tip.getBoundingClientRect().right : 0;
  one.schema = JSON.parse(d.getElementById('outcome').textContent).schema;
  found.push(one);
}
for (const page of pages) for (const width of widths) {
  const frame = document.createElement('iframe');
  frame.width = width; frame.height = 900; frame.src = page;
  frame.onload = () => {
    try { look(frame, page, width); } catch (error) { found.push({ page, width, error: String(error) }); }
    if (--open === 0) document.getElementById('found').textContent = JSON.stringify(found);
  };
  document.body.append(frame);
}
</script>"#;

/// What a started Chromium found, and what its consoles said.
struct Seen {
    found: Vec<Value>,
    console: Vec<String>,
}

fn chromium(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        .args(["--disable-dev-shm-usage", "--disable-extensions", "--disable-component-update", "--hide-scrollbars"])
        .args(["--enable-logging=stderr", "--allow-file-access-from-files"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .env("HOME", dir)
        .args(arguments);
    command
}

fn look(dir: &Path, pages: &[&str], arguments: &[&str]) -> Seen {
    let list = serde_json::to_string(pages).unwrap();
    let harness = dir.join("harness.html");
    std::fs::write(&harness, HARNESS.replace("PAGES", &list)).unwrap();
    let address = format!("file://{}", harness.display());
    let arguments = [&["--virtual-time-budget=8000", "--dump-dom"][..], arguments, &[&address]].concat();
    let finished = run_to_end(&mut chromium(dir, &arguments), Duration::from_secs(60)).unwrap();
    let json = finished.stdout.split_once("id=\"found\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (json, _) = json.unwrap_or_else(|| panic!("no answer: {finished}"));
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Seen {
        found: serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json:?}\n{finished}")),
        console: finished.stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
    }
}

/// The pages to look at, in a directory of their own; `None`: skipped.
fn pages() -> Option<tempfile::TempDir> {
    if !require_program("chromium") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, outcome) in
        [("confirmed", fixture::confirmed()), ("simulated", fixture::simulated()), ("empty", fixture::empty())]
    {
        std::fs::write(dir.path().join(format!("{name}.html")), html::render(&outcome)).unwrap();
    }
    Some(dir)
}

#[test]
fn the_page_is_whole_at_any_width_and_breaks_no_rule() {
    let Some(dir) = pages() else { return };
    let seen = look(dir.path(), &["confirmed.html", "simulated.html", "empty.html"], &[]);
    assert!(seen.console.is_empty(), "{:#?}", seen.console);
    assert_eq!(seen.found.len(), 6, "{:#?}", seen.found);
    for one in &seen.found {
        assert_eq!(one["error"], Value::Null, "{one}");
        assert_eq!(one["overflow"], 0, "{one:#}");
        assert_eq!(one["wide"], Value::Array(vec![]), "{one:#}");
        assert_eq!((&one["unlabelled"], &one["unmarked"]), (&Value::from(0), &Value::from(0)), "{one:#}");
        assert_eq!(
            (&one["images"], &one["links"], &one["styles"]),
            (&Value::from(0), &Value::from(0), &Value::from(0)),
            "{one:#}"
        );
        assert_eq!(one["cut"], Value::Array(vec![]), "{one:#}");
        assert_eq!(one["schema"], "s3b-sweep/1");
        if one["page"] != "empty.html" {
            assert!(one["charts"].as_u64().unwrap() >= 12, "{one:#}");
            assert!(!one["tip"].as_str().unwrap().is_empty(), "{one:#}");
            assert!(one["tipRight"].as_f64() <= one["inside"].as_f64(), "{one:#}");
        }
    }
}

#[test]
fn it_is_dark_where_dark_is_preferred() {
    let Some(dir) = pages() else { return };
    let light = |colour: &Value| {
        let digits: String =
            colour.as_str().unwrap().chars().map(|c| if c.is_ascii_digit() { c } else { ' ' }).collect();
        digits.split_whitespace().take(3).map(|n| n.parse::<u32>().unwrap()).sum::<u32>() > 384
    };
    let seen = look(dir.path(), &["confirmed.html"], &["--blink-settings=preferredColorScheme=0"]);
    assert!(seen.console.is_empty(), "{:#?}", seen.console);
    assert!(!light(&seen.found[0]["paper"]) && light(&seen.found[0]["ink"]), "{:#}", seen.found[0]);
}

/// The check above can fail: a style attribute, a handler and a script that the page's policy does not know.
#[test]
fn what_the_policy_forbids_is_seen() {
    let Some(dir) = pages() else { return };
    let page = dir.path().join("empty.html");
    let text = std::fs::read_to_string(&page).unwrap();
    let text =
        text.replace("<main>", "<main style=\"color:red\"><img src=x onerror=\"alert(1)\"><script>let x = 1</script>");
    std::fs::write(&page, text).unwrap();
    let seen = look(dir.path(), &["empty.html"], &[]);
    for part in ["style", "script", "img"] {
        assert!(seen.console.iter().any(|line| line.contains(part)), "{part}: {:#?}", seen.console);
    }
}

/// Kept for a person to look at: `target/tmp/page/*.html`.
#[test]
fn the_pages_are_kept_for_a_person_to_look_at() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&dir).unwrap();
    for (name, outcome) in [("confirmed", fixture::confirmed()), ("simulated", fixture::simulated())] {
        let text = html::render(&outcome);
        assert!(!text.contains("<img") && !text.contains("onerror=alert(1)>\"'"), "{name}");
        assert_eq!(text.matches("</script>").count(), 2, "{name}: only the page's own");
        std::fs::write(dir.join(format!("{name}.html")), text).unwrap();
    }
}
