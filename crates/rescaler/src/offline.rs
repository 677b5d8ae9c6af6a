//! Deciding on a recorded snapshot, with the very code that decides live.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use scaling::latency::Options;
use scaling::{Decision, Memory, SCHEMA, Snapshot};
use serde::Deserialize;
use thiserror::Error;

use crate::config::Config;
use crate::policies::{Name, Policies, PolicyRunner};

/// The largest snapshot that is read: a job of 1,000 operators takes less than 1 MiB.
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
    /// The file is larger than any snapshot.
    #[error("{file}: larger than {MAX_BYTES} bytes, which no snapshot is")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file holds something else.
    #[error("{file}: not a snapshot")]
    Json {
        /// The file.
        file: String,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// The snapshot has another form.
    #[error("{file}: schema {found} is not understood; this program reads schema {SCHEMA}")]
    Schema {
        /// The file.
        file: String,
        /// The version that it states.
        found: u32,
    },
    /// An option of the policy is out of its range.
    #[error("{file}: policy.{option}: {remedy}")]
    Option {
        /// The file.
        file: String,
        /// The option.
        option: &'static str,
        /// What would be right.
        remedy: &'static str,
    },
}

/// A snapshot with what it was recorded under; other members are for people.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    policy: Option<Options>,
    snapshot: Snapshot,
}

/// Who decides offline: the policies of a configuration, or the defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The configuration, where there is one.
    pub(crate) config: Option<Config>,
    /// The program of policy `external`, if not the configured one.
    pub(crate) program: Vec<String>,
    /// Options of policy `latency`, if not the configured ones.
    pub(crate) latency: Option<Options>,
}

impl Settings {
    /// A runner of the policy of this name.
    pub(crate) fn runner(&self, name: Name) -> anyhow::Result<PolicyRunner> {
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
        PolicyRunner::new(name, &policies, &limits, &size)
    }
}

/// Decides on the snapshot in a file. Options of policy `latency` that stand beside it count more than the configuration.
///
/// # Errors
/// See [`InputError`].
pub(crate) async fn decide(
    path: &Path,
    name: Name,
    settings: &Settings,
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
    if value.get("snapshot").is_some() {
        return serde_json::from_value(value).map_err(unreadable);
    }
    let snapshot = serde_json::from_value(value).map_err(unreadable)?;
    Ok(Recorded { policy: None, snapshot })
}

/// The decision in sentences: the plan and its reasons, then every operator with its formula, then the cluster.
pub(crate) fn in_words(decision: &Decision) -> String {
    let mut lines = vec![decision.to_string()];
    for operator in &decision.operators {
        let latency = operator.latency_ms.map_or("unknown".to_owned(), |ms| format!("{ms:.0} ms"));
        lines.push(format!("  {} (latency {latency}): {}", operator.name, operator.because));
    }
    lines.extend(figures(decision));
    lines.extend(candidates(decision));
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.3}"));
    let cluster = &decision.cluster;
    lines.push(format!(
        "  cluster: load {}, memory {}, downtime estimate {} s, scale out: {}",
        figure(cluster.cluster_load),
        figure(cluster.memory_usage),
        figure(cluster.downtime_estimate_s),
        cluster.scale_out.map_or("unknown".to_owned(), |yes| if yes {
            "yes".to_owned()
        } else {
            "no".to_owned()
        }),
    ));
    lines.join("\n")
}

/// The figures of the job as a whole, in one line.
fn figures(decision: &Decision) -> Option<String> {
    let named: Vec<String> = decision.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
    (!named.is_empty()).then(|| format!("  figures: {}", named.join(", ")))
}

/// The plans that were compared, one a line, the cheapest marked.
fn candidates(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    if !decision.candidates.is_empty() {
        lines.push("  compared by price, in slot-seconds:".to_owned());
    }
    for candidate in &decision.candidates {
        let changes: Vec<String> =
            candidate.parallelism.iter().map(|(name, new)| format!("{name} → {new}")).collect();
        let what = if changes.is_empty() { "stay".to_owned() } else { changes.join(", ") };
        let terms: Vec<String> =
            candidate.terms.iter().map(|(name, price)| format!("{name} {price:.0}")).collect();
        lines.push(format!(
            "  {} {:>9.0} = {}: {} slots carry {:.0}/s ({what})",
            if candidate.is_cheapest { "*" } else { " " },
            candidate.price_slot_s,
            terms.join(" + "),
            candidate.slots,
            candidate.capacity_per_s,
        ));
    }
    lines
}
