//! One real run, only with `scripts/test.sh --full`: about seventy seconds on real Kafka and Flink.

use std::path::{Path, PathBuf};
use std::process::Command;

use experiment::{Column, JobState, Summary, read_series};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The shipped experiment with a short load.
fn short(folder: &Path) -> PathBuf {
    let configs = tree().join("configs/experiments");
    let read = |name: &str| std::fs::read_to_string(configs.join(name)).unwrap();
    let load = read("loads/nexmark.toml").replace("duration_s = 60.0", "duration_s = 10.0");
    std::fs::write(folder.join("load.toml"), load).unwrap();
    let text = read("nexmark-low-scaled.toml")
        .replace("duration_s = 300", "duration_s = 40")
        .replace("warm_up_s = 30", "warm_up_s = 5")
        .replace("\"loads/nexmark.toml\"", "\"load.toml\"")
        .replace("\"documents/", &format!("\"{}/documents/", configs.display()))
        .replace("\"policies/", &format!("\"{}/policies/", configs.display()));
    let file = folder.join("short.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Goal: a run of the command leaves a complete series, a correct summary, the journal and the plots, and nothing
/// else; the totals match the load.
#[test]
#[ignore = "needs --full"]
fn a_short_run_keeps_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_experiment"))
        .arg("run")
        .arg(short(folder.path()))
        .arg("--out")
        .arg(&out)
        .current_dir(tree())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));

    let run = out.join("ds2-1");
    let summary: Summary =
        serde_json::from_str(&std::fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    assert!(summary.is_complete && summary.latency_known_s > 0.0, "{summary:?}");
    let (due, read) = (summary.due_records.unwrap(), summary.read_records.unwrap());
    // 800 event numbers per second for 10 s; the steps then continue with 2400 per second for 120 s. Of 53 numbers 49
    // are auctions or bids.
    assert!((72_000.0..=76_000.0).contains(&due), "{due} records were due");
    assert!(read > 0.3 * due && read <= due, "{read} of {due} records were read");
    assert!(summary.result_records.is_some_and(|results| results > 10.0), "{summary:?}");

    let rows = read_series(&run.join("series.csv")).unwrap();
    assert!(rows.len() > 25, "only {} rows", rows.len());
    assert!(
        rows.iter().any(|row| row.job == JobState::Running && row.get(Column::EventLatencyP99Ms).is_some())
    );
    assert!(std::fs::read_to_string(run.join("decisions.csv")).unwrap().lines().count() > 1);
    let kept = [
        "about.json",
        "experiment.toml",
        "conf/document.toml",
        "conf/rescaler.toml",
        "journal/decisions.jsonl",
    ];
    let plots = ["latency.svg", "rates.svg", "parallelism.svg", "backlog.svg"];
    for file in kept.iter().chain(&plots) {
        assert!(run.join(file).is_file(), "there is no {file}");
    }
    assert!(!run.join("cluster").exists(), "the cluster's folder is left over");
    assert!(out.join("comparison/comparison.csv").is_file());
}
