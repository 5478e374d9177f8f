//! The score over two settings at once, everything else as recommended.

use super::markup::{escape, figure};
use crate::outcome::{Answer, Configuration, Outcome};
use crate::report::columns::monthly;
use crate::report::neighbours::with;

const LEFT: f64 = 74.0;
const TOP: f64 = 8.0;
const WIDTH: f64 = 880.0;
/// Of a row of cells.
const ROW: f64 = 36.0;
/// Between cells.
const GAP: f64 = 2.0;
/// Of the darkest to the lightest colour; the style sheet has one more.
const SHADES: f64 = 8.0;

/// The grid of cells: places of the axes and the width of a column.
struct Grid<'a> {
    outcome: &'a Outcome,
    across: usize,
    down: usize,
    column: f64,
    /// Best and worst score of all configurations.
    range: (f64, f64),
}

/// Block size against threads where they vary, else the first two settings that do; nothing without two.
pub fn heat(outcome: &Outcome, answer: &Answer) -> String {
    let varied = |n: &usize| outcome.axes[*n].values.len() > 1;
    let place = |name: &str| outcome.axis(name).filter(varied);
    let across = place("block-size").or_else(|| (0..outcome.axes.len()).find(varied));
    let down = place("block-cache-threads")
        .filter(|n| Some(*n) != across)
        .or_else(|| (0..outcome.axes.len()).find(|n| varied(n) && Some(*n) != across));
    let (Some(across), Some(down)) = (across, down) else { return String::new() };
    let scores = || outcome.configurations.iter().map(|one| one.summary.score).filter(|s| s.is_finite() && *s > 0.0);
    let range = (scores().fold(f64::INFINITY, f64::min), scores().fold(f64::MIN, f64::max));
    let column = (WIDTH - LEFT - 14.0) / outcome.axes[across].values.len() as f64;
    let grid = Grid { outcome, across, down, column, range };
    let (columns, rows) = (&outcome.axes[across], &outcome.axes[down]);
    let tall = TOP + ROW * rows.values.len() as f64;
    let (name, height) = (format!("{} x {}", columns.name, rows.name), tall + 42.0);
    let drawing = format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Heat map\">\
         <svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Score by {}\">{}{}\
         <text class=\"label\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"label\" text-anchor=\"middle\" transform=\"translate(11 {:.1}) rotate(-90)\">{}</text></svg></div>",
        escape(&name),
        grid.cells(answer),
        grid.edges(),
        (LEFT + WIDTH) / 2.0,
        height - 6.0,
        escape(&columns.name),
        tall / 2.0,
        escape(&rows.title)
    );
    let below =
        "<p class=\"aside\">Score, lower is better (1 is the best of all); ✕ breaks a demand; framed: recommended.</p>";
    figure(&format!("Score by {name}"), &drawing, below)
}

impl Grid<'_> {
    /// The recommended one's frame is drawn last, over its neighbours.
    fn cells(&self, answer: &Answer) -> String {
        let ours = &self.outcome.configurations[answer.recommended].values;
        let (mut cells, mut chosen) = (String::new(), String::new());
        for (row, down) in self.outcome.axes[self.down].values.iter().enumerate() {
            for (column, across) in self.outcome.axes[self.across].values.iter().enumerate() {
                let Some(one) =
                    with(self.outcome, answer, &[(self.across, across.as_str()), (self.down, down.as_str())])
                else {
                    continue;
                };
                let (x, y) = (LEFT + column as f64 * self.column, TOP + row as f64 * ROW);
                let (wide, tall) = (self.column - GAP, ROW - GAP);
                let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\"");
                cells.push_str(&self.cell(one, &format!("{across}, {down}"), &place, (x + wide / 2.0, y + tall / 2.0)));
                if *across == ours[self.across] && *down == ours[self.down] {
                    chosen = format!("<rect class=\"chosen\" {place}/>");
                }
            }
        }
        cells + &chosen
    }

    fn cell(&self, one: &Configuration, name: &str, place: &str, (x, y): (f64, f64)) -> String {
        let score = one.summary.score;
        let share = (score / self.range.0).ln() / (self.range.1 / self.range.0).ln();
        // Not a number where all scores are the same, infinite where it did not run.
        let shade = if share.is_nan() { 0 } else { (share * SHADES).round().clamp(0.0, SHADES) as u8 };
        let broken: String = one.breaks.iter().map(|broken| format!("; breaks {broken}")).collect();
        let cost = monthly(one.summary.dollars_per_month);
        let tip = escape(&format!("{name}: score {score:.2}, {cost} a month{broken}"));
        let mark = if one.breaks.is_empty() { "" } else { " ✕" };
        format!(
            "<g class=\"cell h{shade}\"><rect {place}/><text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">\
             {score:.2}{mark}</text><title>{tip}</title></g>",
            y + 4.0
        )
    }

    fn edges(&self) -> String {
        let (columns, rows) = (&self.outcome.axes[self.across].values, &self.outcome.axes[self.down].values);
        let mut out = String::new();
        for (n, value) in columns.iter().enumerate() {
            let (x, value) = (LEFT + (n as f64 + 0.5) * self.column, escape(value));
            let y = TOP + rows.len() as f64 * ROW + 14.0;
            out.push_str(&format!(
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{value}</text>"
            ));
        }
        for (n, value) in rows.iter().enumerate() {
            let (x, y, value) = (LEFT - 8.0, TOP + (n as f64 + 0.5) * ROW + 3.0, escape(value));
            out.push_str(&format!("<text class=\"tick\" text-anchor=\"end\" x=\"{x:.1}\" y=\"{y:.1}\">{value}</text>"));
        }
        out
    }
}
