//! Rules about source files.

use crate::tree::files;

/// Maximum length of a file, in lines. Most are far shorter.
const LINES_MAX: usize = 500;

/// Goal: each Rust file begins with its purpose, and none is too long.
#[test]
fn files_are_introduced_and_short() {
    let rust = files(".rs");
    assert!(rust.len() > 50, "only {} Rust files were found", rust.len());
    for (name, text) in &rust {
        let opening = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
        assert!(opening.starts_with("//!"), "{name} does not open with what it is");
    }
    for (name, text) in rust.iter().chain(&files(".java")) {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines; {LINES_MAX} are enough");
    }
}

/// Goal: no unfinished code and no disabled test is in the tree. Tests of `scripts/test.sh --full` are not disabled.
#[test]
fn nothing_is_left_over() {
    // Written in two parts, so that this file does not match itself.
    let leftovers =
        [["FIX", "ME"], ["XX", "X:"], ["#[ign", "ore"], ["@Dis", "abled"]].map(|parts| parts.concat());
    let full = ["#[ign", "ore = \"needs --full\"]"].concat();
    for (name, text) in files(".rs").into_iter().chain(files(".java")).chain(files(".sh")) {
        let text = text.replace(&full, "");
        for leftover in &leftovers {
            assert!(!text.contains(leftover.as_str()), "{name} contains {leftover}");
        }
    }
}

/// Goal: no text file has conflict markers of an unfinished merge.
#[test]
fn every_merge_is_finished() {
    // Written in parts, so that this file does not match itself.
    let marks = ["<", ">"].map(|mark| format!("{} ", mark.repeat(7)));
    for (name, text) in [".rs", ".java", ".sh", ".py", ".toml", ".md", ".yml"].into_iter().flat_map(files) {
        let found = text.lines().find(|line| marks.iter().any(|mark| line.starts_with(mark.as_str())));
        assert_eq!(found, None, "{name}");
    }
}
