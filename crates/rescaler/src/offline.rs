//! Decides on a recorded snapshot, with the same code as live.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use policies::{Policies, PolicyName, PolicyRunner};
use scaling::latency::Options;
use scaling::{Candidate, Decision, Memory, SCHEMA, Snapshot};
use serde::Deserialize;
use serde::de::Error as _;
use thiserror::Error;

use crate::config::Config;

/// Size limit of a snapshot, in bytes: a job of 1,000 operators has less than 1 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Why a snapshot cannot be used.
#[derive(Debug, Error)]
pub(crate) enum InputError {
    /// The file cannot be read.
    #[error("{file}: cannot be read")]
    File {
        /// The file.
        file: String,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large for a snapshot.
    #[error("{file}: larger than {MAX_BYTES} bytes, the limit of a snapshot")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file does not contain a snapshot.
    #[error("{file}: not a snapshot")]
    Json {
        /// The file.
        file: String,
        /// Place and reason.
        #[source]
        source: serde_json::Error,
    },
    /// The snapshot has another schema.
    #[error("{file}: unsupported schema {found}; this program reads schema {SCHEMA}")]
    Schema {
        /// The file.
        file: String,
        /// Its schema version.
        found: u32,
    },
    /// An option of the policy is out of its range.
    #[error("{file}: policy.{option}: {remedy}")]
    Option {
        /// The file.
        file: String,
        /// The option.
        option: &'static str,
        /// Valid values.
        remedy: &'static str,
    },
}

/// A snapshot with the policy of the recording; other members are ignored.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    policy: Option<Options>,
    snapshot: Snapshot,
}

/// Policies for offline decisions: from a configuration, or the defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfflineSettings {
    /// The configuration, if there is one.
    pub(crate) config: Option<Config>,
    /// Program of policy `external` instead of the configured one.
    pub(crate) program: Vec<String>,
    /// Options of policy `latency` instead of the configured ones.
    pub(crate) latency: Option<Options>,
}

impl OfflineSettings {
    /// Returns a runner of this policy.
    pub(crate) fn runner(&self, name: PolicyName) -> anyhow::Result<PolicyRunner> {
        let mut policies =
            self.config.as_ref().map_or_else(Policies::default, |config| config.policy.clone());
        if !self.program.is_empty() {
            policies.external.command.clone_from(&self.program);
        }
        if let Some(options) = &self.latency {
            policies.latency = options.clone();
        }
        let (limits, size) = self
            .config
            .as_ref()
            .map_or_else(Default::default, |config| (config.limits.clone(), config.cluster.clone()));
        Ok(PolicyRunner::new(name, &policies, &limits, &size)?)
    }
}

/// Decides on the snapshot in a file. Options of policy `latency` in the file take precedence over the configuration.
///
/// # Errors
/// See [`InputError`].
pub(crate) async fn decide(
    path: &Path,
    name: PolicyName,
    settings: &OfflineSettings,
    assume_violation: bool,
) -> anyhow::Result<Decision> {
    let file = path.display().to_string();
    let recorded = read(path, &file)?;
    if recorded.snapshot.schema != SCHEMA {
        return Err(InputError::Schema { file, found: recorded.snapshot.schema }.into());
    }
    let mut settings = settings.clone();
    if let Some(options) = recorded.policy {
        if let Some((option, remedy)) = options.problems().into_iter().next() {
            return Err(InputError::Option { file, option, remedy }.into());
        }
        settings.latency = Some(options);
    }
    let runner = settings.runner(name)?;
    if assume_violation {
        return Ok(runner.plan(&recorded.snapshot).await);
    }
    let at = recorded.snapshot.at_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = at.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(runner.replay(&mut Memory::default(), &recorded.snapshot, at).await)
}

fn read(path: &Path, file: &str) -> Result<Recorded, InputError> {
    let failed = |source| InputError::File { file: file.to_owned(), source };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    } else {
        text = files::read_text(path, MAX_BYTES).map_err(|source| match source.kind() {
            std::io::ErrorKind::FileTooLarge => InputError::TooLarge { file: file.to_owned() },
            _ => failed(source),
        })?;
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(InputError::TooLarge { file: file.to_owned() });
    }
    let unreadable = |source| InputError::Json { file: file.to_owned(), source };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(unreadable)?;
    if value.get("gzip").is_some() {
        let record = decision_journal::record(text.trim().as_bytes()).map_err(unreadable)?;
        let without = || unreadable(serde_json::Error::custom("a record without a snapshot"));
        return Ok(Recorded { policy: None, snapshot: record.snapshot.ok_or_else(without)? });
    }
    if value.get("snapshot").is_some() {
        return serde_json::from_value(value).map_err(unreadable);
    }
    let snapshot = serde_json::from_value(value).map_err(unreadable)?;
    Ok(Recorded { policy: None, snapshot })
}

/// Formats a decision as sentences: the plan and its reasons, every operator with its formula, the cluster.
pub(crate) fn describe_decision(decision: &Decision) -> String {
    let mut lines = vec![decision.to_string()];
    for operator in &decision.operators {
        let latency = operator.latency_ms.map_or("unknown".to_owned(), |ms| format!("{ms:.0} ms"));
        lines.push(format!("  {} (latency {latency}): {}", operator.name, operator.because));
    }
    lines.extend(figures(decision));
    lines.extend(candidates(decision));
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.3}"));
    let cluster = &decision.cluster;
    let downtime = cluster.downtime_estimate_s.map(|seconds| format!("{seconds:.3} s"));
    lines.push(format!(
        "  cluster: load {}, memory {}, downtime estimate {}, scale out: {}",
        figure(cluster.cluster_load),
        figure(cluster.memory_usage),
        downtime.unwrap_or_else(|| "unknown".to_owned()),
        cluster.scale_out.map_or("unknown".to_owned(), |yes| if yes {
            "yes".to_owned()
        } else {
            "no".to_owned()
        }),
    ));
    lines.join("\n")
}

/// Formats the figures of the whole job: those of policy `slo` as sentences, others in one line.
fn figures(decision: &Decision) -> Vec<String> {
    if let Some(sentences) = sentences(decision) {
        return sentences;
    }
    let named: Vec<String> = decision.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if named.is_empty() { Vec::new() } else { vec![format!("  figures: {}", named.join(", "))] }
}

/// Formats the observations of policy `slo` as sentences.
fn sentences(decision: &Decision) -> Option<Vec<String>> {
    let of = |name: &str| decision.figures.get(name).copied();
    let (arrival, capacity, delay, bound) =
        (of("arrival_per_s")?, of("capacity_per_s")?, of("delay_s")?, of("bound_s")?);
    let backlog = of("backlog_records")
        .map_or("backlog unknown".to_owned(), |records| format!("backlog {records:.0} records"));
    let mut lines = vec![
        format!("  observed: arrival rate {arrival:.0}/s, capacity {capacity:.0}/s, {backlog}"),
        format!("  predicted delay: at most {delay:.1} s; bound {bound:.1} s"),
    ];
    if let (Some(forecast), Some(lead), Some(quantile)) = (of("forecast_per_s"), of("lead_s"), of("quantile"))
    {
        lines.push(format!(
            "  forecast: at most {forecast:.0}/s during the {lead:.0} s until a change takes effect ({:.0} % quantile of past forecasts)",
            quantile * 100.0
        ));
    }
    if let (Some(downtime), Some(outage)) = (of("downtime_s"), of("outage_s")) {
        lines.push(format!(
            "  cost of a change, from past ones: downtime {downtime:.1} s, backlog of {outage:.1} s of arrivals"
        ));
    }
    Some(lines)
}

/// Formats the compared plans, one per line, the cheapest marked.
fn candidates(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    let cheapest = decision.candidates.iter().find(|candidate| candidate.is_cheapest);
    if !decision.candidates.is_empty() {
        lines.push("  candidates and their price in slot-seconds:".to_owned());
    }
    for candidate in &decision.candidates {
        let changes: Vec<String> =
            candidate.parallelism.iter().map(|(name, new)| format!("{name} → {new}")).collect();
        let what = if changes.is_empty() { "stay".to_owned() } else { changes.join(", ") };
        let terms: Vec<String> =
            candidate.terms.iter().map(|(name, price)| format!("{name} {price:.0}")).collect();
        let why = cheapest.map_or(String::new(), |cheapest| rejection_reason(candidate, cheapest));
        lines.push(format!(
            "  {} {:>9.0} = {}: {} slots, capacity {:.0}/s ({what}){why}",
            if candidate.is_cheapest { "*" } else { " " },
            candidate.price_slot_s,
            terms.join(" + "),
            candidate.slots,
            candidate.capacity_per_s,
        ));
    }
    lines
}

/// Returns why a plan was rejected: the term that makes it more expensive than the cheapest.
fn rejection_reason(candidate: &Candidate, cheapest: &Candidate) -> String {
    let more = |(name, price): (&String, &f64)| {
        (name.clone(), price - cheapest.terms.get(name).copied().unwrap_or(0.0))
    };
    let dearest = candidate.terms.iter().map(more).max_by(|one, other| one.1.total_cmp(&other.1));
    match dearest {
        Some((name, more)) if !candidate.is_cheapest && more >= 0.5 => {
            format!("; rejected: {name} +{more:.0}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use control::{Effect, Record};
    use decision_journal::Journal;
    use journal::Bounds;
    use scaling::{Kind, Operator};

    use super::*;

    /// Goal: a line of the journal is decided on like its snapshot alone, also the packed one of a large job.
    #[tokio::test]
    async fn a_packed_line_is_a_snapshot_too() {
        let folder = tempfile::tempdir().unwrap();
        let [line, alone] = ["decisions.jsonl", "snapshot.json"].map(|name| folder.path().join(name));
        let operator = |number: u32| Operator {
            name: format!("operator-{number:0200}"),
            kind: Kind::Continuous,
            parallelism: 1 + number % 7,
            ..Operator::default()
        };
        let snapshot =
            Snapshot { schema: SCHEMA, operators: (0..2_000).map(operator).collect(), ..Snapshot::default() };
        std::fs::write(&alone, serde_json::to_string(&snapshot).unwrap()).unwrap();
        let record = Record {
            epoch: 1,
            at: Timestamp::UNIX_EPOCH,
            job: "large".to_owned(),
            effect: Effect::Nothing,
            decision: Decision::nothing("ds2", "enough"),
            snapshot: Some(snapshot),
            state: Arc::default(),
            imagined: false,
            restored: Vec::new(),
            outcome: None,
        };
        let (mut journal, _) = Journal::open(&line, Bounds { max_bytes: 1 << 20, keep: 1 }).unwrap();
        journal.append(&record).unwrap();
        assert!(std::fs::read_to_string(&line).unwrap().contains("\"gzip\":"));
        let settings = OfflineSettings::default();
        let decided = decide(&line, PolicyName::Ds2, &settings, false).await.unwrap();
        assert_eq!(decided.operators.len(), 2_000);
        assert_eq!(decided, decide(&alone, PolicyName::Ds2, &settings, false).await.unwrap());
    }

    /// Goal: a decision by prices tells what was seen in sentences, and of every plan that lost by which term.
    #[test]
    fn a_decision_by_prices_is_told_in_words() {
        let mut decision = Decision::nothing("slo", "enough");
        let figures =
            [("arrival_per_s", 2400.4), ("capacity_per_s", 2000.0), ("delay_s", 3.04), ("bound_s", 2.0)];
        decision.figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let candidate = |slots: u32, terms: &[(&str, f64)], is_cheapest| Candidate {
            slots,
            price_slot_s: terms.iter().map(|(_, price)| price).sum(),
            terms: terms.iter().map(|(name, price)| ((*name).to_owned(), *price)).collect(),
            is_cheapest,
            ..Candidate::default()
        };
        decision.candidates = vec![
            candidate(2, &[("slots", 1200.0), ("violations", 9000.0)], false),
            candidate(3, &[("slots", 1800.0), ("change", 120.0), ("violations", 0.0)], true),
            candidate(4, &[("slots", 2400.0), ("change", 120.0), ("violations", 0.0)], false),
        ];
        let told = describe_decision(&decision);
        for expected in [
            "arrival rate 2400/s, capacity 2000/s, backlog unknown",
            "predicted delay: at most 3.0 s; bound 2.0 s",
            "(stay); rejected: violations +9000",
            "rejected: slots +600",
        ] {
            assert!(told.contains(expected), "{expected} is not in:\n{told}");
        }
        assert_eq!(told.matches("rejected: ").count(), 2, "{told}");
    }
}
