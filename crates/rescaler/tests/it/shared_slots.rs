//! All jobs of a cluster under one quota of slots: the program beside the stand-in of Flink, over many epochs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flink_stand_in::{FlinkStandIn, Job, Pace, Scenario, Server};
use test_addresses::unused_address;
use tokio::process::{Child, Command};

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);
const QUOTA: i64 = 12;
const JOBS: [&str; 3] = ["hungry", "late", "quiet"];

/// A policy that wants as many subtasks as a file says which is named after the job.
const POLICY: &str = r#"
import json, sys
job = json.load(sys.stdin)["job"]["name"]
print(json.dumps({"parallelism": {"work": int(open(sys.argv[1] + "/" + job).read())}}))
"#;

/// The job of a scenario under another name, with ids of its own.
fn named(job: &Job, number: usize) -> Job {
    let mut job =
        Job { jid: (number + 1).to_string().repeat(32), name: JOBS[number].to_owned(), ..job.clone() };
    for vertex in &mut job.vertices {
        vertex.id.replace_range(..1, &number.to_string());
        for input in &mut vertex.inputs {
            input.id.replace_range(..1, &number.to_string());
        }
    }
    job
}

fn wants(folder: &Path, job: &str, subtasks: u32) {
    std::fs::write(folder.join(job), subtasks.to_string()).unwrap();
}

/// The slots of each job now: all its operators share them.
fn slots(stand_in: &FlinkStandIn) -> [i64; 3] {
    let parallelism = stand_in.parallelism_by_vertex(Pace::Real.now_ms());
    [0, 1, 2].map(|number: usize| {
        let own = parallelism.iter().filter(|(id, _)| id.starts_with(&number.to_string()));
        own.map(|(_, parallelism)| *parallelism).max().unwrap()
    })
}

/// The program beside the stand-in, whose three jobs have two subtasks each.
struct Setup {
    folder: tempfile::TempDir,
    data: PathBuf,
    server: Server,
}

impl Setup {
    /// `wanted`: by job, the subtasks that the policy wants.
    async fn new(wanted: [u32; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
        let mut scenario = Scenario::load(Path::new(path)).unwrap();
        // From 2.0 on Flink itself waits for a checkpoint; before, the agent keeps half a minute between two changes.
        scenario.version = Some("2.3.0".to_owned());
        scenario.jobs = (0..JOBS.len()).map(|number| named(&scenario.jobs[0], number)).collect();
        (scenario.taskmanagers[0].slots, scenario.taskmanagers[0].free) = (64, 58);
        for (job, subtasks) in JOBS.iter().zip(wanted) {
            wants(folder.path(), job, subtasks);
        }
        std::fs::write(folder.path().join("policy.py"), POLICY).unwrap();
        let server = Server::start(scenario, Pace::Real).await.unwrap();
        let data = folder.path().join("data");
        Self { folder, data, server }
    }

    fn start(&self, quota: &str) -> (Child, String) {
        let (config, folder) = (self.folder.path().join("run.toml"), self.folder.path().display());
        let text = format!(
            "job = \"job\"\n[epoch]\nlength_ms = 1000\nfirst_ms = 1000\nsample_interval_ms = 250\nwarm_up_ms = 0\n\
             [policy]\nname = \"external\"\n[policy.external]\ncommand = [\"python3\", \"{folder}/policy.py\", \"{folder}\"]\n\
             [quota]\nslots = {QUOTA}\n{quota}"
        );
        std::fs::write(&config, text).unwrap();
        let listen = unused_address().unwrap().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
        command.args(["run", "--flink", self.server.url(), "--all-jobs", "--listen", &listen]);
        command.arg("--config").arg(config).arg("--data").arg(&self.data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        (command.kill_on_drop(true).spawn().unwrap(), format!("http://{listen}"))
    }

    /// Waits until the jobs have so many slots; on the way the quota holds.
    async fn until(&self, wanted: [i64; 3]) {
        let reached = self.server.wait_until(|stand_in| {
            let now = slots(stand_in);
            assert!(now.iter().sum::<i64>() <= QUOTA, "{now:?}");
            now == wanted
        });
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "{:?} instead of {wanted:?}", self.server.with(|stand_in| slots(stand_in)));
    }
}

async fn page(url: &str, path: &str) -> String {
    reqwest::get(format!("{url}{path}")).await.unwrap().text().await.unwrap()
}

async fn ended(mut program: Child) {
    drop(program.start_kill());
    let _ended = program.wait().await;
}

/// Goal: a job takes what the others leave, up to its own maximum; when another one wants its share, the first gives slots back before
/// they are used again; the quota holds at every moment; journal, page, `explain` and metrics name it.
#[tokio::test]
async fn jobs_share_one_quota() {
    let setup = Setup::new([20, 1, 2]).await;
    let (program, url) = setup.start("[quota.jobs.\"h*\"]\nslots_max = 9\n");
    setup.until([9, 1, 2]).await;
    wants(setup.folder.path(), "late", 20);
    setup.until([6, 4, 2]).await;
    wants(setup.folder.path(), "late", 1);
    setup.until([9, 1, 2]).await;

    let metrics = page(&url, "/metrics").await;
    for line in [
        "rescaler_quota_slots 12",
        "rescaler_quota_share_slots{job=\"late\"} 4",
        "rescaler_quota_wanted_slots{job=\"hungry\"} 20",
    ] {
        assert!(metrics.contains(line), "no {line}: {metrics}");
    }
    let decisions = page(&url, "/api/v1/jobs/late/decisions?limit=200").await;
    assert!(decisions.contains("the quota of 12 slots leaves the job"), "{decisions}");
    ended(program).await;
    let file = setup.data.join("hungry/decisions.jsonl");
    let journal = std::fs::read_to_string(&file).unwrap();
    let mut given_back =
        journal.lines().filter(|line| line.contains("the job has 9 slots, but the quota of 12 slots"));
    let record: serde_json::Value = serde_json::from_str(given_back.next_back().unwrap()).unwrap();
    assert_eq!(record["decision"]["slots_granted"], 6, "{record}");
    let explained = Command::new(env!("CARGO_BIN_EXE_rescaler"))
        .args(["explain", "--epoch", &record["epoch"].to_string(), "--journal"])
        .arg(file)
        .output()
        .await
        .unwrap();
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("the quota of 12 slots leaves the job 6; its share is 4"), "{explained}");
}

/// Goal: a paused job and one in a dry run keep the slots that they have, and make no other give any back, until they are resumed.
#[tokio::test]
async fn paused_jobs_and_dry_runs_keep_what_they_have() {
    let setup = Setup::new([20, 20, 20]).await;
    for (job, positions) in [("late", (false, true)), ("quiet", (true, false))] {
        let folder = setup.data.join(job);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("{{\"paused\":{},\"dry_run\":{}}}", positions.0, positions.1);
        std::fs::write(folder.join("decisions.switches.json"), text).unwrap();
    }
    let (program, url) = setup.start("");
    let switch = async |path: &str, body: &'static str| {
        let url = format!("{url}/api/v1/jobs/{path}");
        let request = reqwest::Client::new().post(url).header("x-rescaler", "1").body(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    };
    setup.until([8, 2, 2]).await;
    switch("late/dry-run", "{\"enabled\":false}").await;
    setup.until([6, 4, 2]).await;
    switch("quiet/resume", "").await;
    setup.until([4, 4, 4]).await;
    ended(program).await;
}
