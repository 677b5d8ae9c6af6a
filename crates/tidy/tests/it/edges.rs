//! The allowed dependencies between crates. A new edge is a decision, made here in the same commit.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate, with the workspace crates that its library or program may use.
const EDGES: &[(&str, &[&str])] = &[
    // Bytes, text and decisions: no effects.
    ("events", &[]),
    ("job-config", &[]),
    ("scaling", &[]),
    ("control", &["job-config", "scaling"]),
    // Settings in, findings out.
    ("doctor", &[]),
    // The simulator drives the policies against a model, under the load profiles of the event producer too.
    ("sim", &["control", "generator", "job-config", "scaling"]),
    ("generator", &["events"]),
    ("reference", &["events"]),
    // Clients, readers, files.
    ("files", &[]),
    ("secrets", &["files"]),
    ("http-client", &["files", "secrets", "service"]),
    ("flink", &["files", "http-client", "secrets"]),
    ("drop-client", &["files", "http-client", "job-config", "secrets"]),
    ("telemetry", &["files", "flink", "http-client", "scaling", "secrets", "whisper"]),
    // A configuration's policy, live and simulated; it samples nothing, but has the sampling's choice of a latency.
    ("policies", &["scaling", "secrets", "service", "sim", "telemetry"]),
    ("journal", &["files"]),
    ("decision-journal", &["control", "journal", "scaling"]),
    ("http-server", &["secrets", "service"]),
    // What every program is made of; clients and servers use its one way to format an error with its causes.
    ("service", &["files", "secrets"]),
    ("terminal", &[]),
    ("version", &[]),
    ("whisper", &["files"]),
    // Writing to Kafka, and the ends of its partitions.
    ("batch-producer", &[]),
    ("end-offsets", &[]),
    ("kafka-properties", &["files", "secrets", "service"]),
    // Programs. None uses another's crate …
    (
        "event-producer",
        &[
            "batch-producer",
            "events",
            "files",
            "generator",
            "http-server",
            "kafka-properties",
            "secrets",
            "service",
            "terminal",
            "version",
        ],
    ),
    ("config-drop", &["files", "http-server", "job-config", "journal", "secrets", "service", "version"]),
    // … except where one process embeds another's work by its library: the agent may be its own drop (`direct`), the
    // rescaler may embed both (`in-process`). They still use the protocol.
    (
        "config-agent",
        &[
            "config-drop",
            // The names of Flink's settings by version.
            "doctor",
            "drop-client",
            "flink",
            "http-client",
            "http-server",
            "job-config",
            "journal",
            "secrets",
            "service",
            "version",
        ],
    ),
    (
        "rescaler",
        &[
            "config-agent",
            "config-drop",
            "control",
            "decision-journal",
            "doctor",
            "drop-client",
            "end-offsets",
            "files",
            "flink",
            "http-client",
            "http-server",
            "job-config",
            "journal",
            "kafka-properties",
            "policies",
            "scaling",
            "secrets",
            "service",
            "sim",
            "telemetry",
            "terminal",
            "version",
            "whisper",
        ],
    ),
    ("state-probe", &["flink", "http-client", "http-server", "secrets", "service", "terminal", "version"]),
    // … and the testbed is also a library, used by test-cluster, demo and the end-to-end tests.
    ("testbed", &["files", "flink", "http-client", "service", "terminal", "version"]),
    ("test-cluster", &["testbed"]),
    (
        "demo",
        &[
            "drop-client",
            "flink",
            "job-config",
            "scaling",
            "service",
            "test-cluster",
            "telemetry",
            "testbed",
            "version",
        ],
    ),
    // It reads the decision journal and the configured policy without the rest of the rescaler.
    (
        "experiment",
        &[
            "control",
            "decision-journal",
            "drop-client",
            "files",
            "flink",
            "generator",
            "http-client",
            "job-config",
            "policies",
            "scaling",
            "service",
            "sim",
            "test-cluster",
            "telemetry",
            "terminal",
            "testbed",
            "version",
        ],
    ),
    // The manual pages are generated from the command lines of all programs.
    (
        "manual",
        &[
            "config-agent",
            "config-drop",
            "event-producer",
            "rescaler",
            "state-probe",
            "terminal",
            "testbed",
            "version",
        ],
    ),
    // Only for tests: what a real Flink cannot produce on demand.
    ("flink-stand-in", &[]),
    ("tidy", &[]),
    ("test-addresses", &[]),
    ("test-documents", &[]),
    ("forgetful-disk", &[]),
];

/// Crates without IO, and the dependencies that would allow it.
const PURE: [&str; 8] =
    ["events", "job-config", "scaling", "control", "doctor", "sim", "generator", "reference"];
const EFFECTS: [&str; 8] = ["axum", "hyper", "mio", "nix", "rdkafka", "reqwest", "tempfile", "tokio"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let normal = |package: &cargo_metadata::Package| -> BTreeSet<String> {
        let kept = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        kept.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

/// Goal: the crates depend on each other as designed, and no crate is missing in the design.
#[test]
fn only_the_designed_edges_exist() {
    let dependencies = dependencies();
    let crates: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let designed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    assert_eq!(crates, designed.keys().copied().collect());
    for (name, uses) in &dependencies {
        let ours: BTreeSet<&str> =
            uses.iter().map(String::as_str).filter(|used| crates.contains(used)).collect();
        let allowed = &designed[name.as_str()];
        let surplus: Vec<_> = ours.difference(allowed).collect();
        assert!(surplus.is_empty(), "{name} uses {surplus:?}, which the design does not allow");
    }
}

/// Goal: crates that decide and encode cannot reach a network, a process or an asynchronous runtime.
#[test]
fn pure_crates_have_no_effects() {
    let dependencies = dependencies();
    for name in PURE {
        let effects: Vec<_> = EFFECTS.iter().filter(|effect| dependencies[name].contains(**effect)).collect();
        assert!(effects.is_empty(), "{name} is pure and must not use {effects:?}");
    }
}

/// Goal: every program sends its requests by the one bounded client, which uses no proxy; `reqwest` is for tests.
#[test]
fn only_tests_use_another_http_client() {
    for (name, uses) in dependencies() {
        assert!(!uses.contains("reqwest"), "{name} uses reqwest; use the crate http-client");
    }
}
