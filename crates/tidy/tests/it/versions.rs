//! One version for everything: that of the workspace, in `Cargo.toml`. What cannot take it from there is compared with it here.

use std::collections::BTreeSet;

use cargo_metadata::MetadataCommand;

use crate::tree::{files, root};

/// The version of the workspace.
fn version() -> String {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    manifest["workspace"]["package"]["version"].as_str().unwrap().to_owned()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Goal: all crates have the version of the workspace, so that every program prints it.
#[test]
fn crates_have_one_version() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let others = metadata.packages.iter().filter(|package| package.version.to_string() != version());
    assert_eq!(others.map(|package| package.name.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
    let locked = format!("name = \"events\"\nversion = \"{}\"", version());
    assert!(text("fuzz/Cargo.lock").contains(&locked), "fuzz/Cargo.lock has another version of events");
}

/// Goal: the Java projects have that version, too.
#[test]
fn java_projects_have_that_version() {
    let mut checked = 0;
    for (file, text) in files("pom.xml").iter().filter(|(file, _)| file.starts_with("flink-")) {
        let own = text.split("</version>").next().and_then(|before| before.rsplit("<version>").next());
        assert_eq!(own, Some(version().as_str()), "{file}");
        checked += 1;
    }
    assert_eq!(checked, 3);
}

/// Goal: a new version builds its own images instead of running those of the last one.
#[test]
fn images_are_tagged_with_it() {
    let tag = format!("${{RESCALER_TAG:-{}}}", version());
    let compose = text("docker-compose.yml");
    let tags = compose.lines().filter(|line| line.contains("RESCALER_TAG"));
    let tags: Vec<&str> = tags.filter(|line| line.trim_start().starts_with("image:")).collect();
    assert_eq!(tags.len(), 2);
    assert!(tags.iter().all(|line| line.ends_with(&tag)), "{tags:?}");
    assert!(text(".env.example").contains(&format!("# RESCALER_TAG={} ", version())));
}

/// Goal: the changelog has a place for what comes, then this version with its date, then older ones; the guide says how to get to it.
#[test]
fn changelog_and_guide_know_it() {
    let changelog = text("CHANGELOG.md");
    let headings: Vec<&str> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings[0], "Unreleased");
    let names: Vec<&str> = headings[1..].iter().map(|heading| heading.split(' ').next().unwrap()).collect();
    assert_eq!(names[0], version());
    let dated = regex::Regex::new(r"^\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)$").unwrap();
    assert!(headings[1..].iter().all(|heading| dated.is_match(heading)), "{headings:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    let guide = format!("\n## From {} to {}\n", names[1], names[0]);
    assert!(text("docs/upgrading.md").contains(&guide), "docs/upgrading.md has no heading {guide:?}");
    assert!(text("docs/operating.md").contains(&format!("\"rescaler\":\"{} (", version())));
}
