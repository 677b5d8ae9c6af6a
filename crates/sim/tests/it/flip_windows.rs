//! The recorded windows for the comparison with Apache's library.

use std::path::Path;

use sim::contender::flip_windows;
use sim::scenario::Scenario;

/// Scenarios with different graphs, partitions and disturbances.
const SCENARIOS: [&str; 10] = [
    "step",
    "ramp",
    "spike",
    "skew",
    "join",
    "deep",
    "hot-partition",
    "window",
    "failing-rescales",
    "few-key-groups",
];
const SEED: u64 = 1;
/// Windows per scenario.
const MOST: usize = 20;
/// Interval between recorded windows.
const EVERY: usize = 23;

/// Goal: the recorded windows match the simulator's current decisions. `RENEW=1` records them again, and the Java
/// test beside `flink-autoscaler` then checks Apache's library against them.
#[test]
fn recorded_windows_are_of_today() {
    let all = Scenario::all();
    let mut text = String::new();
    for name in SCENARIOS {
        let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
        let windows = flip_windows(scenario, SEED, EVERY, MOST).unwrap();
        assert_eq!(windows.len(), MOST, "{name}");
        for window in windows {
            text += &(serde_json::to_string(&window).unwrap() + "\n");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/flip-windows.jsonl");
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let different = text.lines().zip(recorded.lines()).position(|(today, recorded)| today != recorded);
    assert!(
        text == recorded,
        "window {different:?} is another one today; set RENEW=1, run again, and run the tests of flink-autoscaler"
    );
}
