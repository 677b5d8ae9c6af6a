//! What holds for policy `slo` on any job and load: bounds, determinism, monotonicity, and the prices that it compares.

use super::*;

proptest! {
    #![proptest_config(crate::same_cases(24))]

    /// Goal: of every change of any job under any load: parallelism within its bounds; a widening lowers nothing, a narrowing
    /// raises nothing; a widening is cheaper than staying and carries more; a narrowing has been paid for since the last change.
    #[test]
    fn every_change_is_sound((operators, seed) in arbitrary_job(), load in arbitrary_load()) {
        let simulated = simulated(operators, seed, &load);
        let mut since_s = 0;
        for (at_s, before, after, decision) in &simulated.changes {
            for (name, new) in &decision.parallelism {
                let report = decision.operators.iter().find(|operator| operator.name == *name).unwrap();
                let most = if name == "source" { 16 } else { KEY_GROUPS };
                prop_assert!((1..=most).contains(new), "{decision}");
                prop_assert_eq!(*new > report.parallelism, after >= before, "{}", decision);
            }
            if after >= before {
                let stay = &decision.candidates[0];
                let chosen = decision.candidates.iter().find(|candidate| candidate.is_cheapest).unwrap();
                prop_assert!(stay.parallelism.is_empty() && chosen.price_slot_s < stay.price_slot_s);
                prop_assert!(chosen.capacity_per_s >= 1.0299 * decision.figures["capacity_per_s"]);
                prop_assert_eq!(&chosen.parallelism, &decision.parallelism);
            } else {
                let figure = |name: &str| decision.figures[name];
                prop_assert!(figure("narrow_saved_slot_s") >= 0.9999 * figure("narrow_price_slot_s"));
                let idle_s = figure("narrow_idle_s");
                prop_assert!(idle_s <= f64::from(i32::try_from(at_s - since_s).unwrap()), "{decision}");
                prop_assert!(idle_s >= 480.0, "{decision}");
            }
            since_s = *at_s;
        }
    }

    /// Goal: the order of operators and subtasks, a memory that is written and read back every epoch, and a job of ten times the
    /// rates make the same changes at the same times.
    #[test]
    fn what_does_not_matter_changes_nothing((operators, seed) in arbitrary_job(), load in arbitrary_load()) {
        let changes_of = |operators: &[TrueOperator], vary: fn(&mut SimulatedChain)| {
            let mut one = SimulatedChain::new(operators.to_vec(), seed);
            vary(&mut one);
            one.run(300, 20_000.0, 0.05);
            for (for_s, arrival_per_s) in &load {
                one.run(*for_s, *arrival_per_s, 0.05);
            }
            one.changes.iter().map(|(at_s, _, _, decision)| (*at_s, decision.parallelism.clone())).collect::<Vec<_>>()
        };
        let first = changes_of(&operators, |_| ());
        prop_assert_eq!(&first, &changes_of(&operators, |simulated| simulated.reversed = true));
        prop_assert_eq!(&first, &changes_of(&operators, |simulated| simulated.rereads_memory = true));
        // Ten times the records show a small skew that fewer do not.
        let mut even = operators;
        even.iter_mut().for_each(|operator| operator.hot = 0.0);
        let first = changes_of(&even, |_| ());
        prop_assert_eq!(&first, &changes_of(&even, |simulated| simulated.scale = 10.0));
    }

    /// Goal: the same memory and snapshot give the same decision; after it is published nothing is decided until the job has
    /// restarted; an incomplete snapshot changes nothing.
    #[test]
    fn decisions_repeat_and_wait((operators, seed) in arbitrary_job(), arrival_per_s in 30_000.0..60_000.0_f64) {
        let mut simulated = simulated(operators, seed, &[]);
        for _ in 0..60 {
            simulated.second(20_000.0);
        }
        for _ in 0..EPOCH_S {
            simulated.second(arrival_per_s);
        }
        let now = simulated.now();
        let mut snapshot = simulated.snapshot().unwrap();
        let mut memory = simulated.memory.clone();
        let policy = &simulated.policy;
        policy.observe(&mut memory, &snapshot, now.at_ms);
        let decision = policy.decide(&memory, &snapshot, now.at_ms);
        prop_assert_eq!(&decision, &policy.decide(&memory, &snapshot, now.at_ms));
        policy.published(&mut memory, &decision, now.at_ms);
        for later in 1..100 {
            let at = now.at_ms + later * 5000;
            policy.observe(&mut memory, &snapshot, at);
            prop_assert_eq!(policy.decide(&memory, &snapshot, at).action, Action::None);
        }
        snapshot.missing.push("backlog of source".to_owned());
        let before = memory.clone();
        let incomplete = scaling::decide(policy, &Constraints::default(), &mut memory, &snapshot, now);
        prop_assert_eq!((incomplete.action, memory), (Action::None, before));
    }

    /// Goal: a larger backlog, all else equal, makes no operator smaller, as long as no key is hot.
    #[test]
    fn a_larger_backlog_is_answered_by_more(
        (mut operators, seed) in arbitrary_job(),
        arrival_per_s in 20_000.0..50_000.0_f64,
        backlog in 0.0..200_000.0_f64,
        factor in 1.0..5.0_f64,
    ) {
        operators.iter_mut().for_each(|operator| operator.hot = 0.0);
        let mut simulated = simulated(operators, seed, &[]);
        prop_assume!(simulated.changes.is_empty());
        for _ in 0..2 * EPOCH_S {
            simulated.second(arrival_per_s);
        }
        let snapshot = simulated.snapshot().unwrap();
        let decide = |backlog: f64| {
            let (mut snapshot, mut memory) = (snapshot.clone(), simulated.memory.clone());
            for operator in &mut snapshot.operators {
                operator.backlog_records = operator.backlog_records.map(|_| backlog);
            }
            simulated.policy.observe(&mut memory, &snapshot, simulated.now().at_ms);
            simulated.policy.decide(&memory, &snapshot, simulated.now().at_ms)
        };
        let (smaller, larger) = (decide(backlog), decide(backlog * factor));
        for truth in &simulated.operators {
            let of = |decision: &Decision| decision.parallelism.get(truth.name).copied().unwrap_or(truth.parallelism);
            prop_assert!(of(&larger) >= of(&smaller), "{}: {smaller} / {larger}", truth.name);
        }
    }

    /// Goal: three hours of constant load with noise of ±8 % change nothing once the job fits.
    #[test]
    fn noise_changes_nothing(seed in any::<u64>()) {
        let mut simulated = SimulatedChain::new(chain(), seed);
        simulated.run(3 * 3600, 20_000.0, 0.08);
        let told: Vec<String> = simulated.changes.iter().map(|(at_s, .., decision)| format!("{at_s} s: {decision}")).collect();
        prop_assert!(told.is_empty(), "{told:?}");
    }

    /// Goal: a load above what something outside of the job takes brings at most four changes, and never more than three times
    /// the slots that carry the limit.
    #[test]
    fn an_external_limit_is_not_answered_by_width(seed in any::<u64>(), limit_per_s in 21_000.0..26_000.0_f64) {
        let mut operators = chain();
        operators[2].limit_per_s = Some(limit_per_s);
        let mut simulated = SimulatedChain::new(operators, seed);
        simulated.run(900, 17_000.0, 0.05);
        let needed = simulated.needed(limit_per_s * 0.99);
        simulated.run(900, limit_per_s * 1.4, 0.05);
        simulated.run(3600, 14_000.0, 0.05);
        prop_assert!(simulated.changes.len() <= 4, "{:?}", simulated.changes.len());
        for (.., after, decision) in &simulated.changes {
            prop_assert!(*after <= 3 * needed, "{after} > 3 · {needed}: {decision}");
        }
    }
}

/// Every number in a JSON value.
fn numbers(value: &serde_json::Value, path: &str, found: &mut Vec<(String, Option<f64>)>) {
    match value {
        serde_json::Value::Number(number) => found.push((path.to_owned(), number.as_f64())),
        serde_json::Value::Array(all) => all.iter().for_each(|one| numbers(one, path, found)),
        serde_json::Value::Object(all) => {
            all.iter().for_each(|(name, one)| numbers(one, &format!("{path}.{name}"), found));
        }
        _ => {}
    }
}

fn arbitrary_figure() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(0.0)),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(1e300), Just(1e-300), Just(f64::MAX)].prop_map(Some),
        4 => (0.0..1e6_f64).prop_map(Some),
    ]
}

/// Times as any program may write them, in milliseconds.
fn arbitrary_ms() -> impl Strategy<Value = i64> {
    let far = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), Just(253_402_300_799_999), any::<i64>()];
    prop_oneof![6 => -100_000..200_000_i64, 1 => far]
}

prop_compose! {
    fn arbitrary_operator()(
        figures in prop::collection::vec(arbitrary_figure(), 8),
        kind in prop_oneof![Just(Kind::Source), Just(Kind::Continuous), Just(Kind::Window), Just(Kind::AllWindow)],
        number in 0..4_u8,
        parallelism in 0..300_u32,
        partitions in prop::option::of(0..20_u32),
        series in prop::collection::vec((arbitrary_ms(), -1e3..1e6_f64), 0..6),
        read_ms in prop::option::of((arbitrary_ms(), arbitrary_ms())),
        records in prop::collection::vec(arbitrary_figure(), 0..5),
    ) -> Operator {
        Operator {
            name: format!("operator-{number}"),
            kind,
            parallelism,
            throughput_per_s: figures[0],
            output_rate_per_s: figures[1],
            arrival_rate_per_s: figures[2],
            backlog_records: figures[3],
            busy_ratio: figures[4],
            backpressured_ratio: figures[5],
            latency_ms: figures[6],
            max_parallelism: partitions,
            source_partitions: partitions,
            arrivals: series.clone(),
            backlog_series: series,
            subtasks: records
                .into_iter()
                .map(|records_in| Subtask { records_in, busy_ratio: figures[7], ..Subtask::default() })
                .collect(),
            inputs: vec!["operator-0".to_owned()],
            reading: read_ms.map(|(from, at)| Reading { from_ms: Some(from), at_ms: Some(at), ..Reading::default() }),
            ..Operator::default()
        }
    }
}

proptest! {
    #![proptest_config(crate::same_cases(96))]

    /// Goal: whatever a sequence of snapshots holds, impossible and far times included, and however the clock jumps, every decision
    /// and the memory have finite numbers only, and the memory comes back from JSON as it was.
    #[test]
    fn any_snapshot_gives_finite_figures(
        epochs in prop::collection::vec(
            (prop::collection::vec(arbitrary_operator(), 0..5), -10_000..60_000_i64, prop::option::weighted(0.1, arbitrary_ms())),
            1..12,
        ),
        started in prop::option::of(arbitrary_ms()),
    ) {
        let (policy, mut memory, mut now_ms) = (Slo(Options::with_bound(2000.0)), Memory::default(), 0_i64);
        for (mut operators, passed_ms, jump_ms) in epochs {
            now_ms = jump_ms.unwrap_or(now_ms.saturating_add(passed_ms));
            operators.dedup_by(|one, other| one.name == other.name);
            let job = Job { max_parallelism: 128, running_since_ms: started, ..Job::default() };
            let snapshot = Snapshot { schema: SCHEMA, at_ms: started, newest_age_ms: jump_ms, job, operators, ..Snapshot::default() };
            for decision in [
                scaling::decide(&policy, &Constraints::default(), &mut memory, &snapshot, LocalTime::utc(now_ms)),
                policy.plan(&snapshot),
            ] {
                let mut found = Vec::new();
                numbers(&serde_json::to_value(&decision.figures).unwrap(), "figures", &mut found);
                numbers(&serde_json::to_value(&decision.candidates).unwrap(), "candidates", &mut found);
                for operator in &decision.operators {
                    numbers(&serde_json::to_value(&operator.figures).unwrap(), &operator.name, &mut found);
                }
                prop_assert!(found.iter().all(|(_, number)| number.is_some_and(f64::is_finite)), "{found:?}");
                if decision.action == Action::Rescale {
                    memory.published(&policy, &decision, LocalTime::utc(now_ms));
                    memory.change_ended(&policy, ChangeEnd::Failed, LocalTime::utc(now_ms));
                }
            }
            let text = serde_json::to_string(&memory).unwrap();
            prop_assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory.clone());
        }
    }
}
