//! The golden results are what the simulator gives, and every state of them has been explained.

use s3b_benches::golden;

#[test]
fn simulations_give_the_golden_results() {
    let (found, folder) = (golden::run().unwrap(), golden::folder());
    let lines = golden::differences(&found, &folder).unwrap();
    assert!(
        lines.is_empty(),
        "figure, old -> new:\n{}\nIf that is meant to be, run `{}` and say why in {}",
        lines.join("\n"),
        golden::REWRITE,
        golden::DECISIONS
    );
}

#[test]
fn the_golden_results_are_explained() {
    let hash = golden::hash(&golden::folder()).unwrap();
    let page = s3b_testkit::workspace_root().join(golden::DECISIONS);
    let text = std::fs::read_to_string(&page).unwrap();
    let explained = text.lines().any(|line| line.contains(&format!("`{hash}`")) && line.len() > hash.len() + 30);
    assert!(explained, "{} has no line for `{hash}`: what changed in the golden results, and why?", golden::DECISIONS);
}
