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
pub use options::Options;
use solve::Plan;
use view::{LoadView, Shortage, View};

use crate::{Action, ChangeEnd, Decision, Policy, Snapshot, Traits};

/// The policy's name in configuration and records.
pub const NAME: &str = "slo";

/// The beginning of the reason why nothing is changed after several failures.
pub const BLOCKED: &str = "three changes failed within ten minutes";

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
        drop(self.observed(&mut memory.slo, snapshot, now_ms));
    }

    fn watch(&self, memory: &mut crate::Memory, snapshot: &Snapshot, now_ms: i64) {
        self.observe(memory, snapshot, now_ms);
    }

    fn decide(&self, memory: &crate::Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        let (options, memory) = (&self.0, &memory.slo);
        let now_ms = memory.now_ms(now_ms);
        match View::new(options, memory, snapshot, now_ms) {
            Ok(view) => decide_unless(closed(options, memory, snapshot, now_ms), view),
            Err(unknown) => Decision::nothing(NAME, unknown),
        }
    }

    fn epoch(&self, memory: &mut crate::Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        let (view, closed) = self.observed(&mut memory.slo, snapshot, now_ms);
        match view {
            Ok(view) => decide_unless(closed, view),
            Err(unknown) => Decision::nothing(NAME, unknown),
        }
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        let (memory, now_ms) = self.observed_once(snapshot);
        let view = match View::new(&self.0, &memory.slo, snapshot, now_ms) {
            Ok(view) => view,
            Err(unknown) => return Decision::nothing(NAME, unknown),
        };
        let narrower = scale_in::narrowed(&view, &view.need());
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
            slots_free: decision.figures.get("slots_free").copied(),
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
    /// Remembers what a snapshot shows, and returns the view of it, which is costly, with the reason why nothing may be changed now.
    fn observed<'a>(
        &'a self,
        memory: &'a mut Memory,
        snapshot: &'a Snapshot,
        now_ms: i64,
    ) -> (Result<View<'a>, &'static str>, Option<String>) {
        let options = &self.0;
        let now_ms = memory.observed(now_ms);
        let epoch_ms = memory.epoch_ms(options.epoch_s);
        memory.observe_metrics(snapshot, now_ms, epoch_ms);
        let Memory { arrivals, errors, operators, changes, needs, .. } = memory;
        let remembered = view::Remembered { arrivals, errors, operators, epoch_ms };
        let load = LoadView::new(options, remembered, snapshot, now_ms);
        if let Ok(load) = &load {
            let arrival_per_s = load.arrival_per_s.max(load.slow_per_s);
            changes.observe_load(load.level_per_s);
            changes.observe_latency(options, snapshot, arrival_per_s, now_ms);
            if changes.under_way_since_ms().is_none() {
                needs.add(load.need().into_iter(), now_ms, epoch_ms);
            }
        }
        let closed = changes.closed(options, snapshot, now_ms, epoch_ms);
        (load.map(|load| View::of(load, changes, needs)), closed)
    }

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

/// Why nothing may be changed now, if it may not.
fn closed(options: &Options, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> Option<String> {
    memory.changes.closed(options, snapshot, now_ms, memory.epoch_ms(options.epoch_s))
}

fn widened(view: View<'_>, shortage: Shortage) -> Decision {
    let view = view.tabulated();
    let widening = scale_out::scale_out(&view, shortage);
    let mut decision =
        decision(&view, widening.plan.as_ref(), widening.reasons, widening.figures, widening.candidates);
    decision.diagnosis = widening.diagnosis;
    decision
}

/// Returns the decision, or none for this reason.
fn decide_unless(closed: Option<String>, view: View<'_>) -> Decision {
    match closed {
        Some(reason) => decision(&view, None, vec![reason], BTreeMap::new(), Vec::new()),
        None => decide(view),
    }
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
