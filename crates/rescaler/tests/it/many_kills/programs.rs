//! The three programs as processes that can be killed, and the job that they scale.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flink_stand_in::Scenario;
use job_config::JobDocument;
use tokio::process::{Child, Command};

use crate::support::program;

/// The policy: one subtask less with every plan.
const POLICY: &str = "import json, sys\n\
    now = [o[\"parallelism\"] for o in json.load(sys.stdin)[\"operators\"] if o[\"name\"] == \"work\"][0]\n\
    json.dump({\"parallelism\": {\"work\": max(now - 1, 1)}}, sys.stdout)\n";

/// A program that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Drop,
    Agent,
    Rescaler,
}

/// The processes of one run.
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) drop_url: String,
    running: [Option<Child>; 3],
    kills: [u32; 3],
}

impl Programs {
    /// Writes the configurations.
    pub(super) fn new(folder: &Path, flink: &str, drop: SocketAddr) -> Self {
        let drop_url = format!("http://{drop}");
        let policy = folder.join("policy.py");
        std::fs::write(&policy, POLICY).unwrap();
        let path = |name: &str| folder.join(name);
        let write = |name: &str, text: String| std::fs::write(path(name), text).unwrap();
        write(
            "drop.toml",
            format!(
                "listen = \"{drop}\"\ndata = {:?}\n[limits]\nhistory = 1000\nreports_kept = 5000\n",
                path("drop")
            ),
        );
        write(
            "agent.toml",
            format!(
                "job = \"job\"\ndata = {:?}\n[drop]\nurl = \"{drop_url}\"\nwait_ms = 1000\ntimeout_ms = 3000\n\
                 [flink]\nurl = \"{flink}\"\nin_place_only = true\npoll_ms = 50\n[safety]\ngrace_ms = 0\n\
                 [retry]\nfirst_ms = 20\nlongest_ms = 300\n",
                path("agent")
            ),
        );
        write(
            "rescaler.toml",
            format!(
                "job = \"job\"\n[flink]\nurl = \"{flink}\"\n[drop]\nurl = \"{drop_url}\"\ntimeout_ms = 3000\n\
                 [placement]\nmode = \"drop\"\n[journal]\npath = {:?}\n\
                 [epoch]\nlength_ms = 400\nfirst_ms = 400\nsample_interval_ms = 100\nwarm_up_ms = 0\n\
                 [policy]\nname = \"external\"\n[policy.external]\ncommand = [\"python3\", {policy:?}]\n",
                journal(folder)
            ),
        );
        Self { folder: folder.to_owned(), drop_url, running: [const { None }; 3], kills: [0; 3] }
    }

    /// Starts a program; its log is appended to the one of its earlier lives.
    pub(super) fn start(&mut self, which: Program) {
        let (name, arguments): (&str, &[&str]) = match which {
            Program::Drop => ("config-drop", &[]),
            Program::Agent => ("config-agent", &[]),
            Program::Rescaler => ("rescaler", &["run", "--listen", "off"]),
        };
        let config = match which {
            Program::Drop => "drop.toml",
            Program::Agent => "agent.toml",
            Program::Rescaler => "rescaler.toml",
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{name}.log")))
            .unwrap();
        let mut command = Command::new(program(name));
        command.args(arguments).arg("--config").arg(self.folder.join(config)).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.running[which as usize] = Some(command.spawn().unwrap());
    }

    /// Kills a program. It must not have ended by itself.
    pub(super) async fn kill(&mut self, which: Program) {
        let Some(mut child) = self.running[which as usize].take() else { return };
        assert_eq!(child.try_wait().unwrap(), None, "{which:?} has ended: {}", self.log_of(which));
        child.start_kill().unwrap();
        child.wait().await.unwrap();
        self.kills[which as usize] += 1;
    }

    fn log_of(&self, which: Program) -> String {
        let name = ["config-drop", "config-agent", "rescaler"][which as usize];
        let log = std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap();
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    /// How often drop, agent and rescaler were killed.
    pub(super) fn kills(&self) -> (u32, u32, u32) {
        let [drop, agent, rescaler] = self.kills;
        (drop, agent, rescaler)
    }
}

/// The rescaler's journal.
pub(super) fn journal(folder: &Path) -> PathBuf {
    folder.join("rescaler/decisions.jsonl")
}

/// A job whose operator `work` has this parallelism, on a cluster with slots enough.
pub(super) fn scenario(width: u32) -> Scenario {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-control/scenario.json");
    let mut scenario = Scenario::load(Path::new(path)).unwrap();
    // Older versions wait between two changes.
    scenario.version = Some("2.3.0".to_owned());
    (scenario.taskmanagers[0].slots, scenario.taskmanagers[0].free) = (2 * width, width);
    let work = scenario.jobs[0].vertices.iter_mut().find(|vertex| vertex.name == "work").unwrap();
    work.parallelism = i64::from(width);
    scenario
}

/// The document of that job.
pub(super) fn first_document(width: u32) -> JobDocument {
    JobDocument::parse(&format!(
        "format = 1\njob = \"job\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nreason = \"first\"\n\
         restart_mode = \"in-place\"\n[parallelism]\ndefault = 2\nmax = 128\n[parallelism.operators]\nwork = {width}\n"
    ))
    .unwrap()
}
