//! The compose file and everything that it references, checked as data, without a container engine.
//!
//! `scripts/test-compose.sh` checks the rest with an engine: the images build, the services become healthy, and the
//! loop closes.

mod configurations;
mod dashboard;
mod file;

use std::path::{Path, PathBuf};

use file::{ComposeFile, problems};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(tree().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> ComposeFile {
    ComposeFile::parse(&read("docker-compose.yml")).unwrap()
}

/// Goal: the file is consistent in itself, with the tree, and with docs/compose.md.
#[test]
fn the_compose_file_is_sound() {
    assert_eq!(problems(&compose(), &tree()), Vec::<String>::new());
}

/// Goal: each rule detects its violation. One thing is broken at a time.
#[test]
fn each_rule_can_fail() {
    let text = read("docker-compose.yml");
    let cases = [
        ("apache/kafka:4.3.1", "apache/kafka:latest", "kafka: image apache/kafka:latest is not pinned"),
        ("apache/kafka:4.3.1", "apache/kafka", "kafka: image apache/kafka is not pinned"),
        ("mem_limit: 384m", "mem_limit: 4096m", "with observability: "),
        ("mem_limit: 896m", "mem_limit: 4g", "without profiles: "),
        (
            "127.0.0.1:${PAGE_PORT:-8462}:8462",
            "${PAGE_PORT:-8462}:8462",
            "rescaler: port 8462:8462 is not of",
        ),
        ("${DROP_PORT:-8460}", "${DROP_PORT:-8462}", "rescaler: port 8462 is taken by config-drop"),
        ("nodes:/nodes:ro", "knots:/nodes:ro", "taskmanager-3: volume knots is not declared"),
        ("  grafana-data:\n", "  grafana-data:\n  other:\n", "volume other is not used"),
        ("./configs/compose/prometheus.yml:", "./configs/prom.yml:", "./configs/prom.yml does not exist"),
        ("docker/programs/Dockerfile", "docker/Dockerfile", "docker/Dockerfile does not exist"),
        ("      topics: { condition", "      topic: { condition", "first-document: depends on topic, which"),
        ("/etc/rescaler/psm.toml", "/etc/rescaler/p.toml", "/etc/rescaler/p.toml does not exist"),
        (
            "topics: { condition: service_completed_successfully",
            "topics: { condition: service_healthy",
            "topics, which has no health check",
        ),
        (
            "kafka: { condition: service_healthy",
            "kafka: { condition: service_completed_successfully",
            "kafka, which does not end",
        ),
        ("&page-health\n      test:", "&page-health\n      tests:", "rescaler: has no health check"),
        (
            "      jobmanager: { condition",
            "      grafana: { condition",
            "grafana, which is in a profile of its own",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from} is not in the file any more");
        let broken = ComposeFile::parse(&text.replacen(from, to, 1)).unwrap();
        let found = problems(&broken, &tree());
        assert!(found.iter().any(|problem| problem.contains(expected)), "{to}: {expected}: {found:?}");
    }
}

/// Goal: .env.example lists exactly the variables of the file, with their defaults.
#[test]
fn the_example_environment_is_complete() {
    let used = compose().variables;
    let example = read(".env.example");
    let mut told = std::collections::BTreeMap::new();
    for line in example.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            continue;
        }
        let value = value.split('#').next().unwrap_or_default().trim();
        told.entry(name.to_owned()).or_insert_with(Vec::new).push(value.to_owned());
    }
    told.remove("COMPOSE_PROFILES");
    assert_eq!(told.keys().collect::<Vec<_>>(), used.keys().collect::<Vec<_>>());
    for (name, default) in used {
        assert!(told[&name].contains(&default), "{name}: {default:?} is not among {:?}", told[&name]);
    }
}

/// Goal: the images build on an engine that has the base images but no access to a registry, and the project's do not
/// run as root.
#[test]
fn the_dockerfiles_are_plain() {
    let mut folders = vec![tree().join("docker")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("Dockerfile") {
                let text = std::fs::read_to_string(&path).unwrap();
                for unwanted in ["# syntax=", "<<EOF", "--link", ":latest"] {
                    assert!(!text.contains(unwanted), "{} has {unwanted}", path.display());
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "only {seen} Dockerfiles were found");
    assert!(read("docker/programs/Dockerfile").contains("\nUSER rescaler\n"));
}
