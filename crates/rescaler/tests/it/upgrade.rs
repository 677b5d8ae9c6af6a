//! What is in the form of older versions is read on, as docs/upgrading.md says: folders and keys in `testdata/upgrade/VERSION`. Configurations and
//! job documents of these versions are in crates/tidy/tests/it/upgrade.rs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use flink_stand_in::{Pace, Scenario, Server};
use tokio::process::{Child, Command};

/// For a run to come as far as the test needs it.
const PATIENCE: Duration = Duration::from_secs(120);
/// A policy that wants what the published document says.
const POLICY: &str = "cat > /dev/null; echo '{\"parallelism\": {\"work\": 3}}'";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/upgrade/0.1.0")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn start(folder: &Path, flink: &str) -> Child {
    let config = folder.join("run.toml");
    let command = serde_json::to_string(&["sh", "-c", POLICY]).unwrap();
    let text = format!(
        "job = \"job\"\n[epoch]\nlength_ms = 1000\nfirst_ms = 1000\nsample_interval_ms = 250\nwarm_up_ms = 0\n\
         [policy]\nname = \"external\"\n[policy.external]\ncommand = {command}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command.args(["run", "--flink", flink, "--listen", "off", "--config"]).arg(config);
    command.arg("--data").arg(folder.join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

async fn run(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescaler"));
    command.args(arguments).arg(path).stdin(Stdio::null()).output().await.unwrap()
}

/// Goal: the journals of rescaler and agent and the drop's data of an older version are read on: the change that was in progress is finished
/// and asked for once, its outcome is recorded with the old epoch, and the next epoch follows it.
#[tokio::test]
async fn an_old_folder_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    copy(&kept().join("run"), &folder.path().join("data"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
    let mut scenario = Scenario::load(Path::new(path)).unwrap();
    // From 2.0 on nothing is waited for before a change.
    scenario.version = Some("2.3.0".to_owned());
    let server = Server::start(scenario, Pace::Real).await.unwrap();
    let mut program = start(folder.path(), server.url());
    let journal = folder.path().join("data/job/decisions.jsonl");
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&journal).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let has_gone_on = || lines().iter().any(|line| line["epoch"] == 3);
    let waited = tokio::time::timeout(PATIENCE, server.wait_until(|_| has_gone_on())).await;
    assert!(waited.is_ok(), "{:?}", lines());
    drop(program.start_kill());
    let _ended = program.wait().await;

    let outcome = lines().into_iter().find(|line| line["outcome"].is_object()).unwrap();
    assert_eq!(
        (&outcome["of_epoch"], &outcome["outcome"]["generation"], &outcome["outcome"]["state"]),
        (&1.into(), &2.into(), &"running".into()),
        "{outcome}"
    );
    let epochs: Vec<u64> = lines().iter().filter_map(|line| line["epoch"].as_u64()).collect();
    assert_eq!(epochs[..3], [1, 2, 3]);
    let puts: Vec<String> =
        server.requests().into_iter().filter(|request| request.method == "PUT").map(|put| put.path).collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
    let explained = run(&["explain", "--epoch", "1", "--journal"], &journal).await;
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("work 2 → 3: chosen by the program"), "{explained}");
    assert!(explained.contains("Generation 2 was published"), "{explained}");
}

/// Goal: a key of an older version signs the same bytes in the same way, and its signature is accepted.
#[tokio::test]
async fn old_keys_sign_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let (key, document) = (folder.path().join("old.key"), kept().join("configs/jobs/nexmark.toml"));
    std::fs::copy(kept().join("keys/rescaler.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let published = folder.path().join("published");
    let (key, target) = (key.to_str().unwrap(), published.to_str().unwrap());
    let output =
        run(&["publish", "--signing-key-file", key, "--folder", target, "--document"], &document).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let signature = read(&kept().join("keys/nexmark.toml.sig"));
    assert_eq!(read(&published.join("nexmark.toml.sig")), signature);
    let public: job_config::PublicKey = read(&kept().join("keys/rescaler.key.pub")).trim().parse().unwrap();
    let bytes = std::fs::read(&document).unwrap();
    job_config::verify(&[public], &bytes, Some(signature.trim())).unwrap();
}
