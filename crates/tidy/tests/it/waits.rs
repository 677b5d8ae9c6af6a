//! Checks that each wait listed in docs/security.md has the named test.

use std::collections::BTreeSet;

use crate::tree::{files, root};

/// Returns the tests named in the table of waits.
fn named(text: &str) -> Vec<String> {
    let section = text.split("## Every wait and its bound").nth(1).unwrap_or_default();
    let rows =
        section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| "));
    let tests = rows.skip(1).filter_map(|row| row.trim_end_matches(" |").rsplit("| ").next());
    tests.map(|test| test.trim_matches('`').to_owned()).collect()
}

/// Goal: a renamed or removed test is detected in the table.
#[test]
fn every_wait_has_its_test() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let tests: BTreeSet<String> = files(".rs")
        .iter()
        .flat_map(|(_, source)| source.lines())
        .filter_map(|line| line.split_once("fn ")?.1.split_once("()"))
        .map(|(name, _)| name.to_owned())
        .collect();
    let named = named(&text);
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
