//! Where bytes and requests went, and what they cost.

use super::markup::{absent, escape, figure, legend, section, table, wide};
use crate::outcome::Outcome;
use crate::report::columns::{self, monthly};
use crate::report::ledger::{self, Bill};

pub fn ledger(outcome: &Outcome) -> String {
    let lead =
        "Operations and bytes on their way: what the host asked, what the cache made of it, what the store was asked.";
    let Some(answer) = &outcome.answer else {
        return section("ledger", "Ledger", lead, &absent("Without an answer there is no ledger to show."));
    };
    let runs = columns::runs(outcome, answer.recommended);
    let mut columns: Vec<(String, crate::outcome::Ledger)> =
        outcome.workloads.iter().zip(runs).map(|(workload, run)| (workload.name.clone(), run.ledger)).collect();
    columns.push(("all".into(), ledger::sum(runs)));
    if let Some(default) = answer.default.filter(|n| *n != answer.recommended && *n < outcome.configurations.len()) {
        columns.push(("all, default".into(), ledger::sum(columns::runs(outcome, default))));
    }
    let head: Vec<String> =
        std::iter::once("recommended".to_owned()).chain(columns.iter().map(|(name, _)| name.clone())).collect();
    let mut rows = Vec::new();
    for part in &ledger::PARTS {
        rows.push(vec![part.name.to_owned()]);
        for (label, show) in part.lines {
            rows.push(std::iter::once((*label).to_owned()).chain(columns.iter().map(|(_, one)| show(one))).collect());
        }
    }
    section("ledger", "Ledger", lead, &table("Ledger", &head, &rows))
}

const PARTS: [(&str, &str); 3] = [("s1", "PUT and LIST"), ("s3", "GET and HEAD"), ("s4", "transfer and storage")];

pub fn costs(outcome: &Outcome) -> String {
    let lead = format!(
        "The workloads round the clock for a month, by their weights. Prices: {}, {}.",
        outcome.prices.name, outcome.prices.dated
    );
    let all = columns::columns(outcome);
    let bills: Vec<(String, Bill)> =
        all.iter().map(|column| (column.head(), ledger::bill(outcome, column.configuration))).collect();
    let most = bills.iter().map(|(_, bill)| bill.total()).fold(0.0, f64::max);
    if most <= 0.0 {
        return section("costs", "Costs", &lead, &absent("Nothing cost anything at these prices."));
    }
    let (width, left, right, row) = (880.0, 150.0, 90.0, 34.0);
    let mut out = String::new();
    for (n, (name, bill)) in bills.iter().enumerate() {
        let (y, mut x) = (n as f64 * row, left);
        let name_text = escape(name);
        out.push_str(&format!(
            "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{name_text}</text>",
            left - 10.0,
            y + 20.0
        ));
        for ((class, part), dollars) in PARTS.iter().zip([bill.puts, bill.gets, bill.rest]) {
            let wide = dollars / most * (width - left - right);
            let tip = escape(&format!("{name}: {part} {} a month", monthly(dollars)));
            out.push_str(&format!(
                "<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"20\"><title>{tip}</title></rect>",
                y + 6.0
            ));
            x += wide;
        }
        let total = escape(&monthly(bill.total()));
        out.push_str(&format!("<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{total}</text>", x + 8.0, y + 20.0));
    }
    let height = bills.len() as f64 * row + 24.0;
    let drawing = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Dollars a month\">{out}\
         <text class=\"label\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">$ per month</text></svg>",
        (left + width - right) / 2.0,
        height - 6.0
    );
    let keys = legend(PARTS.map(|(class, part)| (class, part.to_owned())));
    let drawing = figure("What a month costs", &wide(&drawing), &keys);
    let head = ["", "PUT and LIST", "GET and HEAD", "transfer and storage", "$ per month"].map(str::to_owned);
    let rows: Vec<Vec<String>> = bills
        .iter()
        .map(|(name, bill)| {
            let parts = [bill.puts, bill.gets, bill.rest, bill.total()].map(monthly);
            std::iter::once(name.clone()).chain(parts).collect()
        })
        .collect();
    section("costs", "Costs", &lead, &(drawing + &table("Costs", &head, &rows)))
}
