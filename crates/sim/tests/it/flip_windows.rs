//! The windows that are compared with Apache's library.

use std::path::Path;

use sim::contender::flip_windows;
use sim::scenario::Scenario;

/// Scenarios with different graphs, cuts and disturbances.
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
/// Windows of each scenario.
const MOST: usize = 20;
/// Of the windows that are decided of, every so many-th.
const EVERY: usize = 23;

/// Goal: the recorded windows are what the simulator decides of today; `RENEW=1` records them anew, and the Java test beside
/// `flink-autoscaler` then says whether Apache's library still agrees.
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
