//! Tests of what changes are remembered to cost.

use super::*;
use crate::Operator;

/// A source at which so many records wait, in a job that runs since then.
fn snapshot(at_s: i64, since_s: i64, backlog: f64) -> Snapshot {
    let backlog_series = vec![(at_s * 1000, backlog)];
    let source = Operator {
        kind: Kind::Source,
        backlog_records: Some(backlog),
        backlog_series,
        ..Operator::default()
    };
    let job = crate::Job { running_since_ms: Some(since_s * 1000), ..crate::Job::default() };
    Snapshot { operators: vec![source], job, ..Snapshot::default() }
}

/// Goal: a change that was never measured is assumed to use up the bound, and to take no less than is usual; then what was measured
/// counts.
#[test]
fn an_unknown_outage_is_as_long_as_the_bound() {
    let mut changes = Changes::default();
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
    assert!(near(changes.outage_s(DOWNTIME_S, 60.0), 60.0) && near(changes.outage_s(DOWNTIME_S, 2.0), 7.0));
    Changes::push(&mut changes.outages_s, 12.0);
    assert!(near(changes.outage_s(4.0, 60.0), 12.0));
}

/// Goal: changes that wait for task managers do not count for those that need none, and the other way round.
#[test]
fn lead_times_with_and_without_new_task_managers_are_apart() {
    let mut changes = Changes::default();
    for (number, slots_after, lead_s) in [(1, 6, 3), (2, 12, 95), (3, 6, 4)] {
        let (asked_s, before_s) = (1000 * number, 1000 * (number - 1));
        changes.observe_start(&snapshot(asked_s, before_s, 0.0), asked_s * 1000);
        changes.published(&Published {
            at_ms: asked_s * 1000,
            slots_before: 4,
            slots_after,
            slots_free: Some(4.0),
            ..Published::default()
        });
        changes.observe_start(&snapshot(asked_s + lead_s, asked_s + lead_s, 0.0), (asked_s + lead_s) * 1000);
    }
    assert_eq!((changes.leads_s.clone(), changes.slot_leads_s.clone()), (vec![3.0, 4.0], vec![95.0]));
    assert!((changes.lead_s(true) - 95.0).abs() < 1e-9 && (changes.lead_s(false) - 4.0).abs() < 1e-9);
}

/// Goal: a widening that is waited for, and the one that follows it at once, count once, with all violations until they are over;
/// the narrowing that they take back is judged by them.
#[test]
fn a_widening_counts_until_it_has_helped() {
    let options = Options::with_bound(2000.0);
    let mut changes = Changes::default();
    let publish = |changes: &mut Changes, at_s: i64, slots_before, slots_after| {
        changes.published(&Published {
            at_ms: at_s * 1000,
            slots_before,
            slots_after,
            ..Published::default()
        });
    };
    // 6 of 10 slots saved for 970 s are more than 480 s of 10 slots, and less than with 130 violation seconds.
    publish(&mut changes, 0, 10, 4);
    for at_s in (5..1400_i64).step_by(5) {
        let since_s = [1240, 1100, 1].into_iter().find(|since_s| at_s >= *since_s).unwrap_or(0);
        let late = if (1000..1250).contains(&at_s) { 5000.0 } else { 0.0 };
        let now = snapshot(at_s, since_s, late);
        changes.observe_start(&now, at_s * 1000);
        changes.observe_load(if (980..1100).contains(&at_s) { 2300.0 } else { 1000.0 });
        changes.observe_latency(&options, &now, 1000.0, at_s * 1000);
        match at_s {
            970 => publish(&mut changes, at_s, 4, 8),
            1110 => publish(&mut changes, at_s, 8, 10),
            1330 => assert_eq!(changes.caught, Caught::default()),
            _ => {}
        }
    }
    assert_eq!(changes.widened_ms, None);
    // The load rose to 2300 records per second: what carries that was not caught.
    let caught_s = [2299.0, 2300.0].map(|capacity_per_s| changes.caught.violated_s(capacity_per_s));
    assert!((caught_s[0] - 250.0).abs() < 0.1 && caught_s[1] < 1e-9, "{caught_s:?}");
    assert!((changes.backoff - 2.0).abs() < 1e-9);
}

/// Goal: what arrives above the capacity while a change is carried out is not taken for its outage, although the load has risen
/// since the decision; as a job in place showed it: tripled load, 3.4 s until it runs again, 0.5 s of them down.
#[test]
fn a_rise_after_the_decision_is_no_outage() {
    let mut changes = Changes::default();
    changes.published(&Published {
        at_ms: 0,
        slots_before: 1,
        slots_after: 3,
        backlog: 100.0,
        arrival_per_s: 1214.0,
        capacity_per_s: 1113.0,
        ..Published::default()
    });
    for at_s in [4, 10, 20] {
        let mut now = snapshot(at_s, 0, if at_s < 10 { 4531.0 } else { 0.0 });
        now.job.running_since_ms = Some(3400);
        now.job.rescales =
            vec![crate::Rescale { at_ms: Some(3400), downtime_ms: Some(500), ..crate::Rescale::default() }];
        changes.running_since_ms.get_or_insert(-100_000);
        changes.observe_start(&now, at_s * 1000);
        changes.observe_backlog(&now, Some(2220.0), at_s * 1000);
    }
    let outage_s = changes.outage_s(0.5, 1.0);
    assert!((0.5..0.8).contains(&outage_s), "{outage_s}");
}
