//! Widening: selects the cheapest of all parallelisms, including the current one, in slot-seconds.
//!
//! ```text
//! q        = B + max(0, λ−C)·max(0, lead−D) + λ·E                 backlog when the job runs again
//! t_v(c,q) = x + 0.3·max(0, q − (c−λ)·3600)/λ                     violation seconds of the next hour, and what is late at its end
//!            x = 0 if q ≤ 0.8·L·λ and c > λ; min(3600, (q − 0.8·L·λ)/(c−λ)) if c > 1.01 λ; else 3600
//! J(plan)  = H·s′ + R_u·(s′ − s_base)⁺ + R_u·s₀ + κ·s₀·((D−L)⁺ + t_v(c′, q) + 120·exceed(c′, 300))
//! J(stay)  = H·s₀ + κ·s₀·(t_v(C, B) + 120·exceed(C, 300))
//! ```
//!
//! A record that is read with a backlog of q is q/λ old at any parallelism, because the others arrived in that time. So q − L·λ are late.
//!
//! s: slots, c′: capacity of the plan, times 0.9 if its bottleneck was never saturated. Narrower operators of a plan get 1.3 times their need
//! if that costs no slot.

use std::collections::BTreeMap;

use super::explain;
use super::memory::short;
use super::solve::{Plan, Purpose};
use super::view::{Shortage, View, quotient};
use crate::{Candidate, Diagnosis};

/// A plan whose tightest operator was never saturated is trusted to carry this part of its capacity.
const TRUST: f64 = 0.9;
/// A plan must carry at least this multiple of what is carried today.
const LEAST_GAIN: f64 = 1.03;
/// What narrower operators get if it costs no slot, as a multiple of what they need.
const FREE_WIDTH: f64 = 1.3;
/// Candidates that are looked at, and that a decision records beside staying.
const CANDIDATES: u32 = 96;
const RECORDED: usize = 8;
/// The time over which a backlog is worked off, in seconds.
const HOUR_S: f64 = 3600.0;
/// A rate above the capacity lasts this long before it is answered, in seconds.
const EXCEEDED_S: f64 = 120.0;

/// A load of the past is expected again up to this multiple of the newest rate.
const RECALLED_MAX: f64 = 2.0;

/// What came of the comparison.
#[derive(Debug, Clone, Default)]
pub(super) struct ScaleOut<'a> {
    pub(super) plan: Option<Plan<'a>>,
    pub(super) reasons: Vec<String>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) figures: BTreeMap<String, f64>,
    /// Why no width helps, if none does.
    pub(super) diagnosis: Option<Diagnosis>,
}

/// One width with its price.
#[derive(Debug, Clone)]
struct ScaleOutOption<'a> {
    plan: Plan<'a>,
    slots: u32,
    capacity_per_s: f64,
    prices: Vec<(&'static str, f64)>,
}

impl ScaleOutOption<'_> {
    fn price(&self) -> f64 {
        self.prices.iter().map(|(_, price)| price).sum()
    }
}

/// The rates that a widening is sized by.
#[derive(Debug, Clone, Copy)]
struct Sizing {
    /// λ, in a jump a little more than the newest rate, and while it rises at least what caught the job last.
    arrival_per_s: f64,
    /// The rate that the narrowest candidate carries.
    base_per_s: f64,
}

/// The load to size for. What comes after a moment of a rise is not known, except that loads come back: a rise probably ends where the one ended
/// that caught the job last.
fn load_per_s(view: &View<'_>) -> f64 {
    if !view.is_jump {
        return view.arrival_per_s;
    }
    let newest_per_s = view.newest_per_s.max(view.five_per_s) * (1.0 + view.sigma);
    let last_per_s = view.changes.caught.last_per_s().unwrap_or(0.0).min(RECALLED_MAX * newest_per_s);
    if view.still_rises() { newest_per_s.max(last_per_s) } else { newest_per_s }
}

fn sizing(view: &View<'_>) -> Sizing {
    let arrival_per_s = load_per_s(view);
    let violated_s = view.violated_by_change_s();
    let slope = if view.outlook.trusts_trend() { view.outlook.slope().max(0.0) } else { 0.0 };
    let (mut ahead_s, mut grown_per_s) = (60.0, arrival_per_s);
    if slope > 0.0 && arrival_per_s > 0.0 {
        // The economic order quantity: a later change is worth the slots that wait for it.
        let price = (view.options.urgent_price_s + view.options.violation_price * violated_s) * view.slots;
        let slots_per_s = view.slots * slope / arrival_per_s;
        ahead_s = quotient(2.0 * price, slots_per_s).sqrt().clamp(60.0, HOUR_S);
        grown_per_s = arrival_per_s + slope * ahead_s * (1.0 - (ahead_s / 7200.0).min(0.5));
    }
    let upper_per_s = view.outlook.upper(view.lead_s.max(ahead_s.min(900.0)), arrival_per_s);
    Sizing { arrival_per_s, base_per_s: upper_per_s.max(1.03 * arrival_per_s).max(grown_per_s) }
}

/// Violation seconds while a backlog is worked off.
fn late_s(view: &View<'_>, arrival_per_s: f64, capacity_per_s: f64, backlog: f64) -> f64 {
    let allowed = 0.8 * view.bound_s * arrival_per_s;
    let spare_per_s = capacity_per_s - arrival_per_s;
    let within_s = if backlog <= allowed && spare_per_s > 0.0 {
        0.0
    } else if capacity_per_s > 1.01 * arrival_per_s {
        quotient(backlog - allowed, spare_per_s).min(HOUR_S)
    } else {
        HOUR_S
    };
    within_s + 0.3 * quotient(backlog - spare_per_s * HOUR_S, arrival_per_s)
}

/// Returns the cheapest plan, or why the job stays as it is.
pub(super) fn scale_out<'a>(view: &View<'a>, shortage: Shortage) -> ScaleOut<'a> {
    let sizing = sizing(view);
    let stay = stay(view, sizing);
    let widths = widths(view, sizing);
    let best = widths.iter().min_by(|one, other| one.price().total_cmp(&other.price()));
    let mut widening = ScaleOut { candidates: recorded(view, &widths, &stay, best), ..ScaleOut::default() };
    let figures = [("base_per_s", sizing.base_per_s), ("stay_slot_s", stay.price())];
    widening.figures = figures.into_iter().map(|(name, value)| (name.to_owned(), short(value))).collect();
    widening.reasons.push(explain::shortage(view, shortage));
    let Some(best) = best else { return widening };
    if best.plan == view.today || best.capacity_per_s < LEAST_GAIN * view.capacity_per_s {
        widening.diagnosis = explain::diagnosis(view);
        let because = widening.diagnosis.as_ref().map(|diagnosis| diagnosis.because.as_str());
        let because = because.unwrap_or("the bottleneck is unknown");
        widening.reasons.push(format!("more subtasks do not help: {because}"));
    } else if stay.price() <= best.price() {
        widening.reasons.push(format!(
            "a change costs more than it saves: {:.0} slot-s, no change {:.0}",
            best.price(),
            stay.price()
        ));
    } else if view.awaits_the_peak(best.slots) {
        widening.reasons.push(format!(
            "the arrival rate is still rising, and {} slots take {:.0} s: their number is decided when the rise ends",
            best.slots,
            view.lead_of_s(best.slots)
        ));
    } else {
        widening.reasons.push(format!(
            "{} slots: capacity {:.0}/s, price {:.0} slot-s; no change: price {:.0}",
            best.slots,
            best.capacity_per_s,
            best.price(),
            stay.price()
        ));
        widening.plan = Some(best.plan.clone());
    }
    widening
}

fn stay<'a>(view: &View<'a>, sizing: Sizing) -> ScaleOutOption<'a> {
    let capacity_per_s = view.capacity_per_s;
    let late_s = late_s(view, sizing.arrival_per_s, capacity_per_s, view.least_backlog());
    let exceeds = view.outlook.exceeds(capacity_per_s, sizing.arrival_per_s);
    let violated_s = late_s + EXCEEDED_S * exceeds;
    let prices = vec![
        ("slots", view.options.hold_s * view.slots),
        ("violations", view.options.violation_price * view.slots * violated_s),
    ];
    ScaleOutOption { plan: view.today.clone(), slots: view.graph.slots(&view.today), capacity_per_s, prices }
}

fn widest(plan: &Plan<'_>) -> u32 {
    plan.values().copied().max().unwrap_or(1)
}

fn at_least<'a>(plan: &Plan<'a>, today: &Plan<'a>) -> Plan<'a> {
    today.iter().map(|(name, p)| (*name, plan.get(name).copied().unwrap_or(*p).max(*p))).collect()
}

/// All widths from that of the base up to three times it.
fn widths<'a>(view: &View<'a>, sizing: Sizing) -> Vec<ScaleOutOption<'a>> {
    let base_per_s = sizing.base_per_s / view.pace;
    let base = at_least(&view.graph.solve(view.options, base_per_s, Purpose::Widen), &view.today);
    let (base_slots, narrowest) = (view.graph.slots(&base), widest(&base));
    let most = view.graph.nodes.iter().map(|node| node.capacity.max).max().unwrap_or(1);
    let last =
        narrowest.saturating_mul(3).max(widest(&view.today).saturating_add(2)).min(most).max(narrowest);
    let step = (last - narrowest).div_ceil(CANDIDATES).max(1);
    let mut widths: Vec<ScaleOutOption<'a>> = Vec::new();
    for width in (narrowest..=last).step_by(usize::try_from(step).unwrap_or(1)) {
        let Some(plan) = candidate(view, width) else { continue };
        if widths.iter().all(|other| other.plan != plan) {
            widths.extend(priced(view, sizing, plan, base_slots));
        }
    }
    widths
}

/// The plan of this width: what all operators carry at it, and more for the narrower ones.
fn candidate<'a>(view: &View<'a>, width: u32) -> Option<Plan<'a>> {
    let mut full = view.today.clone();
    for node in &view.graph.nodes {
        let parallelism = width.min(node.capacity.max).max(node.capacity.today);
        full.insert(&node.operator.name, parallelism);
    }
    let (carried_per_s, _) = view.graph.carries(&full)?;
    let tight = view.graph.solve(view.options, carried_per_s * 0.999, Purpose::Widen);
    let free = view.graph.solve(view.options, carried_per_s * FREE_WIDTH, Purpose::Widen);
    let wider =
        tight.iter().map(|(name, p)| (*name, free.get(name).copied().unwrap_or(*p).max(*p).min(width)));
    Some(at_least(&wider.collect(), &view.today))
}

fn priced<'a>(
    view: &View<'a>,
    sizing: Sizing,
    plan: Plan<'a>,
    base_slots: u32,
) -> Option<ScaleOutOption<'a>> {
    let (carried_per_s, tightest) = view.graph.carries(&plan)?;
    let carried_per_s = carried_per_s * view.pace;
    let capacity_per_s =
        if tightest.capacity.was_saturated() { carried_per_s } else { carried_per_s * TRUST };
    let (options, lambda) = (view.options, sizing.arrival_per_s);
    let excess_per_s = (lambda - view.capacity_per_s).max(0.0);
    let slots = view.graph.slots(&plan);
    let waits_s = (view.lead_of_s(slots) - view.downtime_s).max(0.0);
    let backlog = view.least_backlog() + excess_per_s * waits_s + lambda * view.outage_s;
    let violated_s = (view.downtime_s - view.bound_s).max(0.0)
        + late_s(view, lambda, capacity_per_s, backlog)
        + EXCEEDED_S * view.outlook.exceeds(capacity_per_s, lambda);
    let spare = f64::from(slots.saturating_sub(base_slots));
    let prices = vec![
        ("slots", options.hold_s * f64::from(slots)),
        ("spare", options.urgent_price_s * spare),
        ("change", options.urgent_price_s * view.slots),
        ("violations", options.violation_price * view.slots * violated_s),
    ];
    Some(ScaleOutOption { plan, slots, capacity_per_s, prices })
}

/// Staying and the cheapest widths, the fewest slots first.
fn recorded(
    view: &View<'_>,
    widths: &[ScaleOutOption<'_>],
    stay: &ScaleOutOption<'_>,
    best: Option<&ScaleOutOption<'_>>,
) -> Vec<Candidate> {
    let mut cheapest: Vec<&ScaleOutOption<'_>> = widths.iter().collect();
    cheapest.sort_by(|one, other| one.price().total_cmp(&other.price()));
    cheapest.truncate(RECORDED);
    cheapest.sort_by_key(|width| width.slots);
    let record = |width: &&ScaleOutOption<'_>| Candidate {
        parallelism: changed(view, &width.plan),
        slots: width.slots,
        capacity_per_s: short(width.capacity_per_s),
        price_slot_s: short(width.price()),
        terms: width.prices.iter().map(|(name, price)| ((*name).to_owned(), short(*price))).collect(),
        is_cheapest: best.is_some_and(|best| best.plan == width.plan && best.price() < stay.price()),
    };
    let mut all = vec![record(&stay)];
    all[0].is_cheapest = best.is_none_or(|best| stay.price() <= best.price());
    all.extend(cheapest.iter().map(record));
    all
}

/// What differs from today.
pub(super) fn changed(view: &View<'_>, plan: &Plan<'_>) -> BTreeMap<String, u32> {
    let differs = |(name, p): &(&&str, &u32)| view.today.get(**name) != Some(*p);
    plan.iter().filter(differs).map(|(name, p)| ((*name).to_owned(), *p)).collect()
}
