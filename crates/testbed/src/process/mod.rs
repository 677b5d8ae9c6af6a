//! Child processes that cannot outlive their parent.
//!
//! Three guarantees, in order of severity:
//! * [`Process::stop`] ends a child by SIGTERM, then SIGKILL after a deadline;
//! * a dropped [`Process`] is killed and reaped before `drop` returns, so a failing test leaves no process behind;
//! * the children of a killed parent (`kill -9`) are killed by the kernel's parent-death signal.
//!
//! That signal fires when the *thread* that forked the child ends. Therefore one dedicated thread forks all children
//! of a [`Launcher`], and every [`Process`] keeps that thread alive. Each child leads its own process group: a
//! terminal's Ctrl-C reaches only the parent, which then ends its children in order.
//!
//! Restarts and readiness checks are not part of this module.

mod child;
mod launcher;

pub use child::Process;
pub use launcher::{LaunchError, Launcher, ProcessSpec};

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use std::path::Path;
    use std::time::Duration;

    use nix::sys::signal::Signal;
    use tokio::time::timeout;

    use super::*;
    use crate::identity::ProcessIdentity;

    fn shell(folder: &Path, script: &str) -> Process {
        let program = ProcessSpec::new("shell", "/bin/sh", folder.join("shell.log")).args(["-c", script]);
        Launcher::new().unwrap().launch(&program).unwrap()
    }

    async fn until_logged(process: &Process, text: &str) {
        let logged = async {
            while !std::fs::read_to_string(process.log_file()).unwrap().contains(text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), logged).await.expect("the line appears in the log");
    }

    #[tokio::test]
    async fn exit_status_and_both_streams_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo out; echo err >&2; exit 3");
        assert_eq!(process.wait().await.code(), Some(3));
        assert_eq!(std::fs::read_to_string(process.log_file()).unwrap(), "out\nerr\n");
        assert!(!process.signal(Signal::SIGKILL), "an ended process is never signalled");
    }

    #[tokio::test]
    async fn a_polite_child_ends_by_itself_and_a_deaf_one_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let polite = shell(folder.path(), "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&polite, "ready").await;
        assert_eq!(polite.stop(Duration::from_secs(20)).await.code(), Some(7));

        let folder = tempfile::tempdir().unwrap();
        let deaf = shell(folder.path(), "trap '' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&deaf, "ready").await;
        assert_eq!(deaf.stop(Duration::from_millis(100)).await.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_paused_child_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&process, "ready").await;
        assert!(process.pause());
        assert_eq!(process.stop(Duration::from_secs(20)).await.code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_kills_the_child_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "sleep 1000 & echo child $!; wait");
        until_logged(&process, "child").await;
        let log = std::fs::read_to_string(process.log_file()).unwrap();
        let grandchild =
            ProcessIdentity::from_pid(log.trim().strip_prefix("child ").unwrap().parse().unwrap()).unwrap();
        let own = process.identity();
        drop(process);
        assert!(!own.is_alive());
        // It was killed before the child was reaped; its new parent may take a moment to reap it. A zombie counts as
        // gone.
        let gone = async {
            while grandchild.is_alive() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("the grandchild is gone");
    }

    #[tokio::test]
    async fn a_missing_executable_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let program = ProcessSpec::new("nothing", "/nonexistent/program", folder.path().join("log"));
        let error = Launcher::new().unwrap().launch(&program).unwrap_err();
        assert_eq!(error.to_string(), "cannot start nothing (/nonexistent/program)");
    }
}
