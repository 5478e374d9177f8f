//! Text, JSON, CSV and Markdown.

use s3b_tuner::outcome::Outcome;
use s3b_tuner::report::{csv, json, markdown, text};

use crate::fixture;

fn all() -> [(&'static str, Outcome); 3] {
    [("simulated", fixture::simulated()), ("confirmed", fixture::confirmed()), ("empty", fixture::empty())]
}

#[test]
fn the_terminal_answer_fits_and_obeys_nobody() {
    for (name, outcome) in all() {
        for width in [60, 80, 100] {
            let text = text::render(&outcome, width);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= width, "{name}: {widest} > {width}\n{text}");
            assert!(!text.contains('\x1b'), "{name}");
        }
    }
    let text = text::render(&fixture::confirmed(), 100);
    for part in
        ["recommended", "cheapest", "safest", "default", "PUT per GiB", "$ per month", "link up 78 %", "Noise floor"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    println!("{text}");
}

#[test]
fn json_reads_back_as_the_same() {
    for (name, outcome) in all() {
        let text = json::render(&outcome);
        assert_eq!(json::read(&text, name).unwrap(), outcome, "{name}");
    }
    let mut damaged = fixture::simulated();
    damaged.answer.as_mut().unwrap().cheapest = 48;
    let error = format!("{:#}", json::read(&json::render(&damaged), "run.json").unwrap_err());
    assert!(error.contains("run.json") && error.contains("configuration 48 of 48"), "{error}");
    damaged.schema = "s3b-sweep/9".into();
    let error = json::read(&json::render(&damaged), "run.json").unwrap_err().to_string();
    assert!(error.contains("s3b-sweep/9") && error.contains("s3b-sweep/1"), "{error}");
}

#[test]
fn csv_has_a_whole_row_for_each_run() {
    let outcome = fixture::confirmed();
    let text = csv::render(&outcome);
    let measured = outcome.configurations.iter().filter(|one| !one.measured.is_empty()).count();
    let mut rows = text.lines();
    let columns = rows.next().unwrap().split(',').count();
    // The hostile name holds quotes and no comma, so a plain split stays true.
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.len(), (outcome.configurations.len() + measured) * 3);
    assert!(rows.iter().all(|row| row.split(',').count() == columns), "{}", rows[0]);
    assert!(rows.iter().filter(|row| row.contains(",measured,")).count() == measured * 3);
}

#[test]
fn markdown_is_a_table_and_nobody_elses_markup() {
    let text = markdown::render(&fixture::confirmed());
    assert!(!text.contains("<img") && !text.contains("</script>"), "{text}");
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let cells = table[0].matches('|').count();
    assert!(table.len() > 12 && table.iter().all(|row| row.matches('|').count() == cells), "{text}");
    println!("{text}");
}

#[test]
fn a_median_above_a_tail_is_explained_where_it_is_shown() {
    let with = |flush_p50_ms, flush_p99_ms, role: fn(&Outcome) -> usize| {
        let mut outcome = fixture::simulated();
        for one in &mut outcome.configurations {
            let summary = &mut one.summary;
            (summary.read_p99_ms, summary.flush_p99_ms) = (None, None);
        }
        let at = role(&outcome);
        let summary = &mut outcome.configurations[at].summary;
        (summary.flush_p50_ms, summary.flush_p99_ms) = (Some(flush_p50_ms), flush_p99_ms);
        text::render(&outcome, 100)
    };
    let recommended = |outcome: &Outcome| outcome.answer.as_ref().unwrap().recommended;
    let not_shown = |outcome: &Outcome| {
        let columns = s3b_tuner::report::columns::columns(outcome);
        (0..outcome.configurations.len()).find(|n| columns.iter().all(|column| column.configuration != *n)).unwrap()
    };
    let told = with(5390.0, Some(238.0), recommended);
    assert!(told.contains("at least 299 operations of the kind"), "{told}");
    for usual in
        [with(186.0, Some(189.0), recommended), with(186.0, None, recommended), with(5390.0, Some(238.0), not_shown)]
    {
        assert!(!usual.contains("299"), "{usual}");
    }
}
