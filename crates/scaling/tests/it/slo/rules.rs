//! Policy `slo` on known jobs: one step up, one down, little to go on, failures, options.

use super::*;

/// Goal: a load that triples is answered by one widening in the first epochs, and after it has fallen to a third for long enough by one
/// narrowing.
#[test]
fn a_step_up_and_down_is_two_changes() {
    let mut simulated = SimulatedChain::new(chain(), 7);
    simulated.run(1200, 15_000.0, 0.05);
    simulated.run(1200, 45_000.0, 0.05);
    simulated.run(3600, 15_000.0, 0.05);
    let steps: Vec<(i64, u32, u32)> =
        simulated.changes.iter().map(|(at_s, before, after, _)| (*at_s, *before, *after)).collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!((1200..=1215).contains(&steps[0].0) && steps[0].2 >= simulated.needed(45_000.0), "{steps:?}");
    assert!(steps[1].0 >= 2400 + 480 && steps[1].2 <= 6, "{steps:?}");
    let late = simulated.seconds.iter().filter(|(.., backlog, _)| *backlog > BOUND_S * 45_000.0).count();
    assert!(late <= 20, "{late} s were late");
}

/// Goal: a start of the job that is told some milliseconds earlier or later each time is the same start.
#[test]
fn a_start_that_is_told_inexactly_is_the_same() {
    let changes = [0, 1, 300].map(|start_error_ms| {
        let mut simulated = SimulatedChain::new(chain(), 7);
        simulated.start_error_ms = start_error_ms;
        simulated.run(600, 15_000.0, 0.05);
        simulated.run(600, 45_000.0, 0.05);
        simulated.run(1800, 15_000.0, 0.05);
        simulated
            .changes
            .into_iter()
            .map(|(at_s, before, after, _)| (at_s, before, after))
            .collect::<Vec<_>>()
    });
    assert!(changes[0].len() == 2 && changes[1] == changes[0] && changes[2] == changes[0], "{changes:?}");
}

/// Goal: a load that rises while the tasks of a new job still warm up is answered within ten seconds, by what they take so far.
#[test]
fn a_step_is_answered_while_tasks_warm_up() {
    let mut simulated = SimulatedChain::new(chain(), 9);
    simulated.started_s = 0;
    let warm: Vec<f64> = simulated.operators.iter().map(|operator| operator.rate_per_s).collect();
    for epoch in 0..20 {
        let (now_s, warmth) = (epoch * EPOCH_S, 0.5 + 0.025 * f64::from(u32::try_from(epoch).unwrap()));
        let operators = simulated.operators.iter_mut();
        operators.zip(&warm).for_each(|(operator, warm)| operator.rate_per_s = warm * warmth);
        simulated.run(EPOCH_S, if now_s < 60 { 9000.0 } else { 36_000.0 }, 0.05);
    }
    let (at_s, .., decision) = simulated.changes.first().expect("the job is widened");
    assert!((60..=70).contains(at_s), "{at_s}: {decision}");
    assert!(simulated.slots() >= simulated.needed(36_000.0), "{decision}");
}

/// Goal: where task managers are known to start slowly, their number is not decided for a moment of a rise, but at its end, and then once.
/// Where slots are free nothing waits.
#[test]
fn slots_that_come_late_are_asked_for_once() {
    let rise = |second: i64| 9000.0 + 1350.0 * f64::from(i32::try_from((second - 120).clamp(0, 20)).unwrap());
    let decided = |slots_free: u32, seed: u64, noise: f64| {
        let mut simulated = SimulatedChain::new(chain(), seed);
        simulated.slots_free = Some(slots_free);
        simulated.run(60, 9000.0, noise);
        let mut memory = serde_json::to_value(&simulated.memory).unwrap();
        memory["slo"]["changes"]["slot_leads_s"] = serde_json::json!([90.0]);
        simulated.memory = serde_json::from_value(memory).unwrap();
        let mut waited = 0;
        while simulated.changes.is_empty() && simulated.now_s < 200 {
            let decision = simulated.epoch_along(rise, noise);
            waited += i32::from(decision.is_some_and(|it| it.reasons.join(" ").contains("still rising")));
        }
        let (at_s, .., decision) = simulated.changes.first().expect("the job is widened").clone();
        // What is wanted: the cluster of the test does not grow.
        let cheapest = decision.candidates.iter().find(|candidate| candidate.is_cheapest);
        (at_s, cheapest.map(|candidate| candidate.slots), waited, simulated.needed(36_000.0), decision)
    };
    let (early_s, _, waited, ..) = decided(40, 11, 0.02);
    assert_eq!(waited, 0);
    let (late_s, slots, waited, needed, decision) = decided(0, 11, 0.02);
    assert!(waited >= 1 && early_s < late_s && late_s <= 155, "{waited} {early_s} {late_s}: {decision}");
    assert!(slots.is_some_and(|slots| slots >= needed), "{slots:?} of {needed}: {decision}");
    // Two seconds that happen to be quiet are not the end.
    for seed in 0..24 {
        let (_, slots, _, needed, decision) = decided(0, seed, 0.15);
        assert!(slots.is_some_and(|slots| slots >= needed), "{slots:?} of {needed}: {decision}");
    }
}

/// Goal: a job that has just become saturated is seen to carry what it then does. The readings of the quieter time before, of which the
/// window is still full, take nothing from it.
#[test]
fn quiet_readings_do_not_lower_the_capacity() {
    for seed in 0..8 {
        let operators = vec![
            TrueOperator::new("source", Kind::Source, 5000.0, 1),
            TrueOperator::new("window", Kind::Continuous, 1200.0, 1),
        ];
        let mut simulated = SimulatedChain::new(operators, seed);
        simulated.run(120, 700.0, 0.02);
        while simulated.changes.is_empty() {
            let decision = simulated.epoch(2500.0, 0.02);
            assert!(simulated.now_s < 160, "{decision:?}");
        }
        let (at_s, .., decision) = &simulated.changes[0];
        let capacity_per_s = decision.figures["capacity_per_s"];
        assert!((1080.0..=1210.0).contains(&capacity_per_s), "at {at_s}: {decision}");
        assert!(simulated.slots() <= 4 && simulated.carries() >= 2500.0, "at {at_s}: {decision}");
    }
}

/// Goal: a load that comes back is answered by one widening, although that is decided on within its rise.
#[test]
fn a_load_that_comes_back_is_expected() {
    let spike = |since_s: i64| if (0..300).contains(&since_s) { since_s.min(20) } else { 0 };
    let load_per_s = |second: i64| {
        let risen = spike(second - 600).max(spike(second - 4600));
        15_000.0 + 1500.0 * f64::from(i32::try_from(risen).unwrap())
    };
    for seed in 0..8 {
        let mut simulated = SimulatedChain::new(chain(), seed);
        while simulated.now_s < 5000 {
            simulated.epoch_along(load_per_s, 0.02);
        }
        let again =
            simulated.changes.iter().filter(|(at_s, before, after, _)| *at_s > 4600 && after > before);
        let again: Vec<(i64, u32)> = again.map(|(at_s, _, after, _)| (*at_s, *after)).collect();
        assert!(again.len() == 1 && again[0].0 < 4625, "{again:?}");
        assert!(again[0].1 >= simulated.needed(45_000.0), "{again:?}");
    }
}

/// Goal: a job that has become slower than it was measured is widened when its backlog shows that, without waiting until the measurements
/// have followed.
#[test]
fn a_job_that_slows_down_is_widened() {
    for seed in 0..4 {
        let mut simulated = SimulatedChain::new(chain(), seed);
        let load_per_s = 0.8 * simulated.carries();
        simulated.run(600, load_per_s, 0.02);
        assert!(simulated.changes.is_empty());
        simulated.operators.iter_mut().for_each(|operator| operator.rate_per_s *= 0.75);
        simulated.run(60, load_per_s, 0.02);
        let (at_s, .., decision) = simulated.changes.first().expect("the job is widened");
        assert!(*at_s <= 620 && simulated.carries() > load_per_s, "{at_s}: {decision}");
    }
}

/// Goal: after 24 hours of a moving load the memory of a job of 20 operators takes less than 30 kB in the journal.
#[test]
fn the_memory_stays_small() {
    let mut operators = vec![TrueOperator::new("source", Kind::Source, 25_000.0, 2)];
    let names =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s"];
    operators.extend(names.map(|name| TrueOperator::new(name, Kind::Window, 6000.0, 5)));
    let mut simulated = SimulatedChain::new(operators, 3);
    let mut largest = 0;
    for step in 0..96 {
        let hour = f64::from(step) / 4.0;
        let arrival_per_s = 25_000.0 - 15_000.0 * (hour / 24.0 * std::f64::consts::TAU).cos();
        simulated.run(900, arrival_per_s, 0.05);
        largest = largest.max(serde_json::to_string(&simulated.memory.slo).unwrap().len());
    }
    assert!(simulated.changes.len() > 2, "{}", simulated.changes.len());
    assert!(largest < 30_000, "{largest} bytes");
}

/// Goal: without readings of the sources (only rates and a backlog per epoch), without subtasks and ages, a step is answered all the
/// same; without a backlog the job is widened and never narrowed.
#[test]
fn little_is_enough() {
    for knows_backlog in [true, false] {
        let mut simulated = SimulatedChain::new(chain(), 5);
        let (mut widest, mut narrowed) = (0, false);
        for epoch in 0..1000 {
            let arrival_per_s = if (240..480).contains(&epoch) { 45_000.0 } else { 15_000.0 };
            let before = simulated.seconds.len();
            for _ in 0..EPOCH_S {
                simulated.second(arrival_per_s);
            }
            let Some(mut snapshot) = simulated.snapshot() else { continue };
            let arrived = (simulated.seconds.last().unwrap().0 - simulated.seconds[before - 1].0) / 5.0;
            for operator in &mut snapshot.operators {
                operator.arrivals.clear();
                operator.backlog_series.clear();
                operator.subtasks.clear();
                operator.arrival_rate_per_s =
                    Some(arrived).filter(|_| operator.kind == Kind::Source && knows_backlog);
                operator.backlog_records = operator.backlog_records.filter(|_| knows_backlog);
            }
            snapshot.newest_age_ms = None;
            let now = simulated.now();
            let decision = scaling::decide(
                &simulated.policy,
                &Constraints::default(),
                &mut simulated.memory,
                &snapshot,
                now,
            );
            if decision.action == Action::Rescale {
                simulated.memory.published(&simulated.policy, &decision, now);
                simulated.apply(decision);
                narrowed |= simulated.changes.last().is_some_and(|(_, before, after, _)| after < before);
            }
            widest = widest.max(simulated.slots());
        }
        assert!(widest >= 9, "{widest}, {knows_backlog}: {:?}", simulated.changes);
        assert_eq!(narrowed, knows_backlog, "{:?}", simulated.changes);
    }
}

/// Goal: without a bound nothing is decided, and the reason names the option.
#[test]
fn without_a_bound_nothing_is_decided() {
    let mut simulated = SimulatedChain::new(chain(), 1);
    simulated.policy = Slo::default();
    simulated.run(600, 60_000.0, 0.0);
    let decision = simulated.epoch(60_000.0, 0.0).unwrap();
    assert!(simulated.changes.is_empty() && decision.to_string().contains("latency_bound_ms"), "{decision}");
}

/// Goal: a clock that is set back by some seconds, or by an hour, does not stop the policy: the next step is answered.
#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    for back_s in [20, 3600] {
        let mut simulated = SimulatedChain::new(chain(), 3);
        simulated.run(600, 15_000.0, 0.05);
        simulated.clock_s = -back_s;
        simulated.run(300, 15_000.0, 0.05);
        assert!(simulated.changes.is_empty(), "{back_s}: {:?}", simulated.changes);
        simulated.run(60, 45_000.0, 0.05);
        assert!(
            simulated.changes.len() == 1 && simulated.slots() >= simulated.needed(45_000.0),
            "{back_s}: {:?}",
            simulated.changes
        );
    }
}

/// Goal: a source with a subtask for each of its partitions is named as the cause, once more arrives than it reads, and nothing is
/// widened; while the job is wide enough there is no cause.
#[test]
fn a_source_without_partitions_to_spare_is_the_diagnosis() {
    let mut operators = chain();
    operators[0] = TrueOperator::new("source", Kind::Source, 1500.0, 16);
    let mut simulated = SimulatedChain::new(operators, 2);
    simulated.run(600, 15_000.0, 0.0);
    assert_eq!(simulated.epoch(15_000.0, 0.0).unwrap().diagnosis, None);
    let (before, mut found) = (simulated.slots(), Vec::new());
    for _ in 0..24 {
        found.extend(simulated.epoch(30_000.0, 0.0).and_then(|decision| decision.diagnosis));
    }
    assert!(
        found.iter().all(|one| one.cause == Cause::SourceLimited && one.operator == "source"),
        "{found:?}"
    );
    assert!(found.len() > 10 && simulated.slots() == before, "{found:?}");
}

/// Goal: three failed changes within ten minutes stop everything for five minutes.
#[test]
fn failures_open_the_breaker() {
    let mut simulated = SimulatedChain::new(chain(), 1);
    simulated.run(300, 20_000.0, 0.0);
    let (policy, mut tried) = (simulated.policy.clone(), Vec::new());
    for epoch in 0..100 {
        for _ in 0..EPOCH_S {
            simulated.second(60_000.0);
        }
        let Some(snapshot) = simulated.snapshot() else { continue };
        let now = simulated.now();
        let decision =
            scaling::decide(&policy, &Constraints::default(), &mut simulated.memory, &snapshot, now);
        if decision.action == Action::Rescale {
            simulated.memory.published(&policy, &decision, now);
            simulated.memory.change_ended(&policy, ChangeEnd::Failed, now);
            tried.push(epoch);
        }
    }
    assert!(tried.len() >= 4 && tried[3] - tried[2] == 60, "{tried:?}");
}

/// Goal: every option that is out of its range is named, and the defaults have none.
#[test]
fn options_are_checked() {
    assert!(Options::default().problems().is_empty() && Options::with_bound(2000.0).problems().is_empty());
    let bad =
        Options { latency_bound_ms: Some(0.0), headroom_quantile: 1.0, epoch_s: 0, ..Options::default() };
    let named: Vec<&str> = bad.problems().into_iter().map(|(option, _)| option).collect();
    assert_eq!(named, ["latency_bound_ms", "headroom_quantile", "epoch_s"]);
    assert_eq!(slo::NAME, "slo");
}
