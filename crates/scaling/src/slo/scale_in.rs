//! Narrowing as a ski-rental problem: narrow when the idle slots have cost as much as narrowing and widening again.
//!
//! w(τ) is the number of slots for the largest needs of the last τ seconds. The job is narrowed to w(τ) for the smallest τ with
//!
//! ```text
//! (slots₀ − w(τ))·τ ≥ slots₀·(2R_c + κ·(2·v_d + V(c)))·K
//! v_d = (D−L)⁺ + min(600, λ·(E − 0.8·L)⁺ ÷ max(c−λ, λ/50))           violation seconds of one change, c: capacity when narrow
//! ```
//!
//! V(c): measured violation seconds of widenings to more than c ([`super::changes`]); K: a factor that grows with narrowings that did not pay off. There is no timer; with the
//! default prices τ is at least 480 s.

use std::collections::BTreeMap;

use super::memory::{seconds, short};
use super::needs::PeakNeed;
use super::solve::{Plan, group};
use super::view::{View, quotient};

/// What came of the look back.
#[derive(Debug, Clone, Default)]
pub(super) struct ScaleIn<'a> {
    pub(super) plan: Option<Plan<'a>>,
    pub(super) reasons: Vec<String>,
    pub(super) figures: BTreeMap<String, f64>,
}

/// Returns the plan that the idle time has paid for, or how far it has come.
pub(super) fn scale_in<'a>(view: &View<'a>) -> ScaleIn<'a> {
    let mut narrowing = ScaleIn::default();
    if view.backlog.is_none() {
        narrowing.reasons.push("the backlog is unknown, so nothing is narrowed".to_owned());
        return narrowing;
    }
    if view.waits_s() > 0.3 * view.bound_s {
        narrowing.reasons.push("nothing is narrowed while a backlog remains".to_owned());
        return narrowing;
    }
    let mut nearest: Option<(f64, ScaleInStep<'a>)> = None;
    for peak in view.needs.peaks(view.now_ms) {
        let Some(step) = ScaleInStep::new(view, &peak) else { break };
        let part = quotient(step.saved, step.price);
        if part >= 1.0 {
            narrowing.figures = step.figures();
            narrowing.reasons.push(step.sentence("is worth"));
            narrowing.plan = Some(step.plan);
            return narrowing;
        }
        if nearest.as_ref().is_none_or(|(best, _)| part > *best) {
            nearest = Some((part, step));
        }
    }
    if let Some((_, step)) = nearest {
        narrowing.figures = step.figures();
        narrowing.reasons.push(step.sentence("is not yet worth"));
    }
    narrowing
}

/// One width with what it saves and costs.
#[derive(Debug, Clone)]
struct ScaleInStep<'a> {
    plan: Plan<'a>,
    slots: u32,
    idle_s: f64,
    saved: f64,
    price: f64,
}

impl<'a> ScaleInStep<'a> {
    /// Returns the narrowing to what this peak needed; [`None`] if that is no fewer slots.
    fn new(view: &View<'a>, peak: &PeakNeed<'_>) -> Option<Self> {
        let plan = narrowed(view, &peak.needed);
        let slots = view.graph.slots(&plan);
        let fewer = view.slots - f64::from(slots);
        (fewer > 0.0).then_some(())?;
        let idle_s = seconds(peak.length_ms);
        Some(Self { saved: fewer * idle_s, price: price(view, &plan), plan, slots, idle_s })
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        let figures = [
            ("narrow_slots", f64::from(self.slots)),
            ("narrow_idle_s", self.idle_s),
            ("narrow_saved_slot_s", self.saved),
            ("narrow_price_slot_s", self.price),
        ];
        figures.into_iter().map(|(name, value)| (name.to_owned(), short(value))).collect()
    }

    fn sentence(&self, verdict: &str) -> String {
        format!(
            "{} slots would have been enough for {:.0} s: {:.0} idle slot-s, the change {verdict} its price of {:.0}",
            self.slots, self.idle_s, self.saved, self.price
        )
    }
}

/// Today's plan cut to the widest need of each slot sharing group: only what must shrink does.
pub(super) fn narrowed<'a>(view: &View<'a>, needed: &Plan<'_>) -> Plan<'a> {
    let widths = view.graph.widths(needed);
    let cut = |operator: &&'a crate::Operator| {
        let today = operator.parallelism.max(1);
        let width = widths.get(group(operator)).copied().unwrap_or(today);
        // What nothing is known of stays.
        let is_known = view.graph.node(&operator.name).is_some();
        (operator.name.as_str(), if is_known { today.min(width) } else { today })
    };
    view.graph.operators.iter().map(cut).collect()
}

/// What going to this plan and coming back costs, in slot-seconds.
fn price(view: &View<'_>, plan: &Plan<'_>) -> f64 {
    let (options, lambda) = (view.options, view.arrival_per_s);
    let capacity_per_s = view.graph.carries(plan).map_or(0.0, |(carried_per_s, _)| carried_per_s);
    let late = lambda * (view.outage_s - 0.8 * view.bound_s);
    let late_s = quotient(late, (capacity_per_s - lambda).max(lambda / 50.0)).min(600.0);
    let violated_s = (view.downtime_s - view.bound_s).max(0.0) + late_s;
    let violations =
        options.violation_price * (2.0 * violated_s + view.changes.caught.violated_s(capacity_per_s));
    view.slots * (2.0 * options.change_price_s + violations) * view.changes.backoff
}
