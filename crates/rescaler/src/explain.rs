//! Explains one decision of the journal in plain words.

use std::fmt::Write as _;

use crate::offline;
use control::{Effect, Record};

/// Describes the decision of an epoch with its input, reasons and outcome.
pub(crate) fn describe_record(record: &Record) -> String {
    let mut text =
        format!("Epoch {} of job {}, {}", record.epoch, record.job, record.at.strftime("%F %T UTC"));
    let _infallible = write!(text, "\n{}\n\n", seen(record));
    let _infallible = writeln!(
        text,
        "Policy {} decided: {}",
        record.decision.policy,
        offline::describe_decision(&record.decision)
    );
    for rejected in &record.decision.rejected {
        let _infallible =
            writeln!(text, "  not {} → {}: {}", rejected.operator, rejected.parallelism, rejected.because);
    }
    let _infallible = write!(text, "\n{}", done(record));
    text
}

fn seen(record: &Record) -> String {
    let Some(snapshot) = &record.snapshot else { return "The job could not be observed.".to_owned() };
    let total = |figure: fn(&scaling::Operator) -> Option<f64>| -> Option<f64> {
        let sources = snapshot.operators.iter().filter(|operator| operator.kind == scaling::Kind::Source);
        sources.map(figure).sum()
    };
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.1}"));
    let queries: Vec<String> = snapshot
        .queries
        .iter()
        .map(|query| format!("{} {} ms", query.name, figure(query.overall_latency_ms)))
        .collect();
    let mut text = format!(
        "Observed: {} operators, {} task managers; arrival rate {} records/s, backlog {} records",
        snapshot.operators.len(),
        snapshot.task_managers.len(),
        figure(total(|operator| operator.arrival_rate_per_s)),
        figure(total(|operator| operator.backlog_records)),
    );
    if !queries.is_empty() {
        let _infallible = write!(text, "; latency: {}", queries.join(", "));
    }
    for missing in &snapshot.missing {
        let _infallible = write!(text, "\nMissing: {missing}");
    }
    text.push('.');
    text
}

fn done(record: &Record) -> String {
    let effect = match &record.effect {
        Effect::Nothing => "No action.".to_owned(),
        Effect::DryRun => "Not published: dry run.".to_owned(),
        Effect::Recommended { message } => {
            format!("Not published: the plan is only a recommendation, because {message}.")
        }
        Effect::Publishing { generation } => {
            format!("Publishing generation {generation} was started; its result is not recorded.")
        }
        Effect::Published { generation } => format!("Generation {generation} was published."),
        Effect::NotPublished { message } => format!("Not published: {message}."),
    };
    match (&record.outcome, &record.effect) {
        (Some(outcome), _) => format!("{effect}\nThen {outcome}."),
        (None, Effect::Published { .. }) => format!("{effect}\nThe agent has not reported the outcome."),
        (None, _) => effect,
    }
}
