//! One operator's need, from its true processing rate.

use std::collections::BTreeMap;

use super::{BusyTime, Options, is_catching_up};
use crate::key_groups::{Portions, whole, without_noise};
use crate::{Kind, Operator, Rejected, Snapshot, Target, targets, windows};

/// Fewer records per subtask than this tell nothing about skew: the noise of counting them is larger.
const RECORDS_FOR_SKEW: f64 = 1000.0;
/// A busy share below this cannot be told from none (engines count whole milliseconds per second): the true rate is then at least what
/// it would be with this share, and how much more is unknown.
const LEAST_BUSY: f64 = 0.001;

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
    pub(super) because: String,
    pub(super) figures: BTreeMap<String, f64>,
    pub(super) rejected: Vec<Rejected>,
    /// What parallelism cannot mend.
    pub(super) warning: Option<String>,
}

pub(super) fn all(options: &Options, snapshot: &Snapshot) -> Vec<Assessment> {
    let targets = targets(snapshot, options.catch_up_duration_s);
    let restart_s = restart_s(options, snapshot);
    let catching_up = is_catching_up(options, snapshot);
    let one = |operator: &Operator| {
        let view = View { options, snapshot, operator, restart_s };
        let mut assessment = view.assess(targets.get(operator.name.as_str()));
        if catching_up && assessment.direction == Direction::Down {
            assessment.stay("the backlog is still being worked off");
        }
        assessment
    };
    snapshot.operators.iter().map(one).collect()
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
            because: because.into(),
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

struct View<'a> {
    options: &'a Options,
    snapshot: &'a Snapshot,
    operator: &'a Operator,
    restart_s: f64,
}

/// The figures of the formula, all known.
struct Figures {
    target: Target,
    /// Records per second that today's parallelism could carry.
    carry_per_s: f64,
    /// The same per even share.
    carry_per_share: f64,
    skew: f64,
    firing_ms: Option<f64>,
    /// Whether it is hardly busy, so that it may carry any amount more.
    is_least: bool,
}

impl View<'_> {
    fn assess(&self, target: Option<&Target>) -> Assessment {
        let operator = self.operator;
        if operator.kind == Kind::AllWindow {
            let mut assessment =
                Assessment::new(operator, Direction::Stay, "an all-window operator always runs at 1");
            assessment.warning = self.burst_warning();
            return assessment;
        }
        match self.figures(target) {
            Ok(figures) => self.judge(&figures),
            Err(unknown) => Assessment::new(operator, Direction::Unknown, unknown),
        }
    }

    fn figures(&self, target: Option<&Target>) -> Result<Figures, &'static str> {
        let operator = self.operator;
        let rate = operator.throughput_per_s.ok_or("its rate is unknown")?;
        let busy = self.busy().ok_or("its busy time is unknown")?;
        let target = *target.ok_or("what is asked of it is unknown")?;
        let skew = self.skew();
        let carry_per_share = rate / (f64::from(operator.parallelism.max(1)) * busy.max(LEAST_BUSY)) / skew;
        if carry_per_share <= 0.0 && target.rate_per_s + target.drain_per_s > 0.0 {
            return Err("it processed nothing, which tells no rate");
        }
        let carry_per_s = carry_per_share * self.portions().effective(operator.parallelism);
        let (firing_ms, is_least) = (windows::firing_ms(operator), busy < LEAST_BUSY);
        Ok(Figures { target, carry_per_s, carry_per_share, skew, firing_ms, is_least })
    }

    /// Mean busy share over the subtasks, 0 to 1.
    fn busy(&self) -> Option<f64> {
        let shares: Option<Vec<f64>> =
            self.operator.subtasks.iter().map(|subtask| subtask.busy_ratio).collect();
        let of_subtasks = shares.filter(|shares| !shares.is_empty()).map(|shares| {
            shares.iter().sum::<f64>() / f64::from(u32::try_from(shares.len()).unwrap_or(u32::MAX))
        });
        Some(of_subtasks.or(self.operator.busy_ratio)?.clamp(0.0, 1.0))
    }

    fn portions(&self) -> Portions {
        let operator = self.operator;
        if !self.options.key_group_alignment {
            return Portions::None;
        }
        match operator.source_partitions {
            Some(partitions) if operator.kind == Kind::Source => Portions::Of(partitions.max(1)),
            _ if operator.is_keyed() => {
                let own = operator.max_parallelism.unwrap_or(self.snapshot.job.max_parallelism);
                Portions::Of(own.min(self.snapshot.job.max_parallelism).max(1))
            }
            _ => Portions::None,
        }
    }

    /// How much fuller the fullest subtask is than its portions explain, 1 or more.
    fn skew(&self) -> f64 {
        let operator = self.operator;
        let is_source = operator.kind == Kind::Source;
        let taken =
            |subtask: &crate::Subtask| if is_source { subtask.records_out } else { subtask.records_in };
        let counts: Option<Vec<f64>> = operator.subtasks.iter().map(taken).collect();
        let Some(counts) = counts.filter(|counts| !counts.is_empty()) else { return 1.0 };
        let subtasks = f64::from(u32::try_from(counts.len()).unwrap_or(u32::MAX));
        let mean = counts.iter().sum::<f64>() / subtasks;
        if self.options.busy_time_aggregator == BusyTime::Avg || mean < RECORDS_FOR_SKEW {
            return 1.0;
        }
        let fullest = counts.iter().copied().fold(0.0, f64::max);
        let explained =
            f64::from(operator.parallelism.max(1)) / self.portions().effective(operator.parallelism);
        (fullest / mean / explained).max(1.0)
    }

    fn max(&self) -> u32 {
        let operator = self.operator;
        let own = operator.max_parallelism.unwrap_or(u32::MAX);
        let partitions =
            operator.source_partitions.filter(|_| operator.kind == Kind::Source).unwrap_or(u32::MAX);
        self.options
            .vertex_max_parallelism
            .min(self.snapshot.job.max_parallelism)
            .min(own)
            .min(partitions)
            .max(1)
    }

    fn judge(&self, figures: &Figures) -> Assessment {
        let (options, operator) = (self.options, self.operator);
        let (rate, drain) = (figures.target.rate_per_s, figures.target.drain_per_s);
        let firing_too_long = figures.firing_ms.is_some_and(|ms| ms > options.window_firing_max_ms);
        let up = figures.carry_per_s < rate / options.utilization_max + drain || firing_too_long;
        if up && figures.is_least && !firing_too_long {
            let because = format!("{}; it is hardly busy, which tells no true rate", self.formula(figures));
            return Assessment::new(operator, Direction::Unknown, because);
        }
        let down = !up
            && (figures.carry_per_s > rate / options.utilization_min + drain || rate + drain <= 0.0)
            && operator.parallelism > 1;
        let direction = if up {
            Direction::Up
        } else if down {
            Direction::Down
        } else {
            Direction::Stay
        };
        let mut assessment = Assessment::new(operator, direction, self.formula(figures));
        assessment.figures = self.named(figures);
        let (needed, ideal) = self.needed(figures);
        assessment.wanted = match direction {
            Direction::Up => self.limited_up(needed).max(operator.parallelism),
            Direction::Down => self.limited_down(needed).min(operator.parallelism),
            Direction::Stay | Direction::Unknown => operator.parallelism,
        };
        if up && self.portions().effective(self.max()) < without_noise(ideal) {
            assessment.warning = Some(self.not_enough(firing_too_long));
        }
        if assessment.wanted == operator.parallelism {
            assessment.direction = Direction::Stay;
        } else {
            self.reject_neighbours(figures, &mut assessment);
        }
        assessment
    }

    /// The parallelism that the formulae give, and the even shares behind it.
    fn needed(&self, figures: &Figures) -> (u32, f64) {
        let (options, portions) = (self.options, self.portions());
        let restart = if options.catch_up_duration_s > 0.0 {
            self.restart_s / options.catch_up_duration_s
        } else {
            0.0
        };
        let rate = figures.target.rate_per_s;
        let required = rate / options.utilization_target + figures.target.drain_per_s + rate * restart;
        let steady = if required > 0.0 { required / figures.carry_per_share } else { 0.0 };
        let today = portions.effective(self.operator.parallelism);
        let burst =
            figures.firing_ms.map_or(0.0, |ms| windows::for_burst(today, ms, options.window_firing_max_ms));
        let shares = without_noise(steady.max(burst));
        let max = self.max();
        (portions.smallest(shares, max).max(options.vertex_min_parallelism.min(max)), shares)
    }

    fn limited_up(&self, needed: u32) -> u32 {
        let (today, portions) = (self.operator.parallelism, self.portions());
        let most =
            whole((f64::from(today) * (1.0 + self.options.scale_up_max_factor)).floor()).max(today + 1);
        let limited = portions.aligned(needed.min(most));
        if needed > today && limited <= today {
            // The step allows no parallelism that carries more: take the next that does.
            return portions.smallest(portions.effective(today) + 1e-6, self.max()).min(needed);
        }
        limited.max(self.options.vertex_min_parallelism.min(self.max()))
    }

    fn limited_down(&self, needed: u32) -> u32 {
        let today = f64::from(self.operator.parallelism);
        let least = whole(without_noise(today * (1.0 - self.options.scale_down_max_factor)).ceil());
        needed.max(least).max(1)
    }

    fn formula(&self, figures: &Figures) -> String {
        let (options, p) = (self.options, self.operator.parallelism);
        let Target { rate_per_s, drain_per_s, is_estimated } = figures.target;
        let estimated = if is_estimated { " (estimated from back-pressure)" } else { "" };
        let drain =
            if drain_per_s > 0.0 { format!(" and {drain_per_s:.1}/s of backlog") } else { String::new() };
        let firing = figures.firing_ms.map_or(String::new(), |ms| {
            format!(", a firing takes {ms:.0} of {:.0} ms", options.window_firing_max_ms)
        });
        format!(
            "asked for {rate_per_s:.1}/s{estimated}{drain}, {p} subtasks carry {:.1}/s when always busy{firing}; target {:.0} % busy",
            figures.carry_per_s,
            options.utilization_target * 100.0
        )
    }

    fn named(&self, figures: &Figures) -> BTreeMap<String, f64> {
        let (shares, target) = (self.needed(figures).1, figures.target);
        let known = [
            ("target_rate_per_s", Some(target.rate_per_s)),
            ("drain_rate_per_s", Some(target.drain_per_s)),
            ("throughput_per_s", self.operator.throughput_per_s),
            ("busy_ratio", self.busy()),
            ("true_rate_per_subtask_per_s", Some(figures.carry_per_share * figures.skew)),
            ("skew", Some(figures.skew)),
            ("carry_per_s", Some(figures.carry_per_s)),
            ("utilization", (figures.carry_per_s > 0.0).then(|| target.rate_per_s / figures.carry_per_s)),
            ("firing_ms", figures.firing_ms),
            ("restart_time_s", Some(self.restart_s)),
            ("even_shares_needed", Some(shares)),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The next narrower parallelism, and why it would not do.
    fn reject_neighbours(&self, figures: &Figures, assessment: &mut Assessment) {
        let narrower = assessment.wanted.saturating_sub(1);
        if narrower == 0 || figures.carry_per_share <= 0.0 {
            return;
        }
        let carry = figures.carry_per_share * self.portions().effective(narrower);
        let because = format!("{:.0} % busy without a backlog", figures.target.rate_per_s / carry * 100.0);
        assessment.rejected.push(Rejected {
            operator: assessment.name.clone(),
            parallelism: narrower,
            because,
        });
        let top = self.portions().aligned(self.max());
        if assessment.wanted < self.max()
            && self.portions().aligned(assessment.wanted + 1) <= assessment.wanted
        {
            let because = format!("carries no more than {} (of {top} that can be used)", assessment.wanted);
            let wider = assessment.wanted + 1;
            assessment.rejected.push(Rejected {
                operator: assessment.name.clone(),
                parallelism: wider,
                because,
            });
        }
    }

    fn not_enough(&self, firing_too_long: bool) -> String {
        let remedy = if firing_too_long {
            "aggregate before the window, or let it fire more often on less"
        } else {
            "make a record cheaper, or raise the maximum"
        };
        format!("{}: even {} subtasks are not enough; {remedy}", self.operator.name, self.max())
    }

    fn burst_warning(&self) -> Option<String> {
        let ms = windows::firing_ms(self.operator).filter(|ms| *ms > self.options.window_firing_max_ms)?;
        Some(format!(
            "{}: a firing takes {ms:.0} ms and cannot be spread over subtasks; aggregate before the window, or use a smaller slide",
            self.operator.name
        ))
    }
}
