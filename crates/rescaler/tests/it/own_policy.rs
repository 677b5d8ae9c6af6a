//! The worked example of `docs/own-policy.md`, run as the guide says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `rescaler decide` makes of the example's answer to a snapshot.
fn decide(snapshot: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_rescaler"))
        .current_dir(tree())
        .args(["decide", "--policy", "external", "--program", "python3"])
        .args(["--program", "configs/policies/threshold.py", "--output", "json", "--snapshot"])
        .arg(snapshot)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn plan(decision: &Value) -> BTreeMap<String, u32> {
    serde_json::from_value(decision["parallelism"].clone()).unwrap()
}

/// Goal: on the recorded snapshot, which has no busy time, the operators that fall behind are widened, to twice at the most.
#[test]
fn the_recorded_snapshot_is_answered_as_the_guide_says() {
    let decision = decide(Path::new("testdata/decisions/nexmark-2018-04-24.json"));
    assert_eq!(decision["policy"], "external");
    assert_eq!(plan(&decision).into_values().collect::<Vec<_>>(), [24, 24, 24], "{decision}");
    assert!(decision["reasons"].to_string().contains("has a load of 2.17: 12 -> 24"), "{decision}");
}

/// Goal: between the thresholds and where nothing is known nothing changes; below, an operator is narrowed by half at the most;
/// never above its maximum.
#[test]
fn thresholds_are_kept() {
    let operator = |name: &str, busy: Option<f64>, kind: &str| json!({"name": name, "kind": kind, "parallelism": 8, "max_parallelism": 10, "busy_ratio": busy});
    let snapshot = json!({
        "schema": 1,
        "job": {"name": "job", "parallelism": 8, "max_parallelism": 128},
        "queries": [],
        "operators": [
            operator("busy", Some(0.95), "continuous"),
            operator("idle", Some(0.1), "window"),
            operator("right", Some(0.6), "join"),
            operator("unknown", None, "sink"),
            operator("single", Some(1.0), "all-window"),
        ],
        "task_managers": [],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), snapshot.to_string()).unwrap();
    let expected = [("busy".to_owned(), 10), ("idle".to_owned(), 4)];
    assert_eq!(plan(&decide(file.path())), BTreeMap::from(expected));
}
