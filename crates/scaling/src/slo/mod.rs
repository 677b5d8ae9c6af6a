//! Policy `slo`: keeps the latency of events below a bound, with as few slots and changes as possible.
//!
//! Everything is priced in slot-seconds: a second above the bound costs [`Options::violation_price`] seconds of all present slots, a
//! change costs [`Options::change_price_s`] or [`Options::urgent_price_s`] of them. A decision is a comparison of two sums.
//!
//! ```text
//! snapshot ─> arrivals (bins) ─> forecast ─┐
//!          └> measure ─> capacity ─> solve ─┴─> view ─> widen: the cheapest width, staying included
//!                                                    └> narrow: when idle slots have cost as much as narrowing and widening
//! ```
//!
//! Each step is a module that opens with its formulas. Units: seconds, records, records per second; rates are of all sources
//! together unless they are an operator's own. All inputs of the formulas are measured on the job itself. Where a metric source lacks
//! one, the formula has a substitute; nothing is narrowed while the backlog is unknown.
//!
//! Deliberately absent, because they were useless or harmful in simulations: a seasonal forecast, a minimum look-back before narrowing,
//! and waiting for a rising rate to settle.

mod arrivals;
mod capacity;
mod changes;
mod estimator;
mod explain;
mod forecast;
mod measure;
mod memory;
mod needs;
mod options;
mod scale_in;
mod scale_out;
mod solve;
mod view;

use std::collections::BTreeMap;

use changes::Published;
pub use estimator::Estimator;
pub use memory::Memory;
use memory::{running_since_ms, seconds};
pub use options::Options;
use solve::{Plan, Purpose};
use view::{Shortage, View};

use crate::{Action, ChangeEnd, Decision, Policy, Snapshot, Traits};

/// The policy's name in configuration and records.
pub const NAME: &str = "slo";

/// The beginning of the reason why nothing is changed after several failures.
pub const BLOCKED: &str = "three changes failed within ten minutes";

/// The needs of the past are those of this horizon, in seconds.
const NEED_AHEAD_S: f64 = 300.0;
/// Metrics that are older than this many epochs tell nothing of now.
const AGE_EPOCHS: i64 = 3;

/// λ after a change is the rate over so many seconds.
const SINCE_CHANGE_S: i64 = 5;

/// The policy with its options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slo(pub Options);

impl Policy for Slo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits { may_narrow: true, keeps_forward: true, reports_cluster: false }
    }

    fn observe(&self, memory: &mut crate::Memory, snapshot: &Snapshot, now_ms: i64) {
        let (options, memory) = (&self.0, &mut memory.slo);
        let now_ms = memory.observed(now_ms);
        let epoch_ms = memory.epoch_ms(options.epoch_s);
        if memory.changes.observe_start(snapshot, now_ms) {
            memory.arrivals.restarted();
            memory.spans.clear();
            memory.operators.values_mut().for_each(measure::OperatorMemory::restarted);
            memory.is_warm = false;
            memory.needs.clear();
        }
        for bin in memory.arrivals.observe(snapshot, now_ms, epoch_ms) {
            memory.errors.judge(&memory.arrivals, bin);
        }
        measure::observe(memory, snapshot, now_ms, epoch_ms);
        memory.changes.observe_backlog(snapshot, memory.arrivals.rate(SINCE_CHANGE_S), now_ms);
        let seen = View::new(options, memory, snapshot, now_ms).ok().map(|view| {
            let needed = need(&view).into_iter().map(|(name, parallelism)| (name.to_owned(), parallelism));
            (view.arrival_per_s.max(view.slow_per_s), needed.collect::<Vec<(String, u32)>>())
        });
        if let Some((arrival_per_s, needed)) = seen {
            memory.changes.observe_latency(options, snapshot, arrival_per_s, now_ms);
            if memory.changes.under_way_since_ms().is_none() {
                memory.needs.add(needed.into_iter(), now_ms, epoch_ms);
            }
        }
    }

    fn decide(&self, memory: &crate::Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        let (options, memory) = (&self.0, &memory.slo);
        let now_ms = memory.now_ms(now_ms);
        let view = match View::new(options, memory, snapshot, now_ms) {
            Ok(view) => view,
            Err(unknown) => return Decision::nothing(NAME, unknown),
        };
        match closed(options, memory, snapshot, now_ms) {
            Some(reason) => decision(&view, None, vec![reason], BTreeMap::new(), Vec::new()),
            None => decide(view),
        }
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        let (memory, now_ms) = self.observed_once(snapshot);
        let view = match View::new(&self.0, &memory.slo, snapshot, now_ms) {
            Ok(view) => view,
            Err(unknown) => return Decision::nothing(NAME, unknown),
        };
        let narrower = scale_in::narrowed(&view, &need(&view));
        let shortage = view.shortage();
        if shortage.is_none()
            && view.backlog.is_some()
            && view.graph.slots(&narrower) < view.graph.slots(&view.today)
        {
            return decision(
                &view,
                Some(&narrower),
                vec![explain::enough(&view)],
                BTreeMap::new(),
                Vec::new(),
            );
        }
        widened(view, shortage.unwrap_or(Shortage::Forecast))
    }

    fn is_waiting(&self, memory: &crate::Memory, snapshot: &Snapshot, now_ms: i64) -> bool {
        closed(&self.0, &memory.slo, snapshot, now_ms).is_some()
    }

    fn published(&self, memory: &mut crate::Memory, decision: &Decision, now_ms: i64) {
        let figure = |name: &str| decision.figures.get(name).copied().unwrap_or(0.0);
        let slots = |new: bool| {
            let of = |operator: &crate::OperatorReport| {
                let planned = decision.parallelism.get(&operator.name).copied();
                planned.filter(|_| new).unwrap_or(operator.parallelism)
            };
            decision.operators.iter().map(of).max().unwrap_or(1)
        };
        let predicted = |operator: &crate::OperatorReport| {
            let planned = *decision.parallelism.get(&operator.name)?;
            let rate_per_s = *operator.figures.get(explain::PREDICTED)?;
            // Limits may have changed the plan.
            (operator.new_parallelism == Some(planned))
                .then(|| (operator.name.clone(), (planned, rate_per_s)))
        };
        let slots_before =
            decision.figures.get("slots").copied().map_or_else(|| slots(false), crate::key_groups::whole);
        let published = Published {
            at_ms: memory.slo.now_ms(now_ms),
            slots_before,
            slots_after: decision.cluster.slots_needed.unwrap_or_else(|| slots(true)),
            backlog: figure("backlog_records"),
            arrival_per_s: figure("arrival_per_s"),
            capacity_per_s: figure("capacity_per_s"),
            predictions: decision.operators.iter().filter_map(predicted).collect(),
        };
        memory.slo.change_published(&published);
    }

    fn change_ended(&self, memory: &mut crate::Memory, change: ChangeEnd, now_ms: i64) {
        let now_ms = memory.slo.now_ms(now_ms);
        memory.slo.change_ended(change == ChangeEnd::Succeeded, now_ms);
    }
}

impl Slo {
    /// Returns the memory of a job that has looked like this snapshot for 40 s, and the time at their end.
    fn observed_once(&self, snapshot: &Snapshot) -> (crate::Memory, i64) {
        const EPOCH_MS: i64 = 10_000;
        let mut steady = snapshot.clone();
        (steady.at_ms, steady.interval_ms, steady.job.running_since_ms) = (None, Some(EPOCH_MS), None);
        for operator in &mut steady.operators {
            operator.reading = None;
            operator.arrivals.clear();
            operator.backlog_series.clear();
        }
        let mut memory = crate::Memory::default();
        for epoch in 1..=4 {
            self.observe(&mut memory, &steady, epoch * EPOCH_MS);
        }
        (memory, 4 * EPOCH_MS)
    }
}

/// Returns what is needed now, with the margin of a narrowing.
fn need<'a>(view: &View<'a>) -> Plan<'a> {
    let rate_per_s = view.outlook.upper(NEED_AHEAD_S, view.slow_per_s);
    view.graph.solve(view.options, rate_per_s, Purpose::Narrow)
}

/// Why nothing may be changed now, if it may not.
fn closed(options: &Options, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> Option<String> {
    if let Some(since_ms) = memory.changes.under_way_since_ms() {
        return Some(format!("a change has been in progress for {:.0} s", seconds(now_ms - since_ms)));
    }
    if let Some(state) = snapshot.job.state.as_ref().filter(|state| *state != "RUNNING") {
        return Some(format!("the job is not running: it is {state}"));
    }
    let oldest_ms = AGE_EPOCHS * memory.epoch_ms(options.epoch_s);
    if let Some(age_ms) = snapshot.newest_age_ms.filter(|age_ms| *age_ms > oldest_ms) {
        return Some(format!("the newest metrics are {:.0} s old", seconds(age_ms)));
    }
    let settle_ms = i64::try_from(options.settle_s).unwrap_or(0) * 1000;
    let age_ms = running_since_ms(snapshot, now_ms).map(|since_ms| now_ms - since_ms);
    if age_ms.is_some_and(|age_ms| age_ms < settle_ms) {
        return Some("the job settles after a start".to_owned());
    }
    let until_ms = memory.changes.blocked_until_ms(now_ms)?;
    let left_s = seconds(until_ms - now_ms);
    Some(format!("{BLOCKED}: no changes for {left_s:.0} s more"))
}

fn widened(view: View<'_>, shortage: Shortage) -> Decision {
    let view = View { graph: view.graph.tabulated(), ..view };
    let widening = scale_out::scale_out(&view, shortage);
    let mut decision =
        decision(&view, widening.plan.as_ref(), widening.reasons, widening.figures, widening.candidates);
    decision.diagnosis = widening.diagnosis;
    decision
}

fn decide(view: View<'_>) -> Decision {
    if let Some(shortage) = view.shortage() {
        return widened(view, shortage);
    }
    let mut reasons = vec![explain::enough(&view)];
    if view.is_jump || view.newest_per_s >= view.level_per_s * (1.0 + 3.0 * view.sigma) {
        reasons.push("the arrival rate is changing, so nothing is narrowed".to_owned());
        return decision(&view, None, reasons, BTreeMap::new(), Vec::new());
    }
    let narrowing = scale_in::scale_in(&view);
    if narrowing.plan.is_some() {
        reasons.clear();
    }
    reasons.extend(narrowing.reasons);
    decision(&view, narrowing.plan.as_ref(), reasons, narrowing.figures, Vec::new())
}

fn decision(
    view: &View<'_>,
    plan: Option<&Plan<'_>>,
    reasons: Vec<String>,
    figures: BTreeMap<String, f64>,
    candidates: Vec<crate::Candidate>,
) -> Decision {
    let mut decision = Decision::nothing(NAME, String::new());
    decision.reasons = reasons;
    decision.figures = view.figures();
    decision.figures.extend(figures);
    decision.candidates = candidates;
    if let Some(plan) = plan {
        decision.parallelism = scale_out::changed(view, plan);
    }
    if !decision.parallelism.is_empty() {
        decision.action = Action::Rescale;
    }
    decision.operators = explain::reports(view, &decision.parallelism);
    decision
}
