//! What this machine has.

/// Bytes of memory of this machine.
pub fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

/// Processor time of this process so far, in seconds.
pub fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_passes_while_something_is_computed() {
        let before = processor_seconds();
        let mut sum = 0u64;
        while processor_seconds() - before < 0.001 {
            (0..10_000u64).for_each(|n| sum = sum.wrapping_mul(31).wrapping_add(n));
        }
        assert!(sum != 1);
    }
}
