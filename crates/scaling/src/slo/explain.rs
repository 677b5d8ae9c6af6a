//! The sentences of a decision: why the job is widened, and why widening would be useless.

use super::measure::input_units;
use super::memory::{sane, short};
use super::solve::Node;
use super::view::{Shortage, View};
use crate::{Cause, Diagnosis, Kind, OperatorReport, key_groups::InputUnits};

/// What the operators were found to be.
pub(super) fn reports(
    view: &View<'_>,
    changed: &std::collections::BTreeMap<String, u32>,
) -> Vec<OperatorReport> {
    let report = |operator: &&crate::Operator| {
        let node = view.node(&operator.name);
        let new_parallelism = changed.get(&operator.name).copied();
        let new = new_parallelism.filter(|new| node.is_some_and(|node| !node.capacity.has_seen(*new)));
        let predicted = new.zip(node).map(|(new, node)| node.capacity.without_margin(new));
        let figures = node.map(|node| figures(node, predicted)).unwrap_or_default();
        OperatorReport {
            name: operator.name.clone(),
            kind: operator.kind,
            latency_ms: operator.latency_ms,
            parallelism: operator.parallelism,
            new_parallelism,
            because: node.map_or("its capacity is unknown, so it is not changed".to_owned(), sentence),
            figures,
        }
    };
    view.graph.operators.iter().map(report).collect()
}

fn figures(node: &Node<'_>, predicted: Option<f64>) -> std::collections::BTreeMap<String, f64> {
    let capacity = &node.capacity;
    let today = capacity.today;
    // In the order of a map, which is then built fastest.
    let known = [
        ("busy_correction", Some(capacity.gamma())),
        ("capacity_per_s", Some(node.carries(today))),
        ("contention", Some(capacity.alpha)),
        ("fullest_share", Some(capacity.share(today))),
        ("input_ratio", Some(node.ratio)),
        (PREDICTED, predicted),
        ("service_s", Some(capacity.service_s(today))),
    ];
    let figure = |(name, value): (&str, Option<f64>)| Some((name.to_owned(), short(sane(value)?)));
    known.into_iter().filter_map(figure).collect()
}

/// The figure of an operator's report that holds the predicted capacity, in records per second.
pub(super) const PREDICTED: &str = "predicted_per_s";

fn sentence(node: &Node<'_>) -> String {
    let today = node.capacity.today;
    format!(
        "capacity {:.0}/s at {today}, {:.0}/s in records of all sources",
        node.carries(today),
        node.carries(today) / node.ratio
    )
}

/// Why the job must be widened.
pub(super) fn shortage(view: &View<'_>, shortage: Shortage) -> String {
    let rates = format!(
        "arrival rate {:.0}/s, capacity {:.0}/s (bottleneck {})",
        view.arrival_per_s, view.capacity_per_s, view.tightest
    );
    match shortage {
        Shortage::Delay => format!(
            "predicted delay {:.1} s, bound {:.1} s: {rates}, backlog {:.0}",
            view.delay_s(),
            view.bound_s,
            view.least_backlog()
        ),
        Shortage::Stuck => {
            format!("a backlog of {:.0} records does not shrink: {rates}", view.least_backlog())
        }
        Shortage::Forecast => format!(
            "forecast {:.0}/s within {:.0} s ({} with its past errors): {rates}",
            view.near_per_s(),
            view.lead_s,
            view.outlook.model(view.lead_s).name()
        ),
    }
}

/// The state of a job that is wide enough.
pub(super) fn enough(view: &View<'_>) -> String {
    format!(
        "wide enough: arrival rate {:.0}/s, capacity {:.0}/s (bottleneck {}), predicted delay {:.2} s of {:.1} s",
        view.arrival_per_s,
        view.capacity_per_s,
        view.tightest,
        view.delay_s(),
        view.bound_s
    )
}

/// Why more subtasks of the tightest operator do not help.
pub(super) fn diagnosis(view: &View<'_>) -> Option<Diagnosis> {
    let node = view.node(&view.tightest)?;
    let (cause, because) = of_kind(node).or_else(|| of_work(view, node)).unwrap_or_else(|| of_width(node));
    Some(Diagnosis { cause, operator: node.operator.name.clone(), because })
}

/// What kind of operator it is: a window over all keys, firings that are too long, a source without a partition to spare.
fn of_kind(node: &Node<'_>) -> Option<(Cause, String)> {
    let (name, parallelism) = (&node.operator.name, node.capacity.today);
    if node.operator.kind == Kind::AllWindow {
        return Some((
            Cause::AllWindow,
            format!("{name} is an all-window operator, which always has parallelism 1"),
        ));
    }
    if node.fires_too_long {
        let because =
            format!("firings of {name} take too long at any parallelism: aggregate before the window");
        return Some((Cause::WindowBurst, because));
    }
    let has_all = node.operator.source_partitions.is_some_and(|most| parallelism >= most);
    (node.operator.kind == Kind::Source && has_all).then(|| {
        let because =
            format!("{name} has a subtask for each of its {parallelism} partitions: add partitions");
        (Cause::SourceLimited, because)
    })
}

/// How its work is spread, and what its subtasks wait for.
fn of_work(view: &View<'_>, node: &Node<'_>) -> Option<(Cause, String)> {
    let (operator, capacity, name) = (node.operator, &node.capacity, &node.operator.name);
    let parallelism = capacity.today;
    let is_portioned = input_units(view.snapshot, operator) != InputUnits::None;
    if is_portioned && capacity.excess >= 1.0 / f64::from(parallelism) {
        let because = format!(
            "one subtask of {name}{} gets {:.0} % of the records at any parallelism",
            fullest(node),
            capacity.share(parallelism) * 100.0
        );
        return Some((Cause::Skew, because));
    }
    let all_busy = !operator.subtasks.is_empty()
        && operator.subtasks.iter().all(|subtask| subtask.busy_ratio.is_some_and(|busy| busy >= 0.9));
    if capacity.alpha >= 0.5 && all_busy {
        let because =
            format!("{name} waits for an external system: its subtasks get slower as their number grows");
        return Some((Cause::External, because));
    }
    let gc = view.snapshot.task_managers.iter().filter_map(|tm| sane(tm.gc_ms_per_s)).reduce(f64::max);
    let gc = gc.filter(|gc| *gc > 100.0)?;
    let because = format!(
        "task managers spend {:.0} % of the time in garbage collection: give them more memory",
        gc / 10.0
    );
    Some((Cause::GarbageCollection, because))
}

fn of_width(node: &Node<'_>) -> (Cause, String) {
    let (name, capacity) = (&node.operator.name, &node.capacity);
    if capacity.today >= capacity.max {
        return (Cause::Width, format!("{name} has reached its maximum ({})", capacity.today));
    }
    let because =
        format!("further subtasks of {name} add too little capacity (contention {:.2})", capacity.alpha);
    (Cause::Contention, because)
}

/// The subtask that gets most records, as ` (number 3)`.
fn fullest(node: &Node<'_>) -> String {
    let counted = node.operator.subtasks.iter().enumerate();
    let counted = counted.filter_map(|(index, subtask)| Some((index, sane(subtask.records_in)?)));
    let fullest = counted.max_by(|one, other| one.1.total_cmp(&other.1));
    fullest.map(|(index, _)| format!(" (number {index})")).unwrap_or_default()
}
