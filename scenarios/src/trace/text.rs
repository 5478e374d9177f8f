//! What all text formats share: one operation to a line, blank and comment lines passed over, errors by line.

use super::source::Source;
use super::{RawOp, RawOps, Skipped, TraceError};

/// One text format: what a line says.
pub trait LineFormat: Send {
    /// A line as it should be, for messages.
    fn example(&self) -> &'static str;

    /// What a line asks for, if anything. Never called with a blank or comment line.
    fn parse(&mut self, line: &[u8], skipped: &mut Skipped) -> Result<Option<RawOp>, String>;
}

/// Whether a line holds nothing for anybody.
pub fn is_blank(line: &[u8]) -> bool {
    line.first().is_none_or(|first| *first == b'#')
}

/// Whether a line holds a csv format's column names.
pub fn is_header(line: &[u8], names: &str) -> bool {
    let letters = line.iter().filter(|byte| !matches!(byte, b' ' | b'"')).map(u8::to_ascii_lowercase);
    letters.eq(names.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// A line without what editors and other systems put around it.
pub fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

pub struct Text {
    source: Source,
    line: Vec<u8>,
    format: Box<dyn LineFormat>,
    skipped: Skipped,
}

impl Text {
    pub fn new(source: Source, format: Box<dyn LineFormat>) -> Self {
        Self { source, line: Vec::new(), format, skipped: Skipped::default() }
    }
}

impl RawOps for Text {
    fn next(&mut self) -> Result<Option<RawOp>, TraceError> {
        while self.source.line(&mut self.line)? {
            let line = trimmed(&self.line);
            if is_blank(line) {
                continue;
            }
            match self.format.parse(line, &mut self.skipped) {
                Ok(None) => {}
                Ok(op) => return Ok(op),
                Err(what) => {
                    return Err(self.source.error(format!("{what}; a line looks like: {}", self.format.example())));
                }
            }
        }
        Ok(None)
    }

    fn skipped(&self) -> Skipped {
        self.skipped
    }
}
