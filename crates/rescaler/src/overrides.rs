//! Command-line options for the most frequent keys. They are merged over the configuration, key by key, before it is checked.
//!
//! Without a file all other keys have their defaults, the same as those of a file: policy `slo` with a latency bound, else `ds2`; drop
//! and agent in this process, unless a drop is configured.

use std::time::Duration;

use clap::Args;
use policies::PolicyName;
use service::ConfigError;
use service::settings::COMMAND_LINE;
use toml::{Table, Value};

use crate::config::Config;

/// `--set KEY=VALUE`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Set {
    /// Set a configuration key, for example policy.ds2.utilization_target=0.8; repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<Setting>,
}

/// One key with its value.
#[derive(Debug, Clone)]
struct Setting(Table);

/// Options for the most frequent keys.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Policy; by default slo if there is a latency bound, else ds2.
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) policy: Option<PolicyName>,
    /// Upper bound of event latency, for example 2s or 500ms. Selects policy slo, unless --policy latency is given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) latency_bound: Option<Duration>,
    /// Maximum parallelism of an operator (limits.max).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32_768))]
    max: Option<u32>,
    /// Time between decisions, for example 30s (epoch.length_ms).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    epoch: Option<Duration>,
    #[command(flatten)]
    set: Set,
}

impl Set {
    /// Returns the keys as a table; later options take precedence.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        for Setting(setting) in &self.settings {
            merge(&mut table, setting.clone());
        }
        table
    }
}

impl Overrides {
    /// Returns the keys as a table; `--set` takes precedence.
    ///
    /// # Errors
    /// [`ConfigError::Values`] if the options contradict each other.
    pub(crate) fn table(&self) -> Result<Table, ConfigError> {
        let mut table = Table::new();
        if let Some(bound) = self.latency_bound {
            let name = self.policy.unwrap_or(PolicyName::Slo);
            let bound_ms = bound.as_secs_f64() * 1000.0;
            match name {
                PolicyName::Slo => put(&mut table, &["policy", "slo", "latency_bound_ms"], bound_ms.into()),
                PolicyName::Latency => {
                    put(&mut table, &["policy", "latency", "latency_max_ms"], bound_ms.into())
                }
                PolicyName::Ds2 | PolicyName::External => {
                    let problem = format!(
                        "--latency-bound: policy {} does not take a latency bound; use --policy slo",
                        name.as_str()
                    );
                    return Err(ConfigError::new(COMMAND_LINE, problem));
                }
            }
            put(&mut table, &["policy", "name"], name.as_str().into());
        }
        if let Some(name) = self.policy {
            put(&mut table, &["policy", "name"], name.as_str().into());
        }
        if let Some(max) = self.max {
            put(&mut table, &["limits", "max"], i64::from(max).into());
        }
        if let Some(epoch) = self.epoch {
            let epoch_ms = i64::try_from(epoch.as_millis()).unwrap_or(i64::MAX);
            put(&mut table, &["epoch", "length_ms"], epoch_ms.into());
        }
        merge(&mut table, self.set.table());
        Ok(table)
    }
}

/// Returns the defaults with these keys merged over them, for a cluster without a configuration file.
///
/// # Errors
/// See [`ConfigError`].
pub(crate) fn over_defaults(above: Table) -> Result<Config, ConfigError> {
    let mut table = Table::from_iter([("job".to_owned(), Value::from("job"))]);
    merge(&mut table, above);
    Config::from_table(table).map_err(|problem| ConfigError::new(COMMAND_LINE, problem))
}

/// Merges `above` into `below`, key by key; values of `above` take precedence.
pub(crate) fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn put(table: &mut Table, path: &[&str], value: Value) {
    let Some((last, before)) = path.split_last() else { return };
    let wrapped = before.iter().rev().fold(Table::from_iter([((*last).to_owned(), value)]), |inner, key| {
        Table::from_iter([((*key).to_owned(), Value::Table(inner))])
    });
    merge(table, wrapped);
}

/// Parses `key=value`. A value that is not TOML is a text, so that words need no quotes. The error does not show the value, which may be
/// a secret.
fn setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("write it like policy.ds2.utilization_target=0.8")?;
    let quoted = Value::String(value.to_owned());
    let written = [format!("{key} = {value}"), format!("{key} = {quoted}")];
    let table = written.iter().find_map(|line| toml::from_str::<Table>(line).ok());
    let one_key = table.filter(|table| table.len() == 1 && !value.contains('\n'));
    one_key.map(Setting).ok_or_else(|| format!("{key} is not a configuration key"))
}

/// Parses a duration like `2s` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|bound| Duration::try_from(bound).ok());
    parsed
        .filter(|bound| *bound >= Duration::from_millis(1))
        .ok_or_else(|| "write it like 2s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(settings: &[&str]) -> Overrides {
        let settings = settings.iter().map(|text| setting(text).unwrap()).collect();
        Overrides { set: Set { settings }, ..Overrides::default() }
    }

    /// Goal: a value is what TOML makes of it, else a text; a later one replaces an earlier one; what is no key is refused without
    /// its value.
    #[test]
    fn values_are_toml_or_text() {
        let table = overrides(&[
            "policy.ds2.utilization_target=0.9",
            "policy.ds2.utilization_target=0.8",
            "source.kind=prometheus",
            "limits.exclude=[\"a\", \"b\"]",
            "limits.operators.\"my op\".max=4",
        ])
        .table()
        .unwrap();
        assert_eq!(table["policy"]["ds2"]["utilization_target"], Value::from(0.8));
        assert_eq!(table["source"]["kind"], Value::from("prometheus"));
        assert_eq!(table["limits"]["exclude"][1], Value::from("b"));
        assert_eq!(table["limits"]["operators"]["my op"]["max"], Value::from(4));
        for wrong in ["no value", "[a]=hunter2", "a b=hunter2", "a=1\nb=hunter2"] {
            let problem = setting(wrong).unwrap_err();
            assert!(!problem.contains("hunter2"), "{wrong}: {problem}");
        }
    }

    /// Goal: a latency bound chooses the policy that keeps it, an explicit choice counts, and a contradiction is refused.
    #[test]
    fn a_bound_chooses_its_policy() {
        let config = |policy, bound: u64| {
            let latency_bound = (bound > 0).then(|| Duration::from_millis(bound));
            over_defaults(Overrides { policy, latency_bound, ..Overrides::default() }.table()?)
        };
        assert_eq!(config(None, 0).unwrap().policy.name, PolicyName::Ds2);
        let slo = config(None, 2000).unwrap();
        assert_eq!((slo.policy.name, slo.latency_max_ms()), (PolicyName::Slo, Some(2000.0)));
        let latency = config(Some(PolicyName::Latency), 700).unwrap();
        assert_eq!((latency.policy.name, latency.latency_max_ms()), (PolicyName::Latency, Some(700.0)));
        assert!(config(Some(PolicyName::Ds2), 700).unwrap_err().to_string().contains("--latency-bound"));
    }
}
