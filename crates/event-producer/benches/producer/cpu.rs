//! CPU time of this process, and of its threads by name.

use std::fs;

use nix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process, also of those that have ended, ns.
pub(crate) fn process_ns() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

/// CPU time of the living threads whose name begins so, ns (Linux: the first field of `schedstat`).
pub(crate) fn threads_ns(name: &str) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named =
        tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name)));
    let on_cpu = named.filter_map(|task| fs::read_to_string(task.join("schedstat")).ok());
    on_cpu.map(|text| text.split(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}
