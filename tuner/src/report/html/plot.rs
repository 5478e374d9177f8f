//! A chart as SVG: frame, grid, labels, and marks that tell their values when pointed at. Colours are classes, so that
//! light, dark and print are the style sheet's.

use super::markup::escape;
use super::scale::Scale;

const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

pub struct Plot {
    name: String,
    width: f64,
    height: f64,
    x: Scale,
    y: Scale,
    frame: String,
    marks: String,
}

impl Plot {
    /// `name` is what a screen reader says; the labels carry the units where the ticks do not.
    pub fn new(
        name: &str,
        (width, height): (f64, f64),
        (x, x_label): (Scale, &str),
        (y, y_label): (Scale, &str),
    ) -> Self {
        let mut plot = Self { name: name.to_owned(), width, height, x, y, frame: String::new(), marks: String::new() };
        plot.frame = plot.grid() + &plot.labels(x_label, y_label);
        plot
    }

    pub fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.width - LEFT - RIGHT)
    }

    pub fn y(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)
    }

    fn grid(&self) -> String {
        let (bottom, right) = (self.height - BOTTOM, self.width - RIGHT);
        let mut out = String::new();
        for value in self.y.ticks() {
            let (y, text) = (self.y(value), escape(&self.y.unit.tick(value)));
            out.push_str(&format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            out.push_str(&format!(
                "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                LEFT - 6.0,
                y + 3.5
            ));
        }
        let mut free = 0.0;
        for value in self.x.ticks() {
            let (x, text) = (self.x(value), self.x.unit.tick(value));
            out.push_str(&format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            // About seven units a letter; labels that would touch are left out.
            let half = text.chars().count() as f64 * 3.6;
            if x - half >= free && x + half <= self.width {
                free = x + half + 6.0;
                let (text, y) = (escape(&text), bottom + 15.0);
                out.push_str(&format!(
                    "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
                ));
            }
        }
        out + &format!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>")
    }

    fn labels(&self, x: &str, y: &str) -> String {
        let (middle, below) = ((LEFT + self.width - RIGHT) / 2.0, self.height - 6.0);
        let beside = (TOP + self.height - BOTTOM) / 2.0;
        let logarithmic = |scale: &Scale| if scale.log { ", log scale" } else { "" };
        format!(
            "<text class=\"label\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{below:.1}\">{}{}</text>\
             <text class=\"label\" text-anchor=\"middle\" transform=\"translate(11 {beside:.1}) rotate(-90)\">{}{}</text>",
            escape(x),
            logarithmic(&self.x),
            escape(y),
            logarithmic(&self.y)
        )
    }

    /// A dot at a place in values.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, tip: &str) {
        let (x, y, tip) = (self.x(x), self.y(y), escape(tip));
        self.marks.push_str(&format!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>{tip}</title></circle>"
        ));
    }

    /// A line through places in values, steps not smoothed.
    pub fn line(&mut self, points: &[(f64, f64)], class: &str, tip: &str) {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1} {:.1}", self.x(*x), self.y(*y))).collect();
        if path.len() > 1 {
            let title = if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) };
            self.marks.push_str(&format!("<path class=\"line {class}\" d=\"M{}\">{title}</path>", path.join("L")));
        }
    }

    /// Words at a place in values, to the right of it or, near the right end, to the left.
    pub fn words(&mut self, (x, y): (f64, f64), lift: f64, text: &str) {
        let (x, y) = (self.x(x), self.y(y));
        let (anchor, x) = if x > self.width * 0.62 { ("end", x - 9.0) } else { ("start", x + 9.0) };
        self.marks.push_str(&format!(
            "<text class=\"note\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + lift,
            escape(text)
        ));
    }

    pub fn finish(self) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{}{}</svg>",
            escape(&self.name),
            self.frame,
            self.marks
        )
    }
}
