//! Rules about Cargo builds: the same dependencies for programs as for tests, and no test that is never run.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{MetadataCommand, Target, TargetKind};

use crate::tree::{files, root};

/// The feature sets with which each package is built.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Returns the features over these kinds of edges, as `cargo tree` resolves them for the whole workspace.
fn features(edges: &str) -> Features {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--quiet"])
        .args(["--prefix", "none", "--format", "{p}\t{f}", "--edges", edges])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut features = Features::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        // Repeated entries have this mark.
        if let Some((package, enabled)) = line.trim_end_matches(" (*)").split_once('\t') {
            features.entry(package.to_owned()).or_default().insert(enabled.to_owned());
        }
    }
    features
}

/// Goal: the programs' dependencies are built once, for programs, tests and documentation: tests enable no additional
/// feature. (Otherwise: add the feature to the dependency in the root `Cargo.toml`.)
#[test]
fn tests_switch_no_features_on() {
    let (programs, tests) = (features("normal,build"), features("normal,build,dev"));
    assert!(programs.len() > 100, "only {} packages", programs.len());
    // A package may occur again for tests, like one that only build scripts of programs need.
    let is_reused = |package: &str, enabled| tests.get(package).is_some_and(|of| of.is_superset(enabled));
    let differ = programs.iter().filter(|(package, enabled)| !is_reused(package, enabled));
    let differ: Vec<_> = differ.map(|(package, enabled)| (package, enabled, tests.get(package))).collect();
    assert!(differ.is_empty(), "package, features for programs, features for tests: {differ:?}");
}

/// Returns the sources of a target; of a library the whole folder.
fn sources(target: &Target) -> Vec<(String, String)> {
    let path = target.src_path.strip_prefix(root().to_str().unwrap()).unwrap();
    let is_library = !target.kind.contains(&TargetKind::Bin);
    let folder = format!("{}/", path.parent().unwrap());
    let all = files(".rs").into_iter();
    all.filter(|(name, _)| if is_library { name.starts_with(&folder) } else { name == path.as_str() })
        .collect()
}

/// Goal: a target without a test binary has no tests.
#[test]
fn targets_that_are_not_tested_have_no_tests() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let untested = targets.filter(|target| {
        !target.test && (target.kind.contains(&TargetKind::Bin) || target.kind.contains(&TargetKind::Lib))
    });
    let mut checked = 0;
    for (name, text) in untested.flat_map(sources) {
        let has_tests = text.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with("#[test]") || line.starts_with("#[tokio::test") || line.starts_with("proptest!")
        });
        assert!(!has_tests, "{name} has tests; its target has `test = false`");
        checked += 1;
    }
    assert!(checked > 10, "only {checked} files were found");
}
