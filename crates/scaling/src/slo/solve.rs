//! The whole graph: capacity of a plan, and the smallest plan for a rate.

use std::collections::BTreeMap;

use super::arrivals::Arrivals;
use super::capacity::Capacity;
use super::measure::OperatorMemory;
use super::memory::sane;
use super::options::Options;
use crate::{Kind, Operator, Snapshot, windows};

/// An operator that was never saturated is trusted to carry this part of its capacity.
const TRUST: f64 = 0.95;

/// The purpose of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Widen,
    Narrow,
}

/// One operator of the graph.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) operator: &'a Operator,
    /// Input per record of all sources.
    pub(super) ratio: f64,
    pub(super) capacity: Capacity<'a>,
    /// Records per second at parallelism 1, 2, …; empty unless the graph is [tabulated](Graph::tabulated).
    table: Vec<f64>,
    /// The smallest parallelism at which a firing is short enough.
    for_burst: u32,
    /// Whether no parallelism makes a firing short enough.
    pub(super) fires_too_long: bool,
}

/// The operators of a job that something is known of, by name.
#[derive(Debug, Clone)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// All operators, by name.
    pub(super) operators: Vec<&'a Operator>,
}

/// A parallelism for every operator, by name.
pub(super) type Plan<'a> = BTreeMap<&'a str, u32>;

impl Node<'_> {
    pub(super) fn carries(&self, parallelism: u32) -> f64 {
        let index = usize::try_from(parallelism.max(1) - 1).unwrap_or(usize::MAX);
        self.table.get(index).copied().unwrap_or_else(|| self.capacity.per_s(parallelism))
    }

    /// The part of this rate that it carries at a parallelism for which every further subtask adds enough, at most 1.
    fn reachable(&self, wanted_per_s: f64, least_yield: f64) -> f64 {
        if wanted_per_s <= 0.0 || self.carries(self.capacity.today) >= wanted_per_s {
            return 1.0;
        }
        (self.top(least_yield) / wanted_per_s).min(1.0)
    }

    /// The largest capacity for which every further subtask adds enough.
    fn top(&self, least_yield: f64) -> f64 {
        let today = self.capacity.today;
        let now = self.carries(today);
        let narrower = (1..=today).map(|p| self.carries(p)).fold(0.0, f64::max);
        let pays = |p: u32| {
            let gain = self.carries(p) - now;
            gain >= least_yield * f64::from(p - today) * now / f64::from(today)
        };
        (today + 1..=self.capacity.max).filter(|p| pays(*p)).map(|p| self.carries(p)).fold(narrower, f64::max)
    }

    fn smallest(&self, wanted_per_s: f64, purpose: Purpose) -> u32 {
        let carries = |p: u32| {
            let is_guess = purpose == Purpose::Narrow && !self.capacity.has_seen(p);
            self.carries(p) * if is_guess { 1.0 - self.capacity.extrapolation_error() } else { 1.0 }
        };
        let enough = (1..=self.capacity.max).find(|p| carries(*p) >= wanted_per_s);
        enough.unwrap_or(self.capacity.max).max(self.for_burst)
    }
}

impl<'a> Graph<'a> {
    pub(super) fn new(
        options: &Options,
        (remembered, arrivals): (&'a BTreeMap<String, OperatorMemory>, &Arrivals),
        snapshot: &'a Snapshot,
        now_ms: i64,
    ) -> Self {
        let mut operators: Vec<&Operator> = snapshot.operators.iter().collect();
        operators.sort_by(|one, other| one.name.cmp(&other.name));
        let node = |operator: &&'a Operator| {
            let own = remembered.get(&operator.name)?;
            let ratio = match operator.kind {
                Kind::Source => arrivals.share(&operator.name)?,
                _ => own.ratio()?,
            };
            let capacity = Capacity::new(snapshot, operator, own, now_ms / 1000)?;
            let ratio = sane(Some(ratio)).filter(|ratio| *ratio > 0.0)?;
            let mut node =
                Node { operator, ratio, capacity, table: Vec::new(), for_burst: 1, fires_too_long: false };
            node.limit_firings(options);
            Some(node)
        };
        let nodes = operators.iter().filter_map(node).collect();
        Self { nodes, operators }
    }

    /// Computes the capacities at every parallelism in advance, which pays where many plans are compared.
    pub(super) fn tabulated(mut self) -> Self {
        for Node { capacity, table, .. } in &mut self.nodes {
            *table = (1..=capacity.max).map(|p| capacity.per_s(p)).collect();
        }
        self
    }

    /// Today's parallelism of every operator.
    pub(super) fn today(&self) -> Plan<'a> {
        self.operators.iter().map(|operator| (operator.name.as_str(), operator.parallelism.max(1))).collect()
    }

    /// Returns what a plan carries, in records of all sources per second, and the operator that limits it; [`None`] if nothing
    /// is known of any operator.
    pub(super) fn carries(&self, plan: &Plan<'_>) -> Option<(f64, &Node<'a>)> {
        let of = |node: &Node<'_>| {
            let parallelism = plan.get(node.operator.name.as_str()).copied().unwrap_or(node.capacity.today);
            node.carries(parallelism) / node.ratio
        };
        self.nodes.iter().map(|node| (of(node), node)).min_by(|one, other| one.0.total_cmp(&other.0))
    }

    /// Returns the smallest plan that carries this rate of all sources. Where an operator cannot carry it, all are given what it
    /// can. Operators of which nothing is known stay as they are.
    pub(super) fn solve(&self, options: &Options, rate_per_s: f64, purpose: Purpose) -> Plan<'a> {
        let wanted = |node: &Node<'_>| {
            let rate_per_s = rate_per_s * node.ratio;
            if node.capacity.was_saturated() { rate_per_s } else { rate_per_s / TRUST }
        };
        let parts = self.nodes.iter().map(|node| node.reachable(wanted(node), options.least_yield));
        let reachable = parts.fold(1.0, f64::min);
        let factor = match purpose {
            _ if reachable >= 1.0 => 1.0,
            Purpose::Narrow => reachable * 0.98,
            Purpose::Widen => reachable * 0.999,
        };
        let mut plan = self.today();
        for node in &self.nodes {
            plan.insert(&node.operator.name, node.smallest(wanted(node) * factor, purpose));
        }
        plan
    }

    /// The slots that a plan needs: of each slot sharing group as many as its widest operator has subtasks.
    pub(super) fn slots(&self, plan: &Plan<'_>) -> u32 {
        self.widths(plan).values().sum()
    }

    /// The widest operator of each slot sharing group.
    pub(super) fn widths(&self, plan: &Plan<'_>) -> BTreeMap<&'a str, u32> {
        let mut widths = BTreeMap::new();
        for operator in &self.operators {
            let parallelism =
                plan.get(operator.name.as_str()).copied().unwrap_or(operator.parallelism.max(1));
            let widest: &mut u32 = widths.entry(group(operator)).or_insert(1);
            *widest = parallelism.max(*widest);
        }
        widths
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| node.operator.name == name)
    }
}

/// The slot sharing group of an operator.
pub(super) fn group(operator: &Operator) -> &str {
    operator.slot_sharing_group.as_deref().unwrap_or_default()
}

impl Node<'_> {
    /// Finds the parallelism at which one firing takes no more than its share of the bound.
    fn limit_firings(&mut self, options: &Options) {
        let firing_ms = windows::firing_ms(self.operator).filter(|_| self.operator.kind.is_windowed());
        let firing_ms = sane(firing_ms);
        let (Some(firing_ms), Some(bound_s)) = (firing_ms.filter(|ms| *ms > 0.0), options.bound_s()) else {
            return;
        };
        let most_ms = options.burst_share * bound_s * 1000.0;
        let today = self.capacity.share(self.capacity.today).max(1e-9);
        let fits = |p: &u32| firing_ms * self.capacity.share(*p) / today <= most_ms;
        match (1..=self.capacity.max).find(fits) {
            Some(parallelism) => self.for_burst = parallelism,
            None => (self.for_burst, self.fires_too_long) = (self.capacity.max, true),
        }
    }
}
