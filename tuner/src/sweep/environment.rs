//! The machine and the command that a result came from.

use std::time::SystemTime;

use jiff::Timestamp;
use s3b_engine::clock;
use s3b_engine::settings::flags::{SECRETS, ValueKind};

use crate::outcome::Environment;

/// This machine; what cannot be told is empty or zero.
pub fn environment() -> Environment {
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Environment {
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_bytes: machine_memory(),
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}

/// Bytes of memory of this machine.
pub fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

/// Now, RFC 3339, UTC, to the second.
pub fn timestamp() -> String {
    let seconds = clock::wall().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_second(seconds as i64).map(|time| time.to_string()).unwrap_or_default()
}

/// Whether the value of this flag is never kept or shown.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|flag| matches!(flag.value, ValueKind::Secret(_)) && flag.is_called(name))
}

/// The command line as typed, with the values of secrets left out.
pub fn command_line(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let secret = |arg: &str| is_secret(arg.trim_start_matches('-'));
    let mut shown: Vec<String> = Vec::new();
    let mut hide_next = false;
    for arg in args {
        if std::mem::take(&mut hide_next) {
            shown.push("***".into());
            continue;
        }
        match arg.split_once('=') {
            Some((name, _)) if secret(name) => shown.push(format!("{name}=***")),
            _ => {
                hide_next = arg.starts_with('-') && secret(&arg);
                shown.push(arg);
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let typed = ["s3b-tuner", "sweep", "--access-key=abc", "--accessKey", "def", "--bucket", "b", "--seed=1"];
        let kept = command_line(typed.map(str::to_owned));
        assert_eq!(kept, ["s3b-tuner", "sweep", "--access-key=***", "--accessKey", "***", "--bucket", "b", "--seed=1"]);
    }

    #[test]
    fn this_machine_has_cores_memory_and_a_time() {
        let here = environment();
        assert!(here.cores > 0 && here.memory_bytes > 1 << 20 && !here.kernel.is_empty());
        assert!(timestamp().ends_with('Z') && timestamp().len() == 20, "{}", timestamp());
    }
}
