//! Grafana's dashboards and provisioning, checked as data, without Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;
use crate::observability::{is_told, metrics};

/// The one for everybody, and that of the compose file's testbed.
const DASHBOARDS: [&str; 2] =
    ["configs/observability/grafana/rescaler.json", "configs/compose/grafana/dashboards/testbed.json"];

fn dashboard(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap()
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

/// Goal: every metric on a dashboard is exported by a program of the project.
#[test]
fn the_dashboards_ask_for_what_is_told() {
    let of = |path: &str| {
        let dashboard = dashboard(path);
        [texts(&dashboard, "expr"), texts(&dashboard["templating"]["list"], "query")].concat()
    };
    let expressions: Vec<String> = DASHBOARDS.iter().flat_map(|path| of(path)).collect();
    let expressions: Vec<&String> = expressions.iter().filter(|text| *text != "prometheus").collect();
    assert!(expressions.len() > 25, "{expressions:?}");
    for expression in &expressions {
        let metrics = metrics(expression);
        assert!(!metrics.is_empty(), "{expression} names no metric of ours");
        for metric in metrics {
            assert!(is_told(&metric), "{expression}: no program exports {metric}");
        }
    }
    let shown: String = expressions.into_iter().map(String::as_str).collect();
    for wanted in
        ["latency", "input", "backlog", "parallelism", "state_size", "schedule_delay", "decisions", "quota"]
    {
        assert!(shown.contains(wanted), "{wanted} is not shown");
    }
}

/// Goal: panels have unique ids, do not overlap, and query a store that is provisioned or chosen on the page; decisions are annotations.
#[test]
fn the_dashboards_are_whole() {
    let stores = yaml("configs/compose/grafana/provisioning/datasources/stores.yaml");
    let known: BTreeSet<String> = texts(&stores, "uid").into_iter().collect();
    for path in DASHBOARDS {
        let dashboard = dashboard(path);
        let is_chosen = texts(&dashboard["templating"], "name").contains(&"datasource".to_owned());
        let mut used = Vec::new();
        find(&dashboard, "datasource", &mut used);
        assert!(used.len() > 8);
        for store in used {
            let uid = store["uid"].as_str().unwrap();
            let is_known = if is_chosen { uid == "${datasource}" } else { known.contains(uid) };
            assert!(is_known, "{path}: {store} is not provisioned");
        }
        places(path, &dashboard);
        let decisions = array(&dashboard["annotations"]["list"])
            .iter()
            .any(|annotation| annotation["name"] == "Decisions");
        assert!(decisions, "{path}: decisions are no annotations");
    }
}

fn places(path: &str, dashboard: &Value) {
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in array(&dashboard["panels"]) {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{path}: two panels {}", panel["id"]);
        assert!(place("x") + place("w") <= 24, "{path}: {} is too wide", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{path}: {} lies over another panel", panel["title"]);
            }
        }
        assert!(!array(&panel["targets"]).is_empty(), "{path}: {} shows nothing", panel["title"]);
    }
}

/// Goal: provisioned files are where the compose file mounts them.
#[test]
fn the_provisioning_fits_the_compose_file() {
    let folder = yaml("configs/compose/grafana/provisioning/dashboards/folder.yaml");
    let path = array(&folder["providers"])[0]["options"]["path"].as_str().unwrap();
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("./configs/observability/grafana:{path}/rescaler:ro")));
    assert!(compose.contains(&format!("./configs/compose/grafana/dashboards:{path}/testbed:ro")));
    assert!(compose.contains(&format!("HOME_DASHBOARD_PATH: {path}/rescaler/rescaler.json")));
    assert!(compose.contains("./configs/compose/grafana/provisioning:/etc/grafana/provisioning:ro"));
    assert!(compose.contains("./configs/observability/alerts.yml:/etc/prometheus/alerts.yml:ro"));
    let prometheus = yaml("configs/compose/prometheus.yml");
    assert!(array(&prometheus["scrape_configs"]).len() >= 5);
    assert_eq!(prometheus["rule_files"], serde_json::json!(["alerts.yml"]));
}
