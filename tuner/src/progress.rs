//! How far it is: a bar on a terminal, a plain line now and then elsewhere. Always on stderr.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines in all, whatever the length.
const PLAIN_LINES: u64 = 10;
/// Where the end is not known, a plain line after so many steps.
const PLAIN_EVERY: u64 = 5_000_000;

pub struct ProgressLine {
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    done: u64,
    /// Plain lines are for whole steps, not for the tenths of a count.
    every_step: bool,
}

impl ProgressLine {
    /// Counts many small things: a plain line at every tenth.
    pub fn counting(what: &str, total: u64) -> Self {
        Self::new(what, total, false)
    }

    /// Walks through a few long steps: a plain line for each.
    pub fn stepping(what: &str, total: u64) -> Self {
        Self::new(what, total, true)
    }

    /// Counts many small things whose number nobody knows: a plain line at every five million.
    pub fn open_ended(what: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "{prefix} {spinner} {human_pos} done, {per_sec}, {elapsed} gone";
            let style = ProgressStyle::with_template(template).expect("a constant template that is well formed");
            ProgressBar::new_spinner().with_style(style).with_prefix(what.to_owned())
        });
        Self { bar, what: what.to_owned(), total: 0, done: 0, every_step: false }
    }

    fn new(what: &str, total: u64, every_step: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "{prefix} {bar:30} {percent:>3} %  {pos}/{len}  {elapsed} gone, {eta} to go  {msg}";
            let style = ProgressStyle::with_template(template).expect("a constant template that is well formed");
            ProgressBar::new(total).with_style(style).with_prefix(what.to_owned())
        });
        Self { bar, what: what.to_owned(), total, done: 0, every_step }
    }

    /// One more is done; `now` says what comes next or was just done.
    pub fn step(&mut self, now: impl FnOnce() -> String) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                if self.every_step {
                    bar.set_message(now());
                }
                bar.inc(1);
            }
            None if self.total == 0 => {
                if self.done.is_multiple_of(PLAIN_EVERY) {
                    eprintln!("{}: {} done", self.what, self.done);
                }
            }
            None if self.every_step => eprintln!("{} {}/{}: {}", self.what, self.done, self.total, now()),
            None => {
                let tenth = |done: u64| done * PLAIN_LINES / self.total.max(1);
                if tenth(self.done) > tenth(self.done - 1) {
                    eprintln!("{}: {} of {}", self.what, self.done, self.total);
                }
            }
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
