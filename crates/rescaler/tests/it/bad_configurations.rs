//! A bad configuration looks the same in every program: exit code 2, and one line with the file, all keys and what would be right.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program;

/// How a program checks a file, and a file of it with an unknown key, a value of the wrong type, and a number out of its range.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    /// The file, which is followed by `sead = 1`.
    text: &'static str,
    /// The key of the wrong type, and the number with its key and its range.
    expected: (&'static str, &'static str),
    /// A file with an address that is none, and what is said about it; empty: the program has no addresses.
    address: (&'static str, &'static str),
}

const FLINK: (&str, &str) =
    ("flink.url = \"ann:hunter2@host\"", "flink.url = \"host\": write it as http://host:port");

const CASES: [Case; 7] = [
    Case {
        name: "event-producer",
        arguments: &["run", "--check-config", "--config"],
        text: "events = \"all\"\nkafka.linger_ms = 60001",
        expected: ("events", "kafka.linger_ms = 60001: give a number from 0 to 60000"),
        address: ("", ""),
    },
    Case {
        name: "rescaler",
        arguments: &["run", "--check-config", "--config"],
        text: "job = \"a\"\nepoch.first_ms = \"soon\"\npolicy.slo.hold_s = 0.5",
        expected: ("epoch.first_ms", "policy.slo.hold_s = 0.5: give a number from 1 to 86400"),
        address: FLINK,
    },
    Case {
        name: "config-drop",
        arguments: &["--check-config", "--config"],
        text: "data = \"d\"\nlimits.wait_ms = \"long\"\nlimits.jobs = 0",
        expected: ("limits.wait_ms", "limits.jobs = 0: give a number from 1 to 100000"),
        address: ("", ""),
    },
    Case {
        name: "config-agent",
        arguments: &["--check-config", "--config"],
        text: "job = 1\ndeadlines.running_ms = 0",
        expected: ("job", "deadlines.running_ms = 0: give a number from 1 to 86400000"),
        address: FLINK,
    },
    Case {
        name: "state-probe",
        arguments: &["run", "--check-config", "--config"],
        text: "json_lines = 1\nhost.interval_ms = 5",
        expected: ("json_lines", "host.interval_ms = 5: give a number from 100 to 86400000"),
        address: (
            "[[source]]\nkind = \"flink\"\nurl = \"ann:hunter2@host\"",
            "source[0].url = \"host\": write it as http://host:port",
        ),
    },
    Case {
        name: "testbed",
        arguments: &["--check-config", "--config"],
        text: "fresh = 1\nstop_deadline_s = 601",
        expected: ("fresh", "stop_deadline_s = 601: give a number from 1 to 600"),
        address: ("", ""),
    },
    Case {
        name: "experiment",
        arguments: &["run", "--check-config"],
        text: "description = \"d\"\ndocument = \"CONFIGS/documents/nexmark.toml\"\nproducer = \"CONFIGS/loads/nexmark.toml\"\n\
               rescaler = \"none\"\nduration_s = 60\nwarm_up_s = 5\nlatency_max_ms = 1.0\n\
               cluster = { task_managers = 1, task_slots = 4, partitions = 4 }\nside_by_side = 1\nrepetitions = 101",
        expected: ("side_by_side", "repetitions = 101: give a number from 1 to 100"),
        address: ("", ""),
    },
];

/// What the program says about this file: its last line, without its name and the file's, which begin it.
fn said(case: &Case, file: &Path) -> String {
    let mut command = Command::new(program(case.name));
    let output = command.args(case.arguments).arg(file).current_dir(std::env::temp_dir()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}: {said}", case.name);
    let line = said.lines().last().unwrap_or_default();
    let beginning = format!("{}: {}: ", case.name, file.display());
    assert!(line.starts_with(&beginning), "not {beginning:?}: {said}");
    line[beginning.len()..].to_owned()
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/experiments");
    let path = folder.join("bad.toml");
    std::fs::write(&path, text.replace("CONFIGS", configs.to_str().unwrap())).unwrap();
    path
}

/// Goal: every program reports an unknown key, a value of the wrong type and a number out of its range at once and in the same
/// words; none of them twice.
#[test]
fn all_problems_are_reported_at_once_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    for case in &CASES {
        let (key, range) = case.expected;
        let said = said(case, &written(folder.path(), &format!("sead = 1\n{}", case.text)));
        let line = case.text.lines().position(|line| line.starts_with(key)).unwrap() + 2;
        let wrong_type = format!("line {line}, {key}: ");
        for part in ["line 1, sead: unknown field `sead`, expected ", wrong_type.as_str(), range] {
            assert_eq!(said.matches(part).count(), 1, "{}: {part:?} in {said}", case.name);
        }
        assert!(!said.contains(&format!("{key}: missing")), "{}: {said}", case.name);
    }
}

/// Goal: a missing file, what is no file, and what is no TOML are reported in the same words by every program.
#[test]
fn files_that_cannot_be_read_are_reported_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    for case in &CASES {
        let name = case.name;
        assert_eq!(
            said(case, &folder.path().join("none.toml")),
            "there is no such file; check the path",
            "{name}"
        );
        assert_eq!(
            said(case, folder.path()),
            "cannot be read: it is a folder; name a regular file",
            "{name}"
        );
        let no_toml = said(case, &written(folder.path(), "\nsead 1"));
        assert!(no_toml.starts_with("line 2: ") && !no_toml.contains("sead 1"), "{name}: {no_toml}");
    }
}

/// Goal: an address that is none is reported in the same words, without its password.
#[test]
fn bad_addresses_are_reported_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    for case in CASES.iter().filter(|case| !case.address.0.is_empty()) {
        let (text, expected) = case.address;
        let job = if case.name == "state-probe" { "" } else { "job = \"a\"\n" };
        let said = said(case, &written(folder.path(), &format!("{job}{text}")));
        assert!(said.contains(expected) && !said.contains("hunter2"), "{}: {said}", case.name);
    }
}
