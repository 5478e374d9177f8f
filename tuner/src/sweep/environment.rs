//! The machine that a result came from.

use std::time::SystemTime;

use jiff::Timestamp;
use s3b_engine::clock;

use crate::machine::machine_memory;
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

/// Now, RFC 3339, UTC, to the second.
pub fn timestamp() -> String {
    let seconds = clock::wall().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_second(seconds as i64).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_time() {
        let here = environment();
        assert!(here.cores > 0 && here.memory_bytes > 1 << 20 && !here.kernel.is_empty());
        assert!(timestamp().ends_with('Z') && timestamp().len() == 20, "{}", timestamp());
    }
}
