//! The stored scoreboard matches this commit to the last bit, for this project's policies.

use std::collections::BTreeSet;

use sim::contender::Contender;
use sim::scenario::Scenario;
use sim::scoreboard::{Row, row};

/// Checked in every test run: steps, spikes, skew, and a limit that no parallelism overcomes.
const QUICK: [&str; 4] = ["step", "spike", "few-key-groups", "external-ramp"];
/// Longest scenario checked with `--full`, in seconds.
const FULL_S: u32 = 3 * 3600;

fn stored() -> Vec<Row> {
    serde_json::from_str(include_str!("../../../../testdata/scoreboard.json")).unwrap()
}

fn check(is_checked: impl Fn(&Scenario) -> bool) {
    let rows = stored();
    let mut checked = 0;
    for scenario in Scenario::all().iter().filter(|scenario| is_checked(scenario)) {
        for policy in Contender::OURS {
            let found = row(scenario, policy).unwrap();
            let before = rows.iter().find(|row| row.scenario == scenario.name && row.policy == policy);
            assert_eq!(
                before,
                Some(&found),
                "make it anew: rescaler simulate scoreboard --markdown docs/scoreboard.md --json testdata/scoreboard.json"
            );
            checked += 1;
        }
    }
    assert!(checked > 0);
}

/// Goal: the rows of this project's policies in some scenarios are reproduced exactly.
#[test]
fn the_scoreboard_is_reproduced() {
    check(|scenario| QUICK.contains(&scenario.name.as_str()));
}

/// Goal: the same for every scenario of at most three hours.
#[test]
#[ignore = "needs --full"]
fn full_scoreboard_is_reproduced() {
    check(|scenario| scenario.duration_s <= FULL_S);
}

/// Goal: the stored scoreboard has every scenario and policy exactly once.
#[test]
fn the_scoreboard_is_complete() {
    let rows = stored();
    let pairs: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.scenario.as_str(), row.policy.as_str())).collect();
    assert_eq!(pairs.len(), rows.len());
    for scenario in Scenario::all() {
        for policy in Contender::ALL {
            assert!(pairs.contains(&(scenario.name.as_str(), policy.as_str())), "{} {policy}", scenario.name);
        }
    }
    assert_eq!(rows.len(), Scenario::all().len() * Contender::ALL.len());
}
