//! CPU use of other processes on this machine during a run, to detect disturbed runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

/// Files of /proc are small; a larger file is rejected.
const FILE_MAX_BYTES: u64 = 1 << 16;
/// Ticks per second of Linux's process times (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// Measures CPU use.
#[derive(Debug, Default)]
pub(crate) struct OtherProcesses {
    before: Option<Reading>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    at: Instant,
    /// Ticks of all processes and of the host's other guests.
    all: u64,
    /// Ticks of this process and its descendants.
    ours: u64,
}

impl OtherProcesses {
    /// Returns the cores that other processes used since the last call; `None` at first, and where it cannot be
    /// measured.
    pub(crate) fn cores(&mut self) -> Option<f64> {
        let reading = read(Path::new("/proc"), std::process::id(), Instant::now());
        let before = std::mem::replace(&mut self.before, reading)?;
        let now = reading?;
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        // An ended child's ticks are missing until its parent has waited for it.
        let ours = now.ours.saturating_sub(before.ours);
        let others = now.all.checked_sub(before.all)?.saturating_sub(ours);
        #[expect(clippy::cast_precision_loss, reason = "ticks of a second")]
        let cores = others as f64 / TICKS_PER_S / seconds;
        (seconds > 0.0).then_some(cores)
    }
}

fn read(proc: &Path, own: u32, at: Instant) -> Option<Reading> {
    let all = busy_ticks(&text(&proc.join("stat"))?)?;
    let mut processes = BTreeMap::new();
    for entry in std::fs::read_dir(proc).ok()?.filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between listing and reading.
        let Some(process) = text(&entry.path().join("stat")).and_then(|text| process(&text)) else {
            continue;
        };
        processes.insert(pid, process);
    }
    Some(Reading { at, all, ours: ticks_below(&processes, own) })
}

fn text(path: &Path) -> Option<String> {
    files::read_text(path, FILE_MAX_BYTES).ok()
}

/// Returns the ticks in use over all cores: user, nice, system, interrupts, and time stolen by the host.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = ticks[..] else {
        return None;
    };
    Some(user + nice + system + interrupts + soft_interrupts + stolen)
}

/// Parses the parent of a process, and the ticks of itself and its reaped children. The name may contain blanks and
/// brackets.
fn process(stat: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some((fields.get(1)?.parse().ok()?, ticks))
}

/// Returns the ticks of a process and its descendants.
fn ticks_below(processes: &BTreeMap<u32, (u32, u64)>, own: u32) -> u64 {
    let mut ours = BTreeSet::from([own]);
    loop {
        let children = processes.iter().filter(|(_, (parent, _))| ours.contains(parent)).map(|(pid, _)| *pid);
        let more: Vec<u32> = children.filter(|pid| !ours.contains(pid)).collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    ours.iter().filter_map(|pid| processes.get(pid)).map(|(_, ticks)| ticks).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the kernel's lines are parsed, whatever the name of a program; idle and waiting time is not counted.
    #[test]
    fn lines_of_the_kernel_are_read() {
        let stat = "cpu  100 1 20 5000 77 3 4 6 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_ticks(stat), Some(134));
        assert_eq!(busy_ticks("cpu  100 1\n"), None);
        let line = "12 (a ) b (c) S 7 12 12 0 -1 0 0 0 0 0 10 20 3 4 20 0 1 0 5";
        assert_eq!(process(line), Some((7, 37)));
    }

    /// Goal: grandchildren are counted as own processes; a neighbour and the parent are not.
    #[test]
    fn a_tree_is_counted_whole() {
        let processes =
            BTreeMap::from([(1, (0, 1)), (2, (1, 10)), (3, (2, 100)), (4, (3, 1000)), (5, (1, 10_000))]);
        assert_eq!(ticks_below(&processes, 2), 1110);
    }

    /// Goal: on this machine the first measurement is unknown, the second is plausible.
    #[test]
    fn the_machine_can_be_read() {
        let mut others = OtherProcesses::default();
        assert_eq!(others.cores(), None);
        let reading = read(Path::new("/proc"), std::process::id(), Instant::now());
        assert!(reading.is_some_and(|reading| reading.all >= reading.ours), "{reading:?}");
    }
}
