//! What the guides say of command lines is what the programs accept.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Goal: the list of options is the one that would be made now.
#[test]
fn the_list_of_options_is_current() {
    let made = manual::options(&manual::programs());
    let kept = fs::read_to_string(tree().join("docs/options.md")).unwrap_or_default();
    assert!(
        made == kept,
        "docs/options.md is old; renew it: cargo run --bin manual -- run/manual && cp run/manual/options.md docs/"
    );
}

/// Goal: the list has each of the options and keys that a reader would look for first.
#[test]
fn the_list_of_options_is_whole() {
    let made = manual::options(&manual::programs());
    for (name, mark) in [
        ("rescaler", "`policy.latency.latency_max_ms` | `1000.0` |"),
        ("rescaler", "`limits.operators.q7-bid-item.max` | – `32768` |"),
        ("rescaler", "`--dry-run` |"),
        ("config-agent", "`node[].start` | –"),
        ("config-drop", "`limits.waiting_readers` | `256` |"),
        ("event-producer", "`kafka.linger_ms` | `5` |"),
        ("state-probe", "`--interval-ms MS` |"),
        ("testbed", "`flink.task_slots` | `4` |"),
    ] {
        assert!(made.contains(mark), "{name}: no {mark}");
    }
}

/// Goal: every command line of ours in a guide names a command and options that exist.
#[test]
fn command_lines_in_the_guides_are_accepted() {
    let programs = manual::programs();
    let mut checked = 0;
    let mut problems = Vec::new();
    for file in guides() {
        let text = fs::read_to_string(&file).unwrap();
        for line in command_lines(&text) {
            if let Some(result) = check(&line, &programs) {
                checked += 1;
                problems.extend(result.err().map(|problem| format!("{}: {line}: {problem}", file.display())));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 30, "only {checked} command lines were found");
}

/// Goal: the check finds what it is there for.
#[test]
fn mistakes_would_be_found() {
    let programs = manual::programs();
    let problem = |line: &str| check(line, &programs).unwrap().unwrap_err();
    assert!(problem("rescaler runn --dry-run").contains("runn"));
    assert!(problem("target/debug/rescaler run --dry-runs").contains("--dry-runs"));
    assert!(problem("config-drop --configuration=x").contains("--configuration"));
    assert!(problem("./scripts/demo.sh --forever").contains("--forever"));
    assert!(problem("./scripts/nothing.sh").contains("does not exist"));
    assert!(check("echo rescaler", &programs).is_none());
    assert_eq!(check("[DESTDIR=x] ./scripts/install.sh [--prefix DIR]", &programs), Some(Ok(())));
    let text =
        "a\n\n```\nsudo testbed up \\\n    --detach   # and more\nx | rescaler decide\n```\nrescaler no\n";
    assert_eq!(command_lines(text), ["sudo testbed up --detach", "x", "rescaler decide"]);
}

fn guides() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [tree(), tree().join("docs")] {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    assert!(files.len() > 10, "{files:?}");
    files
}

/// What stands in fenced and in indented blocks, one command each, without comments.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut is_fenced, mut goes_on) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced || line.starts_with("    ") {
            let line = line.split(" #").next().unwrap_or(line).trim();
            let part = line.trim_end_matches('\\').trim();
            match lines.last_mut().filter(|_| goes_on) {
                Some(before) => *before = format!("{before} {part}"),
                None => lines.push(part.to_owned()),
            }
            goes_on = line.ends_with('\\');
        }
    }
    let parts = lines.iter().flat_map(|line| line.split([';', '|', '&']));
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Whether a command line is accepted; [`None`] if it is none of ours.
fn check(line: &str, programs: &[Command]) -> Option<Result<(), String>> {
    let words: Vec<_> = line.split_whitespace().map(|word| word.trim_matches(['[', ']'])).collect();
    let start = words.iter().position(|word| !(*word == "sudo" || *word == "$" || word.contains('=')))?;
    let program = words[start];
    let arguments = &words[start + 1..];
    if program.starts_with("./scripts/") || program.starts_with("scripts/") {
        return Some(check_script(program, arguments));
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let mut command = programs.iter().find(|command| command.get_name() == name)?;
    for word in arguments {
        if word.starts_with("--") {
            let option = word.split('=').next().unwrap_or(word).trim_start_matches("--");
            let known = command.get_arguments().any(|argument| argument.get_long() == Some(option));
            if !known && !["help", "version", ""].contains(&option) {
                return Some(Err(format!("{} has no option --{option}", command.get_name())));
            }
        } else if let Some(inner) = command.find_subcommand(word) {
            command = inner;
        } else if command.is_subcommand_required_set() {
            return Some(Err(format!("{} has no command {word}", command.get_name())));
        }
    }
    Some(Ok(()))
}

fn check_script(script: &str, arguments: &[&str]) -> Result<(), String> {
    let text = fs::read_to_string(tree().join(script)).map_err(|_| format!("{script} does not exist"))?;
    match arguments.iter().find(|word| word.starts_with("--") && !text.contains(**word)) {
        Some(option) => Err(format!("{script} has no option {option}")),
        None => Ok(()),
    }
}
