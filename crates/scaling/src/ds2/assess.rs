//! Each operator's need, from its true processing rate.

use std::collections::BTreeMap;

use super::inputs::{OperatorInputs, View};
use super::lagging::behind_lagging_sources;
use super::memory::Memory;
use super::{Options, health};
use crate::key_groups::{whole, without_noise};
use crate::{Kind, Operator, Rejected, Snapshot, Target, targets, windows};

/// Each further subtask must add at least this share of what a present one carries, or the width is of no use.
const LEAST_YIELD: f64 = 0.2;
/// A busy share from which on an operator counts as saturated.
pub(super) const SATURATED: f64 = 0.9;

/// Which way an operator should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
    Stay,
    /// Something that the formula needs is not known.
    Unknown,
}

/// One operator, looked at.
#[derive(Debug, Clone)]
pub(super) struct Assessment {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) latency_ms: Option<f64>,
    pub(super) parallelism: u32,
    pub(super) direction: Direction,
    /// The parallelism that it should have; today's if it stays.
    pub(super) wanted: u32,
    /// Whether more arrives than it can carry.
    pub(super) is_overloaded: bool,
    pub(super) because: String,
    /// What is known of it, where all is.
    pub(super) known: Option<OperatorInputs>,
    /// The same by name, for the record.
    pub(super) figures: BTreeMap<String, f64>,
    pub(super) rejected: Vec<Rejected>,
    /// What parallelism cannot mend.
    pub(super) warning: Option<String>,
}

/// Looks at every operator. What the narrowest place of the job can take at most bounds what the others are widened for.
pub(super) fn all(options: &Options, snapshot: &Snapshot, memory: &Memory) -> Vec<Assessment> {
    let targets = targets(snapshot, options.catch_up_duration_s);
    let view = View { options, snapshot, memory, restart_s: restart_s(options, snapshot) };
    let unusable = health::unusable(snapshot);
    let known = |operator: &Operator| match &unusable {
        Some(reason) => Err(reason.clone()),
        None => view.figures(operator, targets.get(operator.name.as_str())),
    };
    let figures: Vec<Result<OperatorInputs, String>> = snapshot.operators.iter().map(known).collect();
    let known = snapshot.operators.iter().zip(&figures);
    let shares = known.filter_map(|(operator, known)| view.passed_shares(operator, known.as_ref().ok()?));
    let shares = shares.fold(PassedShares::ALL, PassedShares::least);
    let lagging = behind_lagging_sources(options, snapshot);
    let one = |(operator, known): (&Operator, Result<OperatorInputs, String>)| {
        let mut assessment = view.assess(operator, known, shares);
        if assessment.direction == Direction::Down
            && let Some(reason) = lagging.get(operator.name.as_str())
        {
            assessment.stay(reason);
        }
        assessment
    };
    snapshot.operators.iter().zip(figures).map(one).collect()
}

/// How long a change stops the job, in seconds: the median of its own past ones where they are known and wanted.
fn restart_s(options: &Options, snapshot: &Snapshot) -> f64 {
    let past = snapshot.job.rescales.iter().filter_map(|rescale| rescale.downtime_ms.or(rescale.duration_ms));
    let mut past: Vec<u64> = past.collect();
    past.sort_unstable();
    match past.get(past.len() / 2) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a restart")]
        Some(median_ms) if options.restart_time_tracking_enabled => {
            (*median_ms as f64 / 1000.0).min(options.restart_time_tracking_limit_s)
        }
        _ => options.restart_time_s,
    }
}

impl Assessment {
    fn new(operator: &Operator, direction: Direction, because: impl Into<String>) -> Self {
        Self {
            name: operator.name.clone(),
            kind: operator.kind,
            latency_ms: operator.latency_ms,
            parallelism: operator.parallelism,
            direction,
            wanted: operator.parallelism,
            is_overloaded: false,
            because: because.into(),
            known: None,
            figures: BTreeMap::new(),
            rejected: Vec::new(),
            warning: None,
        }
    }

    fn stay(&mut self, because: &str) {
        (self.direction, self.wanted) = (Direction::Stay, self.parallelism);
        self.because = format!("{}; {because}", self.because);
    }
}

/// The shares of what is asked of the job that its tightest operator lets through at its best, 0 to 1.
#[derive(Debug, Clone, Copy)]
struct PassedShares {
    /// Of what must be carried today.
    steady: f64,
    /// Of what must be carried after a change.
    planned: f64,
}

impl PassedShares {
    const ALL: Self = Self { steady: 1.0, planned: 1.0 };

    fn least(self, other: Self) -> Self {
        Self { steady: self.steady.min(other.steady), planned: self.planned.min(other.planned) }
    }
}

/// What an operator can be widened to at most, and why not further.
struct Ceiling {
    parallelism: u32,
    /// What it carries there, in records per second.
    capacity_per_s: f64,
    /// The reason, if it is not the configured or possible maximum.
    reason: Option<String>,
}

/// What is to be said of a source that is always busy and does not count what waits: nothing tells whether it keeps up.
fn may_be_short(operator: &Operator, figures: &OperatorInputs) -> Option<String> {
    let is_uncounted = operator.kind == Kind::Source && figures.target.is_estimated;
    (is_uncounted && figures.busy >= SATURATED).then(|| {
        format!(
            "{} is always busy and reports no pendingRecords, so whether it keeps up is unknown; use a connector that reports pendingRecords, or widen it by hand",
            operator.name
        )
    })
}

/// How many subtasks of a source read no partition, if any and the number of partitions itself is not known.
fn without_partitions(operator: &Operator) -> Option<usize> {
    let is_counted = operator.kind != Kind::Source || operator.source_partitions.is_some();
    let idle = operator.subtasks.iter().filter(|subtask| subtask.partitions == Some(0)).count();
    (!is_counted && (1..operator.subtasks.len()).contains(&idle)).then_some(idle)
}

impl View<'_> {
    fn assess(
        &self,
        operator: &Operator,
        figures: Result<OperatorInputs, String>,
        shares: PassedShares,
    ) -> Assessment {
        if operator.kind == Kind::AllWindow {
            let mut assessment =
                Assessment::new(operator, Direction::Stay, "an all-window operator always has parallelism 1");
            assessment.warning = self.burst_warning(operator);
            return assessment;
        }
        match figures {
            Ok(figures) => self.judge(operator, figures, shares),
            Err(unknown) => Assessment::new(operator, Direction::Unknown, unknown),
        }
    }

    /// The shares of what is asked of the job that this operator can carry at its best.
    fn passed_shares(&self, operator: &Operator, figures: &OperatorInputs) -> Option<PassedShares> {
        if figures.is_least || operator.kind == Kind::AllWindow {
            return None;
        }
        let most = self.ceiling(operator, figures).capacity_per_s;
        let of = |rate: f64| if rate > most { most / rate } else { 1.0 };
        Some(PassedShares {
            steady: of(self.asked_per_s(figures)),
            planned: of(self.required_per_s(figures, 1.0)),
        })
    }

    /// Records per second that the operator must carry today, or it is too narrow.
    fn asked_per_s(&self, figures: &OperatorInputs) -> f64 {
        figures.target.rate_per_s / self.options.utilization_max + figures.target.drain_per_s
    }

    fn ceiling(&self, operator: &Operator, figures: &OperatorInputs) -> Ceiling {
        let (today, max) = (operator.parallelism, self.max(operator));
        let capacity = |p: u32| figures.true_rate_per_s * figures.spread.even_shares(p);
        let useless = self.memory.widened(&operator.name);
        if let Some(widened) = useless.filter(|widened| widened.was_useless(today, figures.capacity_per_s)) {
            let is_saturated = figures.busy >= SATURATED;
            let indivisible = figures.spread.indivisible.describe();
            let reason = format!(
                "the last widening from {} to {} had no effect ({:.0}/s before, {:.0}/s since); {}",
                widened.from,
                widened.to,
                widened.carry_before_per_s,
                figures.capacity_per_s,
                indivisible.unwrap_or_else(|| health::cause_of_no_effect(self.snapshot, is_saturated))
            );
            return Ceiling { parallelism: today, capacity_per_s: capacity(today), reason: Some(reason) };
        }
        if let Some(idle) = without_partitions(operator) {
            let reason = format!("{idle} of its {today} subtasks have no partition to read; add partitions");
            return Ceiling { parallelism: today, capacity_per_s: capacity(today), reason: Some(reason) };
        }
        let useful = figures.spread.most_useful(today, max, LEAST_YIELD);
        let top = figures.spread.input_units().aligned(max.max(1));
        let describe = || {
            let cause = figures.spread.indivisible.describe();
            cause.unwrap_or_else(|| "further subtasks would add little capacity".to_owned())
        };
        let reason = (today < max && useful < top.max(today)).then(describe);
        Ceiling { parallelism: useful, capacity_per_s: capacity(useful), reason }
    }

    fn judge(&self, operator: &Operator, figures: OperatorInputs, shares: PassedShares) -> Assessment {
        let options = self.options;
        let Target { rate_per_s: rate, drain_per_s: drain, .. } = figures.target;
        let firing_too_long = figures.firing_ms.is_some_and(|ms| ms > options.window_firing_max_ms);
        // The tightest operator is judged by all that is asked, the others by what it lets through at its best.
        let is_tightest =
            self.passed_shares(operator, &figures).is_some_and(|own| own.planned <= shares.planned);
        let shares = if is_tightest { PassedShares::ALL } else { shares };
        let asked = self.asked_per_s(&figures) * shares.steady;
        let up = figures.capacity_per_s < without_noise(asked) || firing_too_long;
        if up && figures.is_least && !firing_too_long {
            let because = format!(
                "{}; it is hardly busy, so its true rate is unknown",
                self.formula(operator, &figures)
            );
            return Assessment::new(operator, Direction::Unknown, because);
        }
        let down = !up
            && (figures.capacity_per_s > rate / options.utilization_min + drain || rate + drain <= 0.0)
            && operator.parallelism > 1;
        let direction = match (up, down) {
            (true, _) => Direction::Up,
            (false, true) => Direction::Down,
            (false, false) => Direction::Stay,
        };
        let mut assessment = Assessment::new(operator, direction, self.formula(operator, &figures));
        assessment.is_overloaded = figures.capacity_per_s < rate;
        match direction {
            Direction::Up => self.widen(operator, &figures, shares.planned, firing_too_long, &mut assessment),
            Direction::Down => {
                let needed = self.needed(operator, &figures, 1.0).unwrap_or(operator.parallelism);
                assessment.wanted = self.limited_down(operator, needed).min(operator.parallelism);
            }
            Direction::Stay => assessment.warning = may_be_short(operator, &figures),
            Direction::Unknown => {}
        }
        assessment.figures = self.named(operator, &figures, assessment.wanted);
        if assessment.wanted == operator.parallelism {
            assessment.direction = Direction::Stay;
        } else {
            self.reject_neighbours(operator, &figures, &mut assessment);
        }
        assessment.known = Some(figures);
        assessment
    }

    fn widen(
        &self,
        operator: &Operator,
        figures: &OperatorInputs,
        share: f64,
        firing_too_long: bool,
        assessment: &mut Assessment,
    ) {
        let ceiling = self.ceiling(operator, figures);
        let needed = self.needed(operator, figures, share).unwrap_or(u32::MAX);
        let within = needed.min(ceiling.parallelism);
        assessment.wanted = self.limited_up(operator, figures, within).max(operator.parallelism);
        let is_short = self.needed(operator, figures, 1.0).is_none_or(|needed| needed > ceiling.parallelism);
        if is_short {
            assessment.warning = Some(match ceiling.reason {
                Some(reason) => format!("{}: more subtasks do not help: {reason}", operator.name),
                None => self.not_enough(operator, firing_too_long),
            });
        }
    }

    /// Records per second that the operator must be able to carry after a change, for this share of what is asked of the job.
    fn required_per_s(&self, figures: &OperatorInputs, share: f64) -> f64 {
        let options = self.options;
        // What gathers during a restart is a backlog; where none is counted, the estimate of what arrives is high enough.
        let restart = if options.catch_up_duration_s > 0.0 && !figures.target.is_estimated {
            figures.restart_s / options.catch_up_duration_s
        } else {
            0.0
        };
        let rate = figures.target.rate_per_s;
        (rate / options.utilization_target + figures.target.drain_per_s + rate * restart) * share
    }

    /// The even shares behind the needed parallelism: those of the steady state or of a firing, whichever are more.
    fn shares(&self, operator: &Operator, figures: &OperatorInputs, share: f64) -> f64 {
        let required = self.required_per_s(figures, share);
        let steady = if required > 0.0 { required / figures.true_rate_per_s } else { 0.0 };
        let today = figures.spread.even_shares(operator.parallelism);
        let limit_ms = self.options.window_firing_max_ms;
        let burst = figures.firing_ms.map_or(0.0, |ms| windows::for_burst(today, ms, limit_ms));
        without_noise(steady.max(burst))
    }

    /// The parallelism that the formulas give; [`None`] if none is enough.
    fn needed(&self, operator: &Operator, figures: &OperatorInputs, share: f64) -> Option<u32> {
        let max = self.max(operator);
        let found = figures.spread.smallest(self.shares(operator, figures, share), max)?;
        Some(found.max(self.options.vertex_min_parallelism.min(max)))
    }

    fn limited_up(&self, operator: &Operator, figures: &OperatorInputs, needed: u32) -> u32 {
        let (today, input_units) = (operator.parallelism, figures.spread.input_units());
        let step = f64::from(today) * (1.0 + self.options.scale_up_max_factor);
        let most = whole(step.floor()).max(today.saturating_add(1));
        let limited = input_units.aligned(needed.min(most));
        if needed > today && limited <= today {
            // The step allows no parallelism that carries more: take the next that does.
            return input_units.smallest(input_units.effective(today) + 1e-6, self.max(operator)).min(needed);
        }
        limited.max(self.options.vertex_min_parallelism.min(self.max(operator)))
    }

    fn limited_down(&self, operator: &Operator, needed: u32) -> u32 {
        let today = f64::from(operator.parallelism);
        let least = whole(without_noise(today * (1.0 - self.options.scale_down_max_factor)).ceil());
        needed.max(least).max(1)
    }

    fn formula(&self, operator: &Operator, figures: &OperatorInputs) -> String {
        let (options, p) = (self.options, operator.parallelism);
        let Target { rate_per_s, drain_per_s, is_estimated } = figures.target;
        let estimated = if is_estimated { " (estimated from back-pressure)" } else { "" };
        let drain =
            if drain_per_s > 0.0 { format!(" and {drain_per_s:.1}/s of backlog") } else { String::new() };
        let firing = figures.firing_ms.map_or(String::new(), |ms| {
            format!(", a firing takes {ms:.0} of {:.0} ms", options.window_firing_max_ms)
        });
        let when = if figures.is_fetcher_bound { "limited by their fetchers" } else { "when always busy" };
        format!(
            "required {rate_per_s:.1}/s{estimated}{drain}, capacity of {p} subtasks {:.1}/s {when}{firing}; target {:.0} % busy",
            figures.capacity_per_s,
            options.utilization_target * 100.0
        )
    }

    fn named(&self, operator: &Operator, figures: &OperatorInputs, wanted: u32) -> BTreeMap<String, f64> {
        let target = figures.target;
        let even = f64::from(operator.parallelism.max(1)) / figures.spread.even_shares(operator.parallelism);
        let expected = figures.true_rate_per_s * figures.spread.even_shares(wanted);
        let known = [
            ("target_rate_per_s", Some(target.rate_per_s)),
            ("drain_rate_per_s", Some(target.drain_per_s)),
            ("throughput_per_s", operator.throughput_per_s),
            ("busy_ratio", Some(figures.busy)),
            ("true_rate_per_subtask_per_s", Some(figures.true_rate_per_s)),
            ("skew", Some(even)),
            ("carry_per_s", Some(figures.capacity_per_s)),
            ("carry_expected_per_s", (wanted != operator.parallelism).then_some(expected)),
            (
                "utilization",
                (figures.capacity_per_s > 0.0).then(|| target.rate_per_s / figures.capacity_per_s),
            ),
            ("firing_ms", figures.firing_ms),
            ("restart_time_s", Some(figures.restart_s)),
            ("even_shares_needed", Some(self.shares(operator, figures, 1.0))),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The next narrower parallelism, and why it would not do.
    fn reject_neighbours(&self, operator: &Operator, figures: &OperatorInputs, assessment: &mut Assessment) {
        let narrower = assessment.wanted.saturating_sub(1);
        if narrower == 0 || figures.true_rate_per_s <= 0.0 {
            return;
        }
        let mut reject = |parallelism: u32, because: String| {
            assessment.rejected.push(Rejected { operator: operator.name.clone(), parallelism, because });
        };
        let capacity = figures.true_rate_per_s * figures.spread.even_shares(narrower);
        let because = format!("{:.0} % busy without a backlog", figures.target.rate_per_s / capacity * 100.0);
        reject(narrower, because);
        let (input_units, wider) = (figures.spread.input_units(), assessment.wanted.saturating_add(1));
        if wider <= self.max(operator) && input_units.aligned(wider) < wider {
            let top = input_units.aligned(self.max(operator));
            reject(wider, format!("no more capacity than {} (of {top} that can be used)", wider - 1));
        }
    }

    fn not_enough(&self, operator: &Operator, firing_too_long: bool) -> String {
        let max = self.max(operator);
        let is_partitions = operator.kind == Kind::Source && operator.source_partitions == Some(max);
        let (subtasks, remedy) = match (is_partitions, firing_too_long) {
            (true, _) => ("one per partition of the source", "add partitions, or reduce the cost per record"),
            (_, true) => ("all of them", "aggregate before the window, or fire more often on fewer records"),
            (_, false) => ("all of them", "reduce the cost per record, or raise the maximum"),
        };
        format!("{}: even {max} subtasks ({subtasks}) are not enough; {remedy}", operator.name)
    }

    fn burst_warning(&self, operator: &Operator) -> Option<String> {
        let ms = windows::firing_ms(operator).filter(|ms| *ms > self.options.window_firing_max_ms)?;
        Some(format!(
            "{}: a firing takes {ms:.0} ms and cannot be spread over subtasks; aggregate before the window, or use a smaller slide",
            operator.name
        ))
    }
}
