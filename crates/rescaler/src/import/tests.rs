//! Old files of every kind, and what they become.

use job_config::JobDocument;

use super::*;

const NEXMARK: &str = include_str!("../../../../testdata/import/nexmark.yaml");
const RESCALER: &str = include_str!("../../../../testdata/import/rescaler.yaml");
const PRODUCER: &str = include_str!("../../../../testdata/import/producer.yaml");
const EXPECTED: &str = include_str!("../../../../testdata/import/expected.txt");

fn import(files: &[(&str, &str)]) -> Result<Imported, ImportError> {
    let entries = files.iter().map(|(name, text)| yaml::parse(name, text));
    convert(&entries.collect::<Result<Vec<_>, _>>()?, "2026-01-02T03:04:05Z".parse().unwrap())
}

fn problems(files: &[(&str, &str)]) -> String {
    format!("{:#}", anyhow::Error::from(import(files).unwrap_err()))
}

/// The lines that our examples do not have, and all remarks: what a reviewer has to look at.
fn difference(imported: &Imported) -> String {
    let mut text = String::new();
    for file in &imported.files {
        let examples = concat!(
            include_str!("../../../../configs/rescaler.toml"),
            include_str!("../../../../configs/jobs/nexmark.toml"),
            include_str!("../../../../configs/event-producer.toml"),
        );
        writeln!(text, "==== {}", file.name.display()).unwrap();
        for line in file.text.lines().filter(|line| !examples.lines().any(|known| known == *line)) {
            let value = line.split(" #").next().unwrap_or(line).trim_end();
            writeln!(text, "{value}").unwrap();
        }
    }
    writeln!(text, "==== remarks\n{}", imported.remarks.join("\n")).unwrap();
    text
}

/// Goal: everything that the old files say is in ours, where it belongs, and each key has its line. That our readers accept the
/// files is part of the conversion, and for the producer's a test of the crate `manual`.
#[test]
fn full_files_become_ours() {
    let imported =
        import(&[("nexmark.yaml", NEXMARK), ("rescaler.yaml", RESCALER), ("producer.yaml", PRODUCER)])
            .unwrap();
    assert_eq!(difference(&imported), EXPECTED);
    let document: toml::Table = imported.files[1].text.parse().unwrap();
    let runs = |query: &str| document["queries"][query]["enabled"].as_bool().unwrap();
    let running: Vec<_> = ["q4", "q5", "q6", "q7", "q8"].into_iter().filter(|query| runs(query)).collect();
    assert_eq!(running, ["q5", "q7"]);
}

/// Goal: a word keeps its meaning in upper and lower case, and what was made of another word is said.
#[test]
fn words_keep_their_meaning() {
    for (word, incremental) in [
        ("incremental", true),
        ("Incremental", true),
        ("INCREMENTAL", true),
        ("full", false),
        ("rocksdb", false),
    ] {
        let text = format!("benchmark: psm\ncheckpointing_method: {word}\n");
        let imported = import(&[("old.yaml", &text)]).unwrap();
        let document: toml::Table = imported.files[1].text.parse().unwrap();
        assert_eq!(document["checkpoint"]["incremental"].as_bool(), Some(incremental), "{word}");
        let remark = &imported.remarks[1];
        assert_eq!(
            remark.contains(&format!("= {incremental}, from {word:?}")),
            word != "incremental",
            "{remark}"
        );
    }
}

/// Goal: a key that nobody knows is named with its line, and does not stop the rest.
#[test]
fn unknown_keys_are_named() {
    let imported = import(&[("old.yaml", "benchmark: psm\n\nspeed: 3\n")]).unwrap();
    assert_eq!(imported.remarks[1], "old.yaml:3: speed: NOT CONVERTED: unknown key");
    assert_eq!(imported.remarks[2], "2 keys, 1 of them not converted");
    assert_eq!(imported.files.len(), 2);
}

/// Goal: values of the wrong kind are named together, each with its line.
#[test]
fn wrong_values_are_named_together() {
    let message = problems(&[(
        "old.yaml",
        "benchmark: psm\nparallelism: many\nmax_downtime: 3 * 60\nQuery1_Active: perhaps\nkafka_server: [a]\nSink_1_Parallelism: -1\n\
         jobmanager_port: x\n",
    )]);
    for expected in [
        "old.yaml:2: parallelism: not an integer of at least 1",
        "old.yaml:3: max_downtime: not a number above 0",
        "old.yaml:4: Query1_Active: write true or false",
        "old.yaml:5: kafka_server: not a text",
        "old.yaml:6: Sink_1_Parallelism: not an integer of at least 0",
        "old.yaml:7: jobmanager_port: not a port",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

/// Goal: what does not fit together is refused: two values of one key, two benchmarks, none, a width above the maximum.
#[test]
fn contradictions_are_refused() {
    let one = ("one.yaml", "benchmark: psm\nparallelism: 3\n");
    assert!(
        problems(&[one, ("two.yaml", "Parallelism: 4\n")])
            .contains("two.yaml:1: Parallelism: differs from one.yaml:2")
    );
    assert!(problems(&[one, ("two.yaml", "benchmark: nexmark\n")]).contains("different benchmarks"));
    assert!(problems(&[("two.yaml", "parallelism: 4\n")]).contains("benchmark: missing in all files"));
    let wide = ("wide.yaml", "benchmark: psm\nmaxParallelism: 2\nClicks_Input: 3\n");
    assert!(
        problems(&[wide]).contains("parallelism.operators.source-click: 3 is above"),
        "{}",
        problems(&[wide])
    );
    assert!(problems(&[("load.yaml", "benchmark: psm\npause: 3\n")]).contains("both are needed"));
}

/// Goal: spelling does not matter, and a nested file is read like a flat one.
#[test]
fn spellings_are_one() {
    for text in
        ["max-parallelism: 64", "max_parallelism: '64'", "max:\n  parallelism: 64", "MaxParallelism: 64"]
    {
        let imported = import(&[("old.yaml", &format!("benchmark: nexmark\n{text}\n"))]).unwrap();
        let document = JobDocument::parse(&imported.files[1].text).unwrap();
        assert_eq!(document.parallelism().max, 64, "{text}");
    }
}

/// Goal: the operators that old keys become exist in our jobs.
#[test]
fn operators_exist() {
    let jobs = [
        (keys::Benchmark::Nexmark, include_str!("../../../../configs/jobs/nexmark.toml")),
        (keys::Benchmark::Psm, include_str!("../../../../configs/jobs/psm.toml")),
    ];
    for (name, mapping) in keys::JOB {
        let keys::KeyMapping::Operator(benchmark, uid) = mapping else { continue };
        let (_, example) = jobs.iter().find(|(known, _)| *known == benchmark).unwrap();
        assert!(example.contains(uid), "{name} becomes {uid}");
    }
}

/// Goal: files are written all or none, never over others, and a dry run writes nothing.
#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.yaml");
    std::fs::write(&old, "benchmark: psm\n").unwrap();
    let output = folder.path().join("new");
    let mut import = Import { old: vec![old], output: Some(output.clone()), dry_run: true };
    assert!(run(&import).unwrap().0.contains("would write"));
    assert!(!output.exists());
    import.dry_run = false;
    run(&import).unwrap();
    assert!(output.join("rescaler.toml").is_file() && output.join("jobs/psm.toml").is_file());
    std::fs::remove_file(output.join("rescaler.toml")).unwrap();
    assert!(run(&import).unwrap_err().to_string().contains("jobs/psm.toml exists"));
    assert!(!output.join("rescaler.toml").exists());
}
