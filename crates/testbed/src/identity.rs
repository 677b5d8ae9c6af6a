//! Identity of a process: its id together with its start time.
//!
//! A process id alone is ambiguous: the kernel reuses the number after the process has ended. All code that reads a
//! pid from a file therefore compares the start time as well, before it inspects or signals a process. Linux only
//! (`/proc`). Within a running testbed, processes are identified by their handles ([`crate::process::Process`]).

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process, safe against reuse of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// Returns the process that has this id now; `None` if there is none, or only a zombie.
    #[must_use]
    pub fn from_pid(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, start_ticks) = parse_stat(&stat)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, start_ticks })
    }

    /// Returns the current process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::from_pid(Pid::this().as_raw())
    }

    /// Whether this process (not another one with the same id) is still running.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::from_pid(self.pid) == Some(self)
    }

    /// Sends a signal if the process is still this one; returns `false` if it has ended.
    ///
    /// # Errors
    /// The kernel's error, mainly that the process belongs to another user.
    pub fn signal(self, signal: Signal) -> Result<bool, Errno> {
        if !self.is_alive() {
            return Ok(false);
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Parses state letter and start time. The command's name is in parentheses and may itself contain spaces and
/// parentheses, so fields are counted from the last closing one.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let fields = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some((state, start_ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_hostile_command_name() {
        let stat =
            "42 (a) R (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 5 18446744073709551615";
        assert_eq!(parse_stat(stat), Some(('S', 987_654)));
    }

    #[test]
    fn a_process_with_another_start_time_is_another_process() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        let other = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own };
        assert!(!other.is_alive());
        assert_eq!(other.signal(Signal::SIGKILL), Ok(false));
    }
}
