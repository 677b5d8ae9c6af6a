//! The stored scoreboard matches this commit to the last bit, for this project's policies.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use sim::contender::Contender;
use sim::scenario::Scenario;
use sim::scoreboard::{Row, row};

/// Checked in every test run: steps, spikes, skew, and a limit that no parallelism overcomes.
const QUICK: [&str; 4] = ["step", "spike", "few-key-groups", "external-ramp"];

fn stored() -> Vec<Row> {
    serde_json::from_str(include_str!("../../../../testdata/scoreboard.json")).unwrap()
}

/// Computes the rows of these scenarios under these policies on all processors, and compares them with the stored ones.
fn check(scenarios: &[Scenario], policies: &[Contender]) {
    let (rows, next) = (stored(), AtomicUsize::new(0));
    let pairs: Vec<(&Scenario, Contender)> = scenarios
        .iter()
        .flat_map(|scenario| policies.iter().map(move |policy| (scenario, *policy)))
        .collect();
    assert!(!pairs.is_empty());
    let work = || {
        while let Some((scenario, policy)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = row(scenario, *policy).unwrap();
            let before = rows.iter().find(|row| row.scenario == scenario.name && row.policy == *policy);
            assert_eq!(
                before,
                Some(&found),
                "renew it: rescaler simulate scoreboard --markdown docs/scoreboard.md --json testdata/scoreboard.json"
            );
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
}

/// Goal: the rows of this project's policies in some scenarios are reproduced exactly.
#[test]
fn the_scoreboard_is_reproduced() {
    let mut scenarios = Scenario::all();
    scenarios.retain(|scenario| QUICK.contains(&scenario.name.as_str()));
    check(&scenarios, &Contender::OURS);
}

/// Goal: every row of every policy is reproduced exactly.
#[test]
#[ignore = "needs --full"]
fn full_scoreboard_is_reproduced() {
    check(&Scenario::all(), &Contender::ALL);
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
