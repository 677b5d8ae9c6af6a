//! Grafana's dashboard and provisioning, checked as data, without Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;

const DASHBOARD: &str = "configs/compose/grafana/dashboards/rescaler.json";

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Collects all values of a key, at any depth.
fn find<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|member| find(member, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| find(value, key, found)),
        _ => {}
    }
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    find(value, key, &mut found);
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether one of the project's programs exports a metric of this name.
fn is_told(metric: &str) -> bool {
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
fn metrics(expression: &str) -> BTreeSet<String> {
    let pattern =
        regex::Regex::new("(?:rescaler|event_producer|config_agent|config_drop|state_probe|flink)_[a-z_]+")
            .unwrap();
    pattern.find_iter(expression).map(|found| found.as_str().to_owned()).collect()
}

/// Goal: every metric on the dashboard is exported by a program of the project.
#[test]
fn the_dashboard_asks_for_what_is_told() {
    let expressions = [texts(&dashboard(), "expr"), texts(&dashboard()["templating"], "query")].concat();
    assert!(expressions.len() > 15, "{expressions:?}");
    for expression in &expressions {
        let metrics = metrics(expression);
        assert!(!metrics.is_empty(), "{expression} names no metric of ours");
        for metric in metrics {
            assert!(is_told(&metric), "{expression}: nobody tells {metric}");
        }
    }
    assert!(
        !is_told("rescaler_backlog")
            && !is_told("event_producer_delay_seconds")
            && !is_told("state_probe_sizes")
    );
    let shown = expressions.concat();
    for wanted in ["latency", "input", "backlog", "parallelism", "state_size", "schedule_delay", "decisions"]
    {
        assert!(shown.contains(wanted), "{wanted} is not shown");
    }
}

/// Goal: panels have unique ids, do not overlap, and query provisioned stores; decisions are annotations.
#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    let stores = yaml("configs/compose/grafana/provisioning/datasources/stores.yaml");
    let known: BTreeSet<String> = texts(&stores, "uid").into_iter().collect();
    let mut used = Vec::new();
    find(&dashboard, "datasource", &mut used);
    assert!(used.len() > 20);
    for store in used {
        assert!(store["uid"].as_str().is_some_and(|uid| known.contains(uid)), "{store} is not provisioned");
    }
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in array(&dashboard["panels"]) {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels {}", panel["id"]);
        assert!(place("x") + place("w") <= 24, "{} is too wide", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
        assert!(!array(&panel["targets"]).is_empty(), "{} shows nothing", panel["title"]);
    }
    let decisions =
        array(&dashboard["annotations"]["list"]).iter().any(|annotation| annotation["name"] == "Decisions");
    assert!(decisions, "decisions are no annotations");
}

/// Goal: provisioned files are where the compose file mounts them.
#[test]
fn the_provisioning_fits_the_compose_file() {
    let folder = yaml("configs/compose/grafana/provisioning/dashboards/folder.yaml");
    let path = array(&folder["providers"])[0]["options"]["path"].as_str().unwrap();
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("./configs/compose/grafana/dashboards:{path}:ro")));
    assert!(compose.contains(&format!("HOME_DASHBOARD_PATH: {path}/rescaler.json")));
    assert!(compose.contains("./configs/compose/grafana/provisioning:/etc/grafana/provisioning:ro"));
    let prometheus = yaml("configs/compose/prometheus.yml");
    assert!(array(&prometheus["scrape_configs"]).len() >= 5);
}
