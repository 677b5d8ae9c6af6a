//! Finds the commit that a release is built from.
//!
//! Development builds are not marked, to avoid relinking each program with every commit.

use std::env;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Returns the commit from the environment for builds without a repository (an image, a package), or else the one
/// checked out.
fn commit() -> Option<String> {
    println!("cargo:rerun-if-env-changed=RESCALER_COMMIT");
    if let Some(given) = env::var("RESCALER_COMMIT").ok().filter(|given| !given.is_empty()) {
        return Some(given);
    }
    if env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    for changes in ["HEAD", "logs/HEAD", "index"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", changes]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if changed { format!("{hash}, changed") } else { hash })
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = commit().unwrap_or_else(|| "development build".to_owned());
    println!("cargo:rustc-env=RESCALER_VERSION={version} ({commit})");
}
