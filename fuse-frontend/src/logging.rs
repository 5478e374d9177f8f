//! Where log lines go: stderr in the foreground, syslog in the background, a file where there is no syslog. Also those of
//! libraries that know `log` alone, fuser's above all.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

enum Target {
    Stderr,
    Syslog(Mutex<Logger<LoggerBackend, Formatter3164>>),
    File(Mutex<File>),
}

struct Log(Target);

/// fuser's top module warns of each call that a file system does not have, such as extended attributes. The kernel asks
/// once, is told so and asks no more: no news to anybody. Its other modules warn of what went wrong.
const FUSER: &str = "fuser=error,fuser::mnt=warn,fuser::reply=warn,fuser::request=warn,fuser::session=warn";

/// What to log.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    pub debug: bool,
    pub debug_http: bool,
    pub quiet: bool,
}

impl Detail {
    fn filter(self) -> EnvFilter {
        let level = match self {
            Self { debug: true, .. } => "debug",
            Self { quiet: true, .. } => "warn",
            _ => "info",
        };
        let mut filter = format!("warn,{FUSER},s3b={level},s3b_engine={level}");
        if self.debug_http {
            filter.push_str(",s3b_engine::s3=trace");
        }
        EnvFilter::new(filter)
    }
}

/// Logs to stderr from now on.
pub fn to_stderr(detail: Detail) {
    install(Target::Stderr, detail);
}

/// Logs to syslog from now on, or to a file in `fallback` where no syslog answers; then answers that file. Warnings
/// also go to stderr while it is still the terminal.
pub fn to_syslog(detail: Detail, fallback: &Path) -> io::Result<Option<PathBuf>> {
    let formatter = Formatter3164 {
        facility: Facility::LOG_DAEMON,
        hostname: None,
        process: "s3b".into(),
        pid: std::process::id(),
    };
    if let Ok(logger) = syslog::unix(formatter) {
        install(Target::Syslog(Mutex::new(logger)), detail);
        return Ok(None);
    }
    let path = fallback.join("s3b.log");
    let file = OpenOptions::new().append(true).create(true).open(&path)?;
    install(Target::File(Mutex::new(file)), detail);
    Ok(Some(path))
}

fn install(target: Target, detail: Detail) {
    // Also bridges `log`. Only a second installation fails, and there is none in a process.
    let _ = tracing_subscriber::registry().with(Log(target).with_filter(detail.filter())).try_init();
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        // A log that cannot be written has nowhere to complain.
        let _ = match &self.0 {
            Target::Stderr => to_terminal(level, &line.0),
            Target::Syslog(logger) => {
                let mut logger = logger.lock();
                let sent = match level {
                    Level::ERROR => logger.err(&line.0),
                    Level::WARN => logger.warning(&line.0),
                    Level::INFO => logger.info(&line.0),
                    _ => logger.debug(&line.0),
                };
                drop(logger);
                sent.map_err(io::Error::other).and(also_to_terminal(level, &line.0))
            }
            Target::File(file) => {
                let mut time = String::new();
                let _ = SystemTime.format_time(&mut Writer::new(&mut time));
                // One write per line: several mounts append to this file.
                let text = format!("{time} s3b[{}] {level} {}\n", std::process::id(), line.0);
                file.lock().write_all(text.as_bytes()).and(also_to_terminal(level, &line.0))
            }
        };
    }
}

fn to_terminal(level: Level, line: &str) -> io::Result<()> {
    match level {
        Level::ERROR => writeln!(io::stderr(), "s3b: error: {line}"),
        Level::WARN => writeln!(io::stderr(), "s3b: warning: {line}"),
        Level::INFO => writeln!(io::stderr(), "s3b: {line}"),
        _ => writeln!(io::stderr(), "s3b: {level} {line}"),
    }
}

fn also_to_terminal(level: Level, line: &str) -> io::Result<()> {
    if level <= Level::WARN { to_terminal(level, line) } else { Ok(()) }
}

/// An event's message, then its other fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Of libraries that use `log`: where in their source a message comes from.
        if field.name().starts_with("log.") {
            return;
        }
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, "{}{}={value:?}", if self.0.is_empty() { "" } else { " " }, field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one test of this program that installs a log.
    #[test]
    fn words_of_libraries_reach_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = Target::File(Mutex::new(File::create(&path).unwrap()));
        install(file, Detail { debug: true, debug_http: false, quiet: true });
        log::warn!(target: "fuser::session", "the kernel said {}", 7);
        log::warn!(target: "fuser", "[Not Implemented] getxattr");
        log::debug!(target: "fuser::request", "every single request");
        tracing::debug!(of = "ours", "also");
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().filter_map(|line| line.split_once("] ").map(|(_, words)| words)).collect();
        assert_eq!(lines, ["WARN the kernel said 7", "DEBUG also of=\"ours\""]);
    }
}
