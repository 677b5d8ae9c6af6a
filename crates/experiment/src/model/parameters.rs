//! Parameters of the model, measured on a real job: a scenario, and notes on how well they are known.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sim::conditions::{BUFFER_S, ChangeMethod, Faults, OPERATOR_LATENCY_S, Slots};
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{InputSpec, JobSpec, OperatorSpec, Scenario, ScenarioSet};

use super::law::Law;
use super::recording::Recording;
use super::service::{self, Seen};
use super::transitions::{self, Transitions};
use super::{graph, spread};
use crate::row::{Column, Row};
use crate::spread::Spread;

/// The model's autocorrelation of capacity makes the deviation of a mean over five seconds this part of that of a second:
/// √(Σ 0.9^|i − j|) ÷ 5 over i, j from 1 to 5.
const OF_MEAN: f64 = 0.923;
/// Greatest noise that a scenario may have.
const NOISE_MAX: f64 = 0.3;
/// Parameters of the example load, relative to the capacity at parallelism 1.
const CALM: f64 = 0.6;
const PEAK: f64 = 1.8;

/// Measured parameters.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    pub(crate) scenario: Scenario,
    /// How each was measured, a sentence each.
    pub(crate) notes: Vec<String>,
}

const OPENING: &str = "\
# Parameters of a real job, measured by `experiment calibrate` (docs/simulator.md). Duration and load are an example: replace them by
# your own. The start of a task manager and the firings of windows are not measured.
";

impl Parameters {
    /// Formats the parameters as a scenario file, with the notes as comments.
    ///
    /// # Errors
    /// They cannot be written as TOML.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        let toml = self.scenario.to_toml().context("cannot write the parameters as TOML")?;
        let notes: String = self.notes.iter().map(|note| format!("# * {note}\n")).collect();
        Ok(format!("{OPENING}#\n{notes}\n{toml}"))
    }
}

/// Measures the parameters from these runs; `way` is the kind of changes that the scenario makes: `in-place` or `restart`.
///
/// # Errors
/// The runs do not show enough.
pub(crate) fn measure(recordings: &[Recording], way: &str) -> anyhow::Result<Parameters> {
    let bottleneck = bottleneck(recordings)?;
    let seen = service::seen(recordings, &bottleneck);
    let age_s = counter_age_s(recordings).unwrap_or(0.0);
    let at_rest = |width: u32| seen.get(&width).and_then(|seen| seen.service_s);
    let transitions = transitions::measure(recordings, way, &bottleneck, at_rest, age_s)
        .with_context(|| format!("no run has a change of kind {way}"))?;
    let mut notes = vec![format!("{} runs; {bottleneck} was run at {} widths", recordings.len(), seen.len())];
    let mut operators = graph::operators(recordings)?;
    for operator in &mut operators {
        if operator.name == bottleneck {
            set_capacity(operator, &seen, input_ratio(recordings, &bottleneck), &mut notes)?;
        } else if let Some(service_s) = service::mean_service_s(recordings, &operator.name) {
            operator.rate_per_s = 1.0 / service_s;
        }
    }
    notes.push(describe(&transitions, way));
    let scenario = scenario(recordings, operators, &seen, &transitions, age_s, &mut notes)?;
    Ok(Parameters { scenario, notes })
}

/// Returns the operator with the most widths.
fn bottleneck(recordings: &[Recording]) -> anyhow::Result<String> {
    let mut widths: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for row in recordings.iter().flat_map(|recording| &recording.rows) {
        for (name, width) in &row.parallelism {
            let own = widths.entry(name).or_default();
            if !own.contains(width) {
                own.push(*width);
            }
        }
    }
    let most = widths.into_iter().max_by_key(|(_, widths)| widths.len());
    let (name, widths) = most.context("the runs have no rows with a running job")?;
    ensure!(
        widths.len() > 1,
        "no operator was run at two widths; run configs/experiments/calibration/in-place.toml first"
    );
    Ok(name.to_owned())
}

/// Returns the records that an operator reads per record of all sources.
fn input_ratio(recordings: &[Recording], operator: &str) -> f64 {
    let (mut own, mut all) = (0.0, 0.0);
    for timed in recordings.iter().flat_map(Recording::warm_at_rest) {
        for other in &timed.snapshot.operators {
            let records = other.throughput_per_s.unwrap_or(0.0) * timed.length_s();
            own += if other.name == operator { records } else { 0.0 };
            all += if other.kind == scaling::Kind::Source { records } else { 0.0 };
        }
    }
    if all > 0.0 { own / all } else { 1.0 }
}

/// Sets the bottleneck's law, bias and distribution of keys.
fn set_capacity(
    operator: &mut OperatorSpec,
    seen: &BTreeMap<u32, Seen>,
    ratio: f64,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    // Under overload a subtask works all the time: the rate of the fullest one is its capacity, whatever its busy time says.
    let saturated = |seen: &Seen| Some(1.0 / (seen.saturated_per_s? * ratio * seen.fullest_share));
    let true_s: Vec<(u32, f64)> = seen.iter().filter_map(|(p, seen)| Some((*p, saturated(seen)?))).collect();
    let busy_s: Vec<(u32, f64)> = seen.iter().filter_map(|(p, seen)| Some((*p, seen.service_s?))).collect();
    let points = if true_s.len() >= 2 { &true_s } else { &busy_s };
    let law = Law::fit(points).context("no service time was measured")?;
    (operator.rate_per_s, operator.contention, operator.coherence) =
        (law.rate_per_s, law.contention, law.coherence);
    let bias = Spread::from_values(busy_s.iter().map(|(p, service_s)| service_s / law.service_s(*p)));
    operator.busy_bias = bias.map_or(1.0, |bias| bias.median.clamp(0.01, 1.0));
    let text = |points: &[(u32, f64)]| {
        points.iter().map(|(p, s)| format!("{p}: {:.1}", s * 1e6)).collect::<Vec<_>>().join(", ")
    };
    let source = if true_s.len() >= 2 { "under overload" } else { "from busy time at rest" };
    notes.push(format!(
        "{}: microseconds of a subtask per record by width {source} ({}); the law misses by {:.1} % at most{}",
        operator.name,
        text(points),
        law.error * 100.0,
        if law.error > 0.05 { ", so the model lacks something" } else { "" }
    ));
    notes.push(format!("{}: the same from busy time at rest ({})", operator.name, text(&busy_s)));
    spread::fit(operator, seen, notes)
}

/// Returns how old the counters of a row are, in seconds: the median over the runs.
fn counter_age_s(recordings: &[Recording]) -> Option<f64> {
    Spread::from_values(recordings.iter().filter_map(Recording::counter_age_s)).map(|spread| spread.median)
}

fn describe(transitions: &Transitions, way: &str) -> String {
    let Transitions { count, replay_s, warm_up_s, .. } = transitions;
    let known = |value: &Option<f64>| value.map_or("not measured".to_owned(), |s| format!("{s:.1} s"));
    format!(
        "{count} changes ({way}): wait and outage without the 5 % at either end; replay {}, warm-up {}",
        known(replay_s),
        known(warm_up_s)
    )
}

fn scenario(
    recordings: &[Recording],
    operators: Vec<OperatorSpec>,
    seen: &BTreeMap<u32, Seen>,
    transitions: &Transitions,
    age_s: f64,
    notes: &mut Vec<String>,
) -> anyhow::Result<Scenario> {
    let default = ChangeMethod::IN_PLACE;
    let change = ChangeMethod {
        wait_s: thousandths(transitions.wait_s),
        outage_s: thousandths(transitions.outage_s),
        replay_s: thousandth(transitions.replay_s.unwrap_or(default.replay_s)),
        warm_up_s: transitions.warm_up_s.unwrap_or(default.warm_up_s),
    };
    let latency_ms = median_of_rest(recordings, Column::EventLatencyMeanMs);
    #[expect(clippy::cast_precision_loss, reason = "operators of a job")]
    let operator_latency_s = latency_ms.map_or(OPERATOR_LATENCY_S, |ms| ms / 1000.0 / operators.len() as f64);
    let slots = slots(recordings);
    let bound_ms = recordings.first().map_or(1000.0, |recording| recording.summary.latency_max_ms);
    notes.push(format!("metric age: counters are {age_s:.2} s behind"));
    let first = operators.iter().find(|operator| seen_capacity(operator, seen).is_some());
    let carried = first.and_then(|operator| seen_capacity(operator, seen)).unwrap_or(1000.0);
    let level = |part: f64| (part * carried).round();
    Ok(Scenario {
        name: "calibrated".to_owned(),
        set: ScenarioSet::Own,
        is_externally_limited: false,
        duration_s: 300,
        latency_bound_s: bound_ms / 1000.0,
        metric_age_s: whole(age_s),
        operator_latency_s: thousandth(operator_latency_s),
        buffer_s: thousandth(buffer_s(recordings, notes).unwrap_or(BUFFER_S)),
        job: JobSpec { template: None, operators: rounded(operators), capacity_spread: 0.0 },
        load: LoadSpec {
            shape: Shape::Steps { levels: vec![(0, level(CALM)), (60, level(PEAK)), (180, level(CALM))] },
            noise: Noise { fast: 0.02, slow: 0.01 },
        },
        change,
        faults: Faults { capacity_noise: noise(seen, notes), ..Faults::default() },
        slots,
        step: None,
    })
}

/// Returns the records of all sources per second that parallelism 1 of the measured operator carries.
fn seen_capacity(operator: &OperatorSpec, seen: &BTreeMap<u32, Seen>) -> Option<f64> {
    seen.get(&1)?.saturated_per_s.or_else(|| (operator.rate_per_s < 1e6).then_some(operator.rate_per_s))
}

fn median_of_rest(recordings: &[Recording], column: Column) -> Option<f64> {
    let rows = recordings.iter().flat_map(Recording::at_rest);
    Spread::from_values(rows.filter_map(|row| row.get(column))).map(|spread| spread.median)
}

/// Returns the time that records spend in the full buffers of a saturated job, in seconds: what they take longer than at rest inside Flink.
/// Buffers are full when an overload begins; later Flink's buffer debloating makes them smaller. So the longest median of a second counts,
/// of each time between two changes in which the job was saturated.
fn buffer_s(recordings: &[Recording], notes: &mut Vec<String>) -> Option<f64> {
    let inside = Column::OverallLatencyP50Ms;
    let longest_ms = |life: &[&Row]| life.iter().filter_map(|row| row.get(inside)).reduce(f64::max);
    let overloads = recordings.iter().flat_map(Recording::saturated_lives);
    let full_ms = Spread::from_values(overloads.filter_map(|life| longest_ms(&life)))?.median;
    let rest_ms = median_of_rest(recordings, inside)?;
    notes.push(format!(
        "buffers: {full_ms:.0} ms inside Flink when an overload begins, {rest_ms:.0} ms at rest"
    ));
    Some(((full_ms - rest_ms) / 1000.0).clamp(0.0, 60.0))
}

/// Returns the deviation of the service time from second to second.
fn noise(seen: &BTreeMap<u32, Seen>, notes: &mut Vec<String>) -> f64 {
    let all: Vec<&[f64]> = seen.values().map(|seen| &seen.deviations[..]).collect();
    #[expect(clippy::cast_precision_loss, reason = "snapshots of a run")]
    let count = all.iter().map(|one| one.len()).sum::<usize>() as f64;
    if count < 2.0 {
        return Faults::default().capacity_noise;
    }
    let squares: f64 = all.iter().flat_map(|one| one.iter()).map(|deviation| deviation * deviation).sum();
    let products: f64 = all.iter().flat_map(|one| one.windows(2)).map(|pair| pair[0] * pair[1]).sum();
    let deviation = (squares / count).sqrt();
    notes.push(format!(
        "service time over 5 s: deviation {:.1} %, autocorrelation {:.2}, {count} snapshots",
        deviation * 100.0,
        if squares > 0.0 { products / squares } else { 0.0 }
    ));
    thousandth((deviation / OF_MEAN).min(NOISE_MAX))
}

fn slots(recordings: &[Recording]) -> Slots {
    let most = |column: Column| {
        let rows = recordings.iter().flat_map(|recording| &recording.rows);
        rows.filter_map(|row| row.get(column)).fold(0.0, f64::max)
    };
    let (slots, task_managers) =
        (whole(most(Column::Slots)).max(1), whole(most(Column::TaskManagers)).max(1));
    Slots { max: slots, per_task_manager: slots.div_ceil(task_managers), task_manager_start_s: 0 }
}

fn rounded(operators: Vec<OperatorSpec>) -> Vec<OperatorSpec> {
    let short = |value: f64| if value == 0.0 { 0.0 } else { format!("{value:.4e}").parse().unwrap_or(value) };
    let input = |input: InputSpec| InputSpec { selectivity: short(input.selectivity), ..input };
    let spec = |operator: OperatorSpec| OperatorSpec {
        rate_per_s: short(operator.rate_per_s),
        load_share: short(operator.load_share),
        contention: short(operator.contention),
        coherence: short(operator.coherence),
        busy_bias: short(operator.busy_bias).min(1.0),
        inputs: operator.inputs.into_iter().map(input).collect(),
        ..operator
    };
    operators.into_iter().map(spec).collect()
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn thousandths((low, high): (f64, f64)) -> (f64, f64) {
    (thousandth(low), thousandth(high))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, at least 0")]
fn whole(value: f64) -> u32 {
    value.max(0.0).round() as u32
}
