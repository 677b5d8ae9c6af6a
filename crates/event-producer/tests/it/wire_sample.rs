//! Goal: the events of `testdata/wire/sample-*`, which the Java decoder is tested with, are the ones that this program makes
//! today, as bytes and as JSON: both benchmarks, and random ones that no benchmark would make.
//!
//! After a deliberate change of a stream or the format, `UPDATE_GOLDEN=1 cargo test -p event-producer wire_sample`
//! writes the files anew. A million of each cross over in `scripts/check-wire.sh`.

#[path = "../../examples/random-events/random.rs"]
mod random;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use events::{Event, Kind};

/// 20 rounds of the NexMark mix, 53 events each; with as many of the others the files stay below half a megabyte.
const EVENTS: u64 = 1_060;

fn generated(benchmark: &str, format: &str) -> Vec<u8> {
    let events = EVENTS.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_event-producer"))
        .args(["generate", "--benchmark", benchmark, "--events", &events, "--format", format])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn random(format: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    random::write(EVENTS, format == "json", &mut bytes).unwrap();
    bytes
}

/// Compares with the file, or writes it when asked to; returns what it holds.
fn check_file(stream: &str, format: &str, expected: &[u8]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/wire");
    let path = folder.join(format!("sample-{stream}.{format}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read(&path).unwrap();
    assert!(found == expected, "{} is not what is made today; see the head of this test", path.display());
    found
}

/// The kinds of the records, each of which is read.
fn kinds(mut framed: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    while let Some((length, rest)) = framed.split_first_chunk() {
        let (record, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        kinds.push(Event::decode(record).unwrap().kind());
        framed = rest;
    }
    assert!(framed.is_empty());
    kinds
}

#[test]
fn samples_are_what_is_made_today_and_hold_every_kind() {
    for (stream, kinds_expected) in [("nexmark", 4), ("psm", 3), ("random", 7)] {
        let make = |format: &str| if stream == "random" { random(format) } else { generated(stream, format) };
        let kinds = kinds(&check_file(stream, "wire", &make("wire")));
        let lines = check_file(stream, "json", &make("json"));
        assert_eq!(
            lines.iter().filter(|byte| **byte == b'\n').count(),
            kinds.len(),
            "{stream}: a line an event"
        );
        assert_eq!(kinds.len() as u64, EVENTS, "{stream}");
        assert_eq!(kinds.into_iter().collect::<BTreeSet<_>>().len(), kinds_expected, "{stream}");
    }
}
