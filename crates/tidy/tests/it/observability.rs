//! Alert rules and dashboards, as files that any Prometheus and Grafana can use, against the metrics that the programs serve.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::tree::root;

const ALERTS: &str = "configs/observability/alerts.yml";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether one of the project's programs exports a metric of this name.
pub(crate) fn is_told(metric: &str) -> bool {
    let quoted = |file: &str, name: &str| read(file).contains(&format!("\"{name}\""));
    if metric.starts_with("rescaler_") {
        return read("docs/metrics.md").contains(&format!("| `{metric}` |"));
    }
    if metric.starts_with("event_producer_") {
        return quoted("crates/event-producer/src/report.rs", metric);
    }
    if metric.starts_with("config_agent_") {
        return quoted("crates/config-agent/src/health.rs", metric);
    }
    if metric.starts_with("config_drop_") {
        return quoted("crates/config-drop/src/metrics.rs", metric);
    }
    let name = metric.strip_prefix("state_probe_");
    name.is_some_and(|name| quoted("crates/state-probe/src/page.rs", name))
}

/// Returns the metric names in a query.
pub(crate) fn metrics(expression: &str) -> BTreeSet<String> {
    let pattern =
        regex::Regex::new("(?:rescaler|event_producer|config_agent|config_drop|state_probe|flink)_[a-z_]+")
            .unwrap();
    pattern.find_iter(expression).map(|found| found.as_str().to_owned()).collect()
}

/// Returns all alert rules.
fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read(ALERTS)).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Goal: every metric of a rule is exported by a program; every alert has a severity, a summary and a description; names are unique; the
/// alerts that the reference recommends exist.
#[test]
fn the_rules_ask_for_what_is_told() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        let expression = rule["expr"].as_str().unwrap();
        let metrics = metrics(expression);
        assert!(!metrics.is_empty(), "{name}: {expression} names no metric of ours");
        for metric in metrics {
            assert!(is_told(&metric), "{name}: no program exports {metric}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity:?}");
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|text| text.len() > 10),
                "{name}: no {text}"
            );
        }
        assert!(names.insert(name.clone()), "{name} stands there twice");
    }
    assert!(names.len() > 15, "{names:?}");
    let reference = read("docs/metrics.md");
    let unknown: Vec<_> = names.iter().filter(|name| !reference.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "docs/metrics.md does not explain {unknown:?}");
}

/// Goal: a metric that no program exports is detected.
#[test]
fn unknown_metrics_would_be_found() {
    for unknown in ["rescaler_backlog", "event_producer_delay_seconds", "state_probe_sizes", "flink_jobs"] {
        assert_eq!(metrics(&format!("max({unknown}) > 1")), BTreeSet::from([unknown.to_owned()]));
        assert!(!is_told(unknown), "{unknown}");
    }
}

/// Goal: Prometheus accepts rules and example, and the rules fire when they should. Left out where promtool is not installed.
#[test]
fn prometheus_accepts_the_rules() {
    let run = |arguments: &[&str]| {
        let tool = Command::new("promtool").args(arguments).current_dir(root()).output();
        let Ok(output) = tool else { return false };
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "promtool {arguments:?}: {said}{complained}");
        true
    };
    let is_there = run(&["check", "rules", ALERTS])
        && run(&["check", "config", "configs/observability/prometheus.yml"])
        && run(&["test", "rules", "testdata/alerts/alerts-test.yml"]);
    if !is_there {
        eprintln!("promtool is not installed; the rules were not checked with it");
    }
}
