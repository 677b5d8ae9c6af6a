//! What every source file of ours has in common.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing loudly")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Files are to be read in one sitting. Most are far shorter.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The files that git tracks or would track, with this ending.
fn files(ending: &str) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git cannot list the files");
    let names = String::from_utf8(listed.stdout).unwrap();
    let wanted = names.lines().filter(|name| name.ends_with(ending) && root().join(name).is_file());
    wanted.map(|name| (name.to_owned(), std::fs::read_to_string(root().join(name)).unwrap())).collect()
}

/// Goal: each Rust file opens with what it is, and none has grown beyond a sitting.
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

/// Goal: nothing half-finished and no switched-off test is in the tree.
#[test]
fn nothing_is_left_over() {
    // Written in two parts, so that this file does not find itself.
    let leftovers =
        [["FIX", "ME"], ["XX", "X:"], ["#[ign", "ore"], ["@Dis", "abled"]].map(|parts| parts.concat());
    for (name, text) in files(".rs").into_iter().chain(files(".java")).chain(files(".sh")) {
        for leftover in &leftovers {
            assert!(!text.contains(leftover.as_str()), "{name} contains {leftover}");
        }
    }
}
