//! Running policies over recorded snapshots, side by side: the very same code as live, with the record's time.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use control::Record;
use decision_journal::read_checked;
use jiff::Timestamp;
use policies::PolicyRunner;
use scaling::{Action, Decision, Memory};
use serde::Serialize;

/// What the policies decided in one epoch.
#[derive(Debug, Serialize)]
pub(crate) struct Epoch {
    epoch: u64,
    at: Timestamp,
    job: String,
    /// As it was recorded.
    recorded: Decision,
    /// By policy, in the order that was asked for.
    decisions: Vec<Decision>,
}

/// Runs each policy over the journal. A record without a snapshot tells nothing and is left out.
///
/// # Errors
/// The file cannot be read, or holds no record that this version reads.
pub(crate) async fn run(journal: &Path, runners: &[PolicyRunner]) -> anyhow::Result<Vec<Epoch>> {
    let mut memories: Vec<Memory> = vec![Memory::default(); runners.len()];
    let mut epochs = Vec::new();
    for Record { epoch, at, job, decision, snapshot, .. } in read_checked(journal, 0)? {
        let Some(snapshot) = snapshot else { continue };
        let mut decisions = Vec::with_capacity(runners.len());
        for (runner, memory) in runners.iter().zip(&mut memories) {
            decisions.push(runner.replay(memory, &snapshot, at).await);
        }
        epochs.push(Epoch { epoch, at, job, recorded: decision, decisions });
    }
    Ok(epochs)
}

/// A row per epoch, a column per policy.
pub(crate) fn table(epochs: &[Epoch], runners: &[PolicyRunner]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = terminal::width().and_then(|width| width.try_into().ok()) {
        table.set_width(width);
    }
    let mut header = vec!["epoch".to_owned(), "at".to_owned(), "recorded".to_owned()];
    header.extend(runners.iter().map(|runner| runner.name().to_owned()));
    table.set_header(header);
    for epoch in epochs {
        let mut row =
            vec![epoch.epoch.to_string(), epoch.at.strftime("%F %T").to_string(), brief(&epoch.recorded)];
        row.extend(epoch.decisions.iter().map(brief));
        table.add_row(row);
    }
    table.to_string()
}

/// The plan alone, or the first reason why there is none.
fn brief(decision: &Decision) -> String {
    if decision.action == Action::None {
        return format!("– {}", decision.reasons.first().map_or("", String::as_str));
    }
    let mut steps: Vec<String> =
        decision.parallelism.iter().map(|(name, new)| format!("{name} → {new}")).collect();
    steps.extend(decision.cluster.task_managers.map(|wanted| format!("task managers → {wanted}")));
    steps.join(", ")
}
