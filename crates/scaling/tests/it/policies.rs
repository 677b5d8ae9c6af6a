//! What must hold for every policy, on jobs whose true rates are known.

use std::collections::BTreeMap;

use crate::world::{Hidden, KEY_GROUPS, World, arbitrary_world, task_manager, truth};
use proptest::prelude::*;
use scaling::cluster::Size;
use scaling::ds2::Ds2;
use scaling::external::{Answer, External};
use scaling::latency::Latency;
use scaling::limits::{Bounds, Limits};
use scaling::{Action, Constraints, Kind, LocalTime, Memory, Policy, Snapshot, ds2};

/// The policies, one by one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum TestedPolicy {
    Latency,
    Ds2,
    External,
}

const ALL: [TestedPolicy; 3] = [TestedPolicy::Latency, TestedPolicy::Ds2, TestedPolicy::External];

/// Without any wait, be it for time to pass or for a backlog to be worked off.
fn options() -> ds2::Options {
    ds2::Options {
        scale_down_interval_s: 0,
        stabilization_interval_s: 0,
        backlog_processing_lag_threshold_s: 0.0,
        ..ds2::Options::default()
    }
}

/// A program as a researcher would write it: twice what arrives, by what a subtask does now.
fn program(snapshot: &Snapshot) -> Result<Answer, String> {
    let wide = |operator: &scaling::Operator| {
        let (input, rate, busy) =
            (operator.input_rate_per_s?, operator.throughput_per_s?, operator.busy_ratio?);
        let wanted = (2.0 * input / (rate / (f64::from(operator.parallelism) * busy.max(1e-3)))).ceil();
        let parallelism = (1..=KEY_GROUPS).find(|p| f64::from(*p) >= wanted).unwrap_or(KEY_GROUPS);
        (operator.kind != Kind::AllWindow && rate > 0.0).then(|| (operator.name.clone(), parallelism))
    };
    let parallelism = snapshot.operators.iter().filter_map(wide).collect();
    Ok(Answer { parallelism, ..Answer::default() })
}

fn policy(who: TestedPolicy, snapshot: &Snapshot) -> Box<dyn Policy> {
    match who {
        TestedPolicy::Latency => Box::new(Latency::default()),
        TestedPolicy::Ds2 => Box::new(Ds2(options())),
        TestedPolicy::External => Box::new(External(program(snapshot))),
    }
}

fn planned(who: TestedPolicy, constraints: &Constraints, snapshot: &Snapshot) -> BTreeMap<String, u32> {
    scaling::plan(&*policy(who, snapshot), constraints, snapshot).parallelism
}

fn width(plan: &BTreeMap<String, u32>, snapshot: &Snapshot, name: &str) -> u32 {
    plan.get(name).copied().unwrap_or_else(|| snapshot.operator(name).unwrap().parallelism)
}

proptest! {
    #![proptest_config(crate::same_cases(256))]

    /// Goal: parallelism lies within [1, max], all-window operators stay at 1, and what is unknown is not changed.
    #[test]
    fn plans_stay_within_bounds(world in arbitrary_world()) {
        let snapshot = world.snapshot();
        for who in ALL {
            for (name, new) in planned(who, &Constraints::default(), &snapshot) {
                let index: usize = name.trim_start_matches("operator-").parse().unwrap();
                let operator = &world.operators[index];
                prop_assert!((1..=KEY_GROUPS).contains(&new), "{who:?} {name} {new}");
                prop_assert_ne!(operator.kind, Kind::AllWindow);
                prop_assert_ne!(new, operator.parallelism);
                match who {
                    // + 2 for a window rests on its latency alone.
                    TestedPolicy::Latency => prop_assert_ne!(operator.hidden, Hidden::Busy),
                    TestedPolicy::Ds2 | TestedPolicy::External => prop_assert_eq!(operator.hidden, Hidden::Nothing),
                }
            }
        }
    }

    /// Goal: an incomplete snapshot brings no plan.
    #[test]
    fn incomplete_metrics_plan_nothing(world in arbitrary_world()) {
        let mut snapshot = world.snapshot();
        snapshot.missing.push("backlog of operator-0".to_owned());
        for who in ALL {
            prop_assert!(planned(who, &Constraints::default(), &snapshot).is_empty());
        }
    }

    /// Goal: the same input gives the same plan, in whatever order the operators are listed.
    #[test]
    fn planning_twice_gives_the_same(world in arbitrary_world()) {
        let snapshot = world.snapshot();
        let mut reversed = snapshot.clone();
        reversed.operators.reverse();
        for who in ALL {
            let first = scaling::plan(&*policy(who, &snapshot), &Constraints::default(), &snapshot);
            let second = scaling::plan(&*policy(who, &snapshot), &Constraints::default(), &snapshot);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(&first.parallelism, &planned(who, &Constraints::default(), &reversed));
        }
    }

    /// Goal: once a plan has taken effect there is no further one. For `ds2` even with all waits over, as what a bottleneck
    /// hid is judged with it; `latency` has its wait.
    #[test]
    fn an_applied_plan_is_the_last(world in arbitrary_world()) {
        let constraints = Constraints::default();
        let hardly_busy = |operator: &scaling::Operator| operator.busy_ratio.is_some_and(|busy| busy < 0.001);
        prop_assume!(!world.snapshot().operators.iter().any(hardly_busy));
        let plan = planned(TestedPolicy::Ds2, &constraints, &world.snapshot());
        let applied = world.with(&plan);
        let again = planned(TestedPolicy::Ds2, &constraints, &applied.snapshot());
        prop_assert!(again.is_empty(), "{plan:?} then {again:?}");
        for who in ALL {
            let snapshot = world.snapshot();
            let (local_time, mut memory) = (LocalTime::utc(0), Memory::default());
            let policy = policy(who, &snapshot);
            let plan = scaling::plan(&*policy, &constraints, &snapshot);
            let applied = world.with(&plan.parallelism).snapshot();
            if who == TestedPolicy::Latency {
                policy.published(&mut memory, &plan, 0);
            }
            let decision = scaling::decide(&*policy, &constraints, &mut memory, &applied, local_time);
            prop_assert_eq!(decision.action, Action::None, "{:?}: {}", who, decision);
        }
    }

    /// Goal: more input never means less parallelism, for the same measured rates.
    #[test]
    fn more_input_never_narrows(world in arbitrary_world(), factor in 1.0..10.0_f64) {
        let snapshot = world.snapshot();
        let mut busier = snapshot.clone();
        for operator in &mut busier.operators {
            operator.arrival_rate_per_s = operator.arrival_rate_per_s.map(|rate| rate * factor);
            operator.backlog_records = operator.backlog_records.map(|records| records * factor);
            operator.input_rate_per_s = operator.input_rate_per_s.map(|rate| rate * factor);
        }
        for who in ALL {
            let (calm, busy) = (planned(who, &Constraints::default(), &snapshot), planned(who, &Constraints::default(), &busier));
            for operator in &snapshot.operators {
                let (calm, busy) = (width(&calm, &snapshot, &operator.name), width(&busy, &busier, &operator.name));
                prop_assert!(busy >= calm, "{who:?} {}: {busy} < {calm}", operator.name);
            }
        }
    }

    /// Goal: bounds, exclusions and the quota of slots hold whatever a policy wants, and never narrow for more input.
    #[test]
    fn limits_hold(world in arbitrary_world(), quota in 1_u32..200, factor in 1.0..10.0_f64) {
        let snapshot = world.snapshot();
        let mut constraints = Constraints::default();
        constraints.limits.quota_slots = Some(quota);
        constraints.limits.exclude.push(World::name(1));
        constraints.limits.operators.insert(World::name(2), Bounds { min: 3, max: 7 });
        let mut busier = snapshot.clone();
        for operator in &mut busier.operators {
            operator.arrival_rate_per_s = operator.arrival_rate_per_s.map(|rate| rate * factor);
            operator.input_rate_per_s = operator.input_rate_per_s.map(|rate| rate * factor);
        }
        for who in ALL {
            let (plan, more) = (planned(who, &constraints, &snapshot), planned(who, &constraints, &busier));
            prop_assert!(!plan.contains_key(&World::name(1)));
            for (name, new) in &plan {
                let today = snapshot.operator(name).unwrap().parallelism;
                prop_assert!(*new <= quota.max(today), "{who:?} {name} {new}");
            }
            if let Some(new) = plan.get(&World::name(2)) {
                prop_assert!((3..=7).contains(new) || *new == quota, "{new}");
            }
            for operator in &snapshot.operators {
                prop_assert!(width(&more, &busier, &operator.name) >= width(&plan, &snapshot, &operator.name));
            }
        }
    }
}

fn chain(arrival_per_s: f64) -> World {
    let operators = vec![truth(Kind::Source, 1e6, 1), truth(Kind::Continuous, 1000.0, 1)];
    World { operators, arrival_per_s, backlog: 0.0 }
}

fn with_cluster(mut snapshot: Snapshot, task_managers: u32, load: f64) -> Snapshot {
    let taken = snapshot.operators.iter().map(|operator| operator.parallelism).max().unwrap_or(0);
    let mut left = taken;
    snapshot.task_managers = (0..task_managers)
        .map(|number| {
            let used = left.min(2);
            left -= used;
            task_manager(&format!("tm-{number}"), 2, 2 - used, load)
        })
        .collect();
    snapshot
}

fn ds2_plan(constraints: &Constraints, snapshot: &Snapshot) -> scaling::Decision {
    scaling::plan(&Ds2(options()), constraints, snapshot)
}

/// Goal: without a say over task managers a plan fits into the slots that are there, and the reason says so; with one, it asks for
/// as many as the plan needs.
#[test]
fn plans_and_slots_fit_together() {
    let snapshot = with_cluster(chain(4000.0).snapshot(), 1, 0.1);
    let decision = ds2_plan(&Constraints::default(), &snapshot);
    assert_eq!(decision.parallelism["operator-1"], 2);
    assert_eq!((decision.cluster.slots_needed, decision.cluster.slots_present), (Some(2), Some(2)));
    assert!(decision.to_string().contains("only 2 slots"), "{decision}");
    let short = decision.short_of_slots().map(|short| (short.operator.as_str(), short.parallelism));
    assert_eq!(short, Some(("operator-1", 7)));
    let mut constraints = Constraints {
        size: Size { task_managers_max: Some(3), ..Size::default() },
        ..Constraints::default()
    };
    let decision = ds2_plan(&constraints, &snapshot);
    assert_eq!((decision.parallelism["operator-1"], decision.cluster.task_managers), (6, Some(3)));
    constraints.size.task_managers_max = Some(9);
    let decision = ds2_plan(&constraints, &snapshot);
    assert_eq!((decision.parallelism["operator-1"], decision.cluster.task_managers), (7, Some(4)));
    assert_eq!(decision.cluster.slots_needed, Some(7));
    constraints.size = Size { slots_on_demand: true, ..Size::default() };
    let decision = ds2_plan(&constraints, &snapshot);
    assert_eq!((decision.parallelism["operator-1"], decision.cluster.task_managers), (7, None));
    assert_eq!(decision.short_of_slots(), None);
}

/// Goal: a cluster that is too large is made smaller, but only after a while, not below what slots and load need, and not in an
/// excluded period.
#[test]
fn the_cluster_shrinks_after_a_while() {
    let snapshot = with_cluster(chain(500.0).snapshot(), 4, 0.2);
    let size = Size { task_managers_max: Some(4), scale_in_delay_s: 60, ..Size::default() };
    let mut constraints = Constraints { size, ..Constraints::default() };
    let at = |constraints: &Constraints, memory: &mut Memory, snapshot: &Snapshot, second: i64| {
        scaling::decide(&Ds2(options()), constraints, memory, snapshot, LocalTime::utc(second * 1000))
    };
    let mut first = Memory::default();
    let decision = at(&constraints, &mut first, &snapshot, 0);
    assert_eq!((decision.action, decision.cluster.scale_in), (Action::None, Some(true)));
    let later = |constraints: &Constraints, snapshot: &Snapshot, second| {
        at(constraints, &mut first.clone(), snapshot, second)
    };
    let second = later(&constraints, &snapshot, 60);
    assert_eq!((second.action, second.cluster.task_managers), (Action::Rescale, Some(2)));
    constraints.size.task_managers_min = Some(3);
    assert_eq!(later(&constraints, &snapshot, 60).cluster.task_managers, Some(3));
    let busy = with_cluster(chain(500.0).snapshot(), 4, 0.48);
    assert_eq!(later(&constraints, &busy, 60).cluster.task_managers, None);
    constraints.limits.excluded_periods.push("Thu 00:00-00:02".parse().unwrap());
    let during = later(&constraints, &snapshot, 60);
    assert_eq!((during.action, during.cluster.task_managers), (Action::None, None));
    assert_eq!(later(&constraints, &snapshot, 120).action, Action::Rescale);
}

/// Goal: in an excluded period a plan is withdrawn, told as rejected, and made as soon as the period is over.
#[test]
fn excluded_periods_withhold_plans() {
    let snapshot = chain(4000.0).snapshot();
    let limits = Limits { excluded_periods: vec!["00:00-01:00".parse().unwrap()], ..Limits::default() };
    let constraints = Constraints { limits, ..Constraints::default() };
    let (policy, mut memory) = (Ds2(options()), Memory::default());
    let held = scaling::decide(&policy, &constraints, &mut memory, &snapshot, LocalTime::utc(0));
    assert_eq!(held.action, Action::None);
    assert!(held.rejected.iter().any(|rejected| rejected.parallelism == 7), "{:?}", held.rejected);
    let later = scaling::decide(&policy, &constraints, &mut memory, &snapshot, LocalTime::utc(3_600_000));
    assert_eq!(later.parallelism["operator-1"], 7);
}

/// Goal: an answer with one impossible entry is refused as a whole, with the entry named.
#[test]
fn impossible_answers_are_refused() {
    let mut world = chain(4000.0);
    world.operators.push(truth(Kind::AllWindow, 1e6, 1));
    let snapshot = world.snapshot();
    let decide = |name: &str, parallelism: u32| {
        let plan = BTreeMap::from([("operator-1".to_owned(), 4), (name.to_owned(), parallelism)]);
        let answer = Ok(Answer { parallelism: plan, ..Answer::default() });
        scaling::plan(&External(answer), &Constraints::default(), &snapshot)
    };
    for (name, parallelism, expected) in [
        ("operator-9", 1, "unknown operator"),
        ("operator-0", 0, "outside 1..=128"),
        ("operator-0", 129, "outside 1..=128"),
        ("operator-2", 2, "all-window"),
    ] {
        let decision = decide(name, parallelism);
        assert_eq!(decision.action, Action::None);
        assert!(decision.to_string().contains(expected), "{decision}");
    }
    assert_eq!(decide("operator-0", 3).parallelism.len(), 2);
    let failed = Err("it ended with exit code 3".to_owned());
    let decision = scaling::plan(&External(failed), &Constraints::default(), &snapshot);
    assert!(decision.to_string().contains("exit code 3"), "{decision}");
}

/// A source that hands on one to one to a map that is far too narrow.
fn one_to_one() -> Snapshot {
    let mut snapshot = chain(8000.0).snapshot();
    snapshot.operators[0].parallelism = 2;
    snapshot.operators[1].parallelism = 2;
    snapshot.operators[1].edges[0].partitioning = scaling::Partitioning::Forward;
    snapshot
}

/// Goal: operators that hand records on one to one stay within the bounds of each of them: a configured maximum, the partitions of a
/// source; without a bound both get what the wider one needs.
#[test]
fn bounds_hold_for_groups() {
    let slots_on_demand = Size { slots_on_demand: true, ..Size::default() };
    let unbounded = Constraints { size: slots_on_demand, ..Constraints::default() };
    let mut snapshot = one_to_one();
    let widths = |constraints: &Constraints, snapshot: &Snapshot| {
        let plan = ds2_plan(constraints, snapshot).parallelism;
        ["operator-0", "operator-1"].map(|name| width(&plan, snapshot, name))
    };
    let free = widths(&unbounded, &snapshot);
    assert!(free[0] == free[1] && free[0] > 4, "{free:?}");
    let mut bounded = unbounded.clone();
    bounded.limits.operators.insert("operator-1".to_owned(), Bounds { min: 1, max: 3 });
    assert_eq!(widths(&bounded, &snapshot), [3, 3]);
    snapshot.operators[0].source_partitions = Some(4);
    assert_eq!(widths(&unbounded, &snapshot), [4, 4]);
    let told = ds2_plan(&unbounded, &snapshot).to_string();
    assert!(told.contains("bounded to 4"), "{told}");
    bounded.limits.exclude.push("operator-0".to_owned());
    assert_eq!(widths(&bounded, &snapshot), [2, 2]);
}

/// Goal: a name in the limits that no operator has is reported with the names that there are; a right one is not.
#[test]
fn misspelt_limits_are_reported() {
    let mut constraints = Constraints::default();
    constraints.limits.operators.insert("operator-1".to_owned(), Bounds::default());
    let snapshot = chain(700.0).snapshot();
    assert!(!ds2_plan(&constraints, &snapshot).to_string().contains("limits."));
    constraints.limits.operators.insert("oprator-1".to_owned(), Bounds::default());
    constraints.limits.exclude.push("map".to_owned());
    let told = ds2_plan(&constraints, &snapshot).to_string();
    assert!(
        told.contains("limits.operators: the job has no operator \"oprator-1\"")
            && told.contains("limits.exclude: the job has no operator \"map\""),
        "{told}"
    );
    assert!(told.contains("it has operator-0, operator-1"), "{told}");
}

/// Goal: a figure that cannot be true is unknown: nothing is narrowed or widened on it.
#[test]
fn impossible_figures_are_unknown() {
    let good = World { backlog: 1e6, ..chain(700.0) }.snapshot();
    for spoil in [
        |o: &mut scaling::Operator| o.backlog_records = Some(-9e18),
        |o: &mut scaling::Operator| o.arrival_rate_per_s = Some(-1.0),
        |o: &mut scaling::Operator| o.throughput_per_s = Some(f64::INFINITY),
        |o: &mut scaling::Operator| o.busy_ratio = Some(f64::NAN),
    ] {
        let (mut spoilt, mut unknown) = (good.clone(), good.clone());
        spoil(&mut spoilt.operators[0]);
        let found = spoilt.without_impossible_figures().into_owned();
        assert_ne!(found.operators[0], good.operators[0]);
        unknown.operators[0] = found.operators[0].clone();
        let plan = |snapshot: &Snapshot| ds2_plan(&Constraints::default(), snapshot);
        assert_eq!(plan(&spoilt), plan(&unknown));
    }
    assert_eq!(good.without_impossible_figures().into_owned(), good);
}
