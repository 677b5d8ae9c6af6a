//! Tests of `state-probe run`: failing and recovering sources, checked at every output at once.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{get, probe, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use test_addresses::unused_address;

const SOON: Duration = Duration::from_secs(30);

/// A running probe with its output lines. Killed if the test fails.
struct Running {
    child: Child,
    samples: Receiver<String>,
    log: Receiver<String>,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(Ok(())) = line.map(|line| sender.send(line)) else { return };
        }
    });
    receiver
}

impl Running {
    fn start(config: &Path) -> Self {
        let address = unused_address().unwrap().to_string();
        let mut command = probe(&["run", "--listen", &address, "--config"]);
        command.arg(config).env("RUST_LOG", "info").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (samples, log) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, samples, log, address }
    }

    /// Waits for the next log line with this text; returns it with the lines before.
    #[track_caller]
    fn logged(&self, text: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let line =
                self.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("{text:?} is not logged: {before:?}"));
            before.push(line);
            if before.last().unwrap().contains(text) {
                return before;
            }
        }
    }

    fn page(&self, path: &str) -> Option<String> {
        get(&self.address, path)
    }
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

const LABELS: &str = "{job=\"my job\",name=\"hdfs\",source=\"command\"}";

impl Running {
    /// Waits until `/metrics` has this line.
    #[track_caller]
    fn shows(&self, line: &str) {
        until(line, || self.page("/metrics").filter(|page| page.lines().any(|found| found == line)));
    }

    /// Waits until the named source fails for this reason: its values disappear, the other source continues.
    #[track_caller]
    fn fails(&self, reason: &str) {
        self.shows(&format!("state_probe_up{LABELS} 0"));
        let page = self.page("/metrics").unwrap();
        assert!(!page.contains(&format!("state_probe_size_bytes{LABELS}")), "{page}");
        let shown: serde_json::Value = until(reason, || {
            let shown: serde_json::Value = serde_json::from_str(&self.page("/samples")?).ok()?;
            shown[0]["error"].as_str().is_some_and(|error| error.contains(reason)).then_some(shown)
        });
        assert!(shown[0]["sample"].is_null() && shown[1]["sample"]["size_bytes"].is_u64(), "{shown}");
    }
}

/// A probe of a command in `du.sh` and of the folder itself, with all outputs, and the future address of carbon.
fn start_with_outputs(folder: &Path) -> (Running, SocketAddr) {
    let carbon = unused_address().unwrap();
    let text = format!(
        "job = \"my job\"\ninterval_ms = 100\n\
         [[source]]\nkind = \"command\"\nname = \"hdfs\"\ncommand = [\"sh\", \"{folder}/du.sh\"]\ntimeout_ms = 1500\n\
         [[source]]\nkind = \"local\"\npath = \"{folder}\"\n\
         [graphite]\nenabled = true\naddress = \"{carbon}\"\nbackoff_ms = 20\nbackoff_max_ms = 50\n\
         [host]\nenabled = true\nname = \"h1\"\ninterval_ms = 100\n",
        folder = folder.display(),
    );
    std::fs::write(folder.join("probe.toml"), text).unwrap();
    (Running::start(&folder.join("probe.toml")), carbon)
}

/// Goal: each kind of failure of a source gives one line of reason and no value on any output, and the other source
/// continues; after recovery the values return.
#[test]
fn a_source_fails_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("du.sh");
    write(&script, "echo 10 30 /x");
    let (probe, _) = start_with_outputs(folder.path());
    probe.shows(&format!("state_probe_size_bytes{LABELS} 10"));
    for (failing, reason) in [
        (
            "echo 10 30 /x; echo 'du: Call failed on connection exception' >&2; exit 1",
            "Call failed on connection",
        ),
        ("echo 10 30 /x; echo 'du: `/x: No such file or directory' >&2; exit 1", "No such file or directory"),
        ("echo 'du: Permission denied: user=eve' >&2; exit 1", "Permission denied: user=eve"),
        ("echo 10 30 /x; sleep 1000", "did not exit within 1.5s"),
        ("echo kein Platz", "line 1 is not a row"),
    ] {
        write(&script, failing);
        probe.fails(reason);
        write(&script, "echo 20 60 /x");
        probe.shows(&format!("state_probe_size_bytes{LABELS} 20"));
        let told = probe.logged("figures again");
        let reasons: Vec<_> = told.iter().filter(|line| line.contains("no figures")).collect();
        assert!(reasons.len() == 1 && reasons[0].contains(reason), "one line each: {told:?}");
    }
    // No sample results from a failure.
    let samples: Vec<serde_json::Value> =
        probe.samples.try_iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    let of_hdfs = || samples.iter().filter(|sample| sample["name"] == "hdfs");
    assert!(of_hdfs().count() > 0);
    assert!(of_hdfs().all(|sample| [10, 20].contains(&sample["size_bytes"].as_u64().unwrap())));
    assert!(samples.iter().any(|sample| sample["source"] == "host" && sample["memory_total_bytes"].is_u64()));
    assert_eq!(probe.page("/healthz").as_deref(), Some("ok\n"));
}

/// Goal: without carbon at the start one line is logged, sampling continues, and buffered lines arrive when it comes
/// up.
#[test]
fn carbon_comes_late_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("du.sh");
    write(&script, "echo 10 30 /x");
    let (probe, address) = start_with_outputs(folder.path());
    probe.shows(&format!("state_probe_size_bytes{LABELS} 10"));
    let told = probe.logged("carbon:");
    assert!(told.last().unwrap().contains("cannot connect"), "{told:?}");
    write(&script, "echo 20 60 /x");
    probe.shows(&format!("state_probe_size_bytes{LABELS} 20"));
    probe.shows("state_probe_graphite_connected 0");

    let carbon = lines(TcpListener::bind(address).unwrap().accept().unwrap().0);
    let told = probe.logged("connected to carbon");
    assert!(!told.iter().any(|line| line.contains("carbon:")), "one line for all attempts: {told:?}");
    let series = |wanted: &str| loop {
        let line = carbon.recv_timeout(SOON).unwrap();
        if line.starts_with(wanted) {
            return line;
        }
    };
    assert!(series("rescaler.my-job.state.hdfs.size_bytes ").contains(" 10 "), "the oldest line first");
    series("rescaler.my-job.state.local.files ");
    series("rescaler.hosts.h1.cpu_ratio ");
    series("rescaler.my-job.state.hdfs.size_bytes 20 ");
}

/// Goal: at shutdown the probe ends immediately with exit code 0, and a hanging command is killed with it.
#[test]
fn it_ends_with_its_commands_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (config, pid) = (folder.path().join("probe.toml"), folder.path().join("pid"));
    let text = format!(
        "[[source]]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"echo $$ > {}; sleep 1000\"]\n",
        pid.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut probe = Running::start(&config);
    let hanging: i32 = until("the command runs", || std::fs::read_to_string(&pid).ok()?.trim().parse().ok());
    kill(Pid::from_raw(probe.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let status = until("the probe ends", || probe.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    until("the command ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{hanging}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z')).then_some(())
    });
}
