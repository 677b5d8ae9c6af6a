//! A job whose true rates are known: what its metrics show at any parallelism and load.

use std::collections::BTreeMap;

use proptest::prelude::*;
use scaling::key_groups::InputUnits;
use scaling::{Edge, Job, Kind, Operator, Partitioning, SCHEMA, Snapshot, TaskManager};

pub(crate) const KEY_GROUPS: u32 = 128;

/// One operator as it truly is.
#[derive(Debug, Clone)]
pub(crate) struct TrueOperator {
    pub(crate) kind: Kind,
    pub(crate) is_keyed: bool,
    /// Records per second of one subtask that is always busy.
    pub(crate) rate_per_s: f64,
    pub(crate) selectivity: f64,
    pub(crate) parallelism: u32,
    /// Which figures are hidden.
    pub(crate) hidden: Hidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    Nothing,
    Busy,
    Rate,
}

/// A chain: a source, some operators, a sink.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) operators: Vec<TrueOperator>,
    pub(crate) arrival_per_s: f64,
    pub(crate) backlog: f64,
}

impl World {
    pub(crate) fn name(index: usize) -> String {
        format!("operator-{index}")
    }

    pub(crate) fn input_units(&self, index: usize) -> InputUnits {
        if self.operators[index].is_keyed { InputUnits::Of(KEY_GROUPS) } else { InputUnits::None }
    }

    /// What an operator can carry at its parallelism, in its own records per second.
    fn carries(&self, index: usize) -> f64 {
        self.operators[index].rate_per_s
            * self.input_units(index).effective(self.operators[index].parallelism)
    }

    /// The share of the arrival that gets through: the narrowest place holds back everything before it.
    pub(crate) fn share(&self) -> f64 {
        let mut asked = self.arrival_per_s;
        let mut share: f64 = 1.0;
        for (index, operator) in self.operators.iter().enumerate() {
            if asked > 0.0 {
                share = share.min(self.carries(index) / asked);
            }
            asked *= operator.selectivity;
        }
        share
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let (mut rate, mut operators) = (self.arrival_per_s * self.share(), Vec::new());
        for (index, truth) in self.operators.iter().enumerate() {
            let known = |value: f64, hidden: Hidden| (truth.hidden != hidden).then_some(value);
            let busy = rate / (truth.rate_per_s * f64::from(truth.parallelism));
            let is_source = truth.kind == Kind::Source;
            let partitioning = if truth.is_keyed { Partitioning::Hash } else { Partitioning::Rebalance };
            let inputs: Vec<String> = index.checked_sub(1).map(Self::name).into_iter().collect();
            operators.push(Operator {
                name: Self::name(index),
                kind: truth.kind,
                parallelism: truth.parallelism,
                latency_ms: known(1.0 + busy, Hidden::Busy),
                throughput_per_s: known(rate, Hidden::Rate),
                input_rate_per_s: None,
                output_rate_per_s: Some(rate * truth.selectivity),
                busy_ratio: known(busy.min(1.0), Hidden::Busy),
                arrival_rate_per_s: is_source.then_some(self.arrival_per_s),
                backlog_records: is_source.then_some(self.backlog),
                edges: inputs.iter().map(|from| Edge { from: from.clone(), partitioning }).collect(),
                inputs,
                ..Operator::default()
            });
            rate *= truth.selectivity;
        }
        let mut snapshot = Snapshot {
            schema: SCHEMA,
            job: Job {
                name: "chain".to_owned(),
                parallelism: 1,
                max_parallelism: KEY_GROUPS,
                ..Job::default()
            },
            operators,
            ..Snapshot::default()
        };
        let offered = scaling::offered_rates(&snapshot.operators);
        for operator in &mut snapshot.operators {
            operator.input_rate_per_s = offered.get(&operator.name).copied();
        }
        snapshot
    }

    /// The job with a plan applied.
    pub(crate) fn with(&self, plan: &BTreeMap<String, u32>) -> Self {
        let mut next = self.clone();
        for (index, operator) in next.operators.iter_mut().enumerate() {
            operator.parallelism = plan.get(&Self::name(index)).copied().unwrap_or(operator.parallelism);
        }
        next
    }
}

pub(crate) fn truth(kind: Kind, rate_per_s: f64, parallelism: u32) -> TrueOperator {
    let is_keyed = matches!(kind, Kind::Window | Kind::Join | Kind::CoGroup);
    TrueOperator { kind, is_keyed, rate_per_s, selectivity: 1.0, parallelism, hidden: Hidden::Nothing }
}

pub(crate) fn task_manager(id: &str, slots: u32, free: u32, load: f64) -> TaskManager {
    TaskManager {
        id: id.to_owned(),
        cpu_load: Some(load),
        heap_used_bytes: Some(load * 0.766),
        heap_max_bytes: Some(1.0),
        slots: Some(slots),
        slots_free: Some(free),
        ..TaskManager::default()
    }
}

fn arbitrary_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![4 => Just(Kind::Continuous), 2 => Just(Kind::Window), 1 => Just(Kind::Join), 1 => Just(Kind::AllWindow)]
}

fn arbitrary_hidden() -> impl Strategy<Value = Hidden> {
    prop_oneof![8 => Just(Hidden::Nothing), 1 => Just(Hidden::Busy), 1 => Just(Hidden::Rate)]
}

prop_compose! {
    fn arbitrary_truth()(
        kind in arbitrary_kind(),
        is_keyed in any::<bool>(),
        rate_per_s in 50.0..5000.0_f64,
        selectivity in 0.1..2.0_f64,
        parallelism in 1_u32..=KEY_GROUPS,
        hidden in arbitrary_hidden(),
    ) -> TrueOperator {
        let parallelism = if kind == Kind::AllWindow { 1 } else { parallelism };
        let is_keyed = (is_keyed || matches!(kind, Kind::Window | Kind::Join)) && kind != Kind::AllWindow;
        TrueOperator { kind, is_keyed, rate_per_s, selectivity, parallelism, hidden }
    }
}

prop_compose! {
    pub(crate) fn arbitrary_world()(
        source_parallelism in 1_u32..=KEY_GROUPS,
        source_rate_per_s in 500.0..50_000.0_f64,
        rest in prop::collection::vec(arbitrary_truth(), 1..6),
        arrival_per_s in prop_oneof![1 => Just(0.0), 9 => 1.0..100_000.0_f64],
        backlog in prop_oneof![Just(0.0), 0.0..1e7_f64],
    ) -> World {
        let mut operators = vec![truth(Kind::Source, source_rate_per_s, source_parallelism)];
        operators.extend(rest);
        World { operators, arrival_per_s, backlog }
    }
}
