//! The stored scoreboard matches this commit to the last bit, for this project's policies.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use sim::contender::Contender;
use sim::scenario::{Scenario, ScenarioError};
use sim::scoreboard::{Row, first_run, row};

use crate::is_whole;

/// Scenarios of which every run is repeated in every test run: few key groups, and a limit that no parallelism overcomes.
const QUICK: [&str; 2] = ["few-key-groups", "external-ramp"];
/// The longest scenarios of which the first run is, in seconds: the few longer ones take most of the time.
const FIRST_RUNS_MAX_S: u32 = 3 * 3600;

fn stored() -> Vec<Row> {
    serde_json::from_str(include_str!("../../../../testdata/scoreboard.json")).unwrap()
}

/// Finds out something about these scenarios under these policies, on all processors, and compares it with the stored rows.
fn check<T: PartialEq + Debug>(
    scenarios: &[Scenario],
    policies: &[Contender],
    find: impl Fn(&Scenario, Contender) -> Result<T, ScenarioError> + Sync,
    stored_as: impl Fn(&Row) -> T + Sync,
) {
    let (rows, next) = (stored(), AtomicUsize::new(0));
    let pairs: Vec<(&Scenario, Contender)> = scenarios
        .iter()
        .flat_map(|scenario| policies.iter().map(move |policy| (scenario, *policy)))
        .collect();
    assert!(!pairs.is_empty());
    let work = || {
        while let Some((scenario, policy)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = find(scenario, *policy).unwrap();
            let before = rows.iter().find(|row| row.scenario == scenario.name && row.policy == *policy);
            assert_eq!(
                before.map(&stored_as),
                Some(found),
                "{}, {policy}: renew it: rescaler simulate scoreboard --markdown docs/scoreboard.md --json testdata/scoreboard.json",
                scenario.name
            );
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
}

/// Goal: the rows of this project's policies are reproduced exactly: in the gate those of all scenarios (`RESCALER_TESTS=whole`); otherwise, and with
/// `--fast`, those of some, and the first run in every scenario of up to three hours.
#[test]
fn the_scoreboard_is_reproduced() {
    let mut scenarios = Scenario::all();
    if is_whole() {
        return check(&scenarios, &Contender::OURS, row, Row::clone);
    }
    scenarios.retain(|scenario| scenario.duration_s <= FIRST_RUNS_MAX_S);
    assert!(scenarios.len() >= 25);
    check(&scenarios, &Contender::OURS, first_run, |row| row.first);
    scenarios.retain(|scenario| QUICK.contains(&scenario.name.as_str()));
    check(&scenarios, &Contender::OURS, row, Row::clone);
}

/// Goal: every row of every policy is reproduced exactly.
#[test]
#[ignore = "needs --full"]
fn full_scoreboard_is_reproduced() {
    check(&Scenario::all(), &Contender::ALL, row, Row::clone);
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
