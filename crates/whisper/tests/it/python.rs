//! Comparison with the reference implementation, on files written by it.
//!
//! Installs PyPI's `whisper` once into the testbed's cache. Without Python or a network the first test prints a note
//! and compares nothing; the one of `scripts/test.sh --full` fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use testbed::process::Launcher;
use testbed::{PythonSet, TestbedSettings, provide_python};
use whisper::{FetchError, Range, Series, fetch};

const REFERENCE: PythonSet = PythonSet { name: "whisper", requirements: "whisper==1.1.10\n" };

/// Files, with six ranges each.
const FILES: u32 = 400;
const FILES_FULL: u32 = 10_000;
/// Files per run of the script, to limit disk use.
const BATCH: u32 = 500;

async fn python() -> Result<PathBuf, String> {
    let config = TestbedSettings::default().check().unwrap();
    provide_python(&config, REFERENCE, &Launcher::new().unwrap(), &|line| println!("{line}"))
        .await
        .map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Case(u32, i64, i64, i64, serde_json::Value);

fn cases(python: &Path, folder: &Path, first: u32, count: u32) -> Vec<Case> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reference.py");
    let run = Command::new(python)
        .arg(script)
        .arg(folder)
        .args([first, count].map(|number| number.to_string()))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Converts a result to Python's output format. The bits of a NaN are not in its text: all count as equal.
fn in_pythons_words(found: Result<Option<Series>, FetchError>) -> serde_json::Value {
    let text = |value: f64| hexadecimal(value);
    match found {
        Ok(None) => serde_json::Value::Null,
        Ok(Some(series)) => {
            let values: Vec<Option<String>> = series.values.iter().map(|value| value.map(text)).collect();
            serde_json::json!([series.from, series.until, series.step, values])
        }
        Err(FetchError::Range { .. }) => "invalid".into(),
        Err(error) => format!("{error}: {:?}", std::error::Error::source(&error)).into(),
    }
}

/// Formats like Python's `float.hex`: exact to the last bit.
fn hexadecimal(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let (exponent, fraction) = ((value.to_bits() >> 52) & 0x7ff, value.to_bits() & ((1 << 52) - 1));
    match (exponent, fraction) {
        (0, 0) => format!("{sign}0x0.0p+0"),
        (0, _) => format!("{sign}0x0.{fraction:013x}p-1022"),
        _ => format!("{sign}0x1.{fraction:013x}p{:+}", exponent.cast_signed() - 1023),
    }
}

/// Goal: for random files (several archives, wrap-around, gaps, all aggregations and xFilesFactors, empty) and random
/// ranges (edges of retention, the future, backwards), results equal Python's `whisper.fetch`.
#[tokio::test]
async fn random_files_read_as_python_reads_them() {
    match python().await {
        Ok(python) => compare(&python, FILES),
        Err(error) => println!("LEFT OUT: not compared with Python: {error}"),
    }
}

/// Goal: the same for 10,000 files.
#[tokio::test]
#[ignore = "needs --full"]
async fn many_random_files_read_as_python_reads_them() {
    compare(&python().await.unwrap(), FILES_FULL);
}

fn compare(python: &Path, files: u32) {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for first in (0..files).step_by(BATCH as usize) {
        let folder = tempfile::tempdir().unwrap();
        for Case(file, from, until, now, expected) in
            cases(python, folder.path(), first, BATCH.min(files - first))
        {
            let path = folder.path().join(format!("{file}.wsp"));
            let found = in_pythons_words(fetch(&path, Range { from, until, now }));
            assert_eq!(found, expected, "file {file}, from {from} until {until}, now {now}");
            *seen.entry(class_of(&expected)).or_default() += 1;
        }
    }
    println!("{files} files: {seen:?}");
    // The draw must cover all of these classes.
    for class in ["invalid", "nothing", "unknown", "some values"] {
        assert!(seen.get(class).is_some_and(|count| *count > files / 20), "{class} is rare: {seen:?}");
    }
}

fn class_of(answer: &serde_json::Value) -> &'static str {
    match answer {
        serde_json::Value::Null => "nothing",
        serde_json::Value::String(_) => "invalid",
        _ if answer[3].as_array().is_some_and(|values| values.iter().any(|value| !value.is_null())) => {
            "some values"
        }
        _ => "unknown",
    }
}
