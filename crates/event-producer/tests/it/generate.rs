//! Goal: the output of `generate` is the same bytes for any number of threads and any division into ranges, and its hash
//! is the one that this stream has had since it was first defined.

use std::process::{Command, Output};

use events::Event;
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_event-producer")).args(arguments).output().unwrap()
}

fn generate(arguments: &[&str]) -> Vec<u8> {
    let output = run(&[&["generate"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn summary(arguments: &[&str]) -> Value {
    serde_json::from_slice(&generate(&[&["--format", "count"], arguments].concat())).unwrap()
}

#[test]
fn output_is_the_same_for_any_threads_and_any_split() {
    for benchmark in ["nexmark", "psm"] {
        for format in ["json", "wire"] {
            let fixed = ["--benchmark", benchmark, "--seed", "9", "--format", format];
            let part = |from: &str, events: &str, threads: &str| {
                generate(&[&fixed[..], &["--from", from, "--events", events, "--threads", threads]].concat())
            };
            let whole = part("0", "30000", "1");
            for threads in ["2", "3", "8"] {
                assert!(part("0", "30000", threads) == whole, "{benchmark} {format} with {threads} threads");
            }
            let parts = [part("0", "1", "1"), part("1", "12345", "8"), part("12346", "17654", "2")].concat();
            assert!(parts == whole, "{benchmark} {format} in parts");
        }
    }
}

#[test]
fn the_hash_is_that_of_the_stream() {
    for (benchmark, expected) in [("nexmark", NEXMARK_HASH), ("psm", PSM_HASH)] {
        for threads in ["1", "2", "8"] {
            let whole = summary(&["--benchmark", benchmark, "--events", "100000", "--threads", threads]);
            assert_eq!(whole["hash"], expected, "{benchmark}: {whole}");
            assert_eq!(whole["events"], 100_000);
        }
        let hash = |from: &str, events: &str| {
            let part = summary(&["--benchmark", benchmark, "--from", from, "--events", events]);
            u64::from_str_radix(part["hash"].as_str().unwrap(), 16).unwrap()
        };
        let sum = hash("0", "31415").wrapping_add(hash("31415", "68585"));
        assert_eq!(format!("{sum:016x}"), expected, "{benchmark} in two parts");
    }
}

/// Of the first 100 000 events of seed 1 from time 0 at 1000 events/s. They change only if the stream is meant to change.
const NEXMARK_HASH: &str = "396e80675472adfd";
const PSM_HASH: &str = "b77a8ff182681d21";

#[test]
fn wire_is_records_after_their_lengths_and_json_is_the_same_events() {
    let fixed = ["--events", "2000", "--streams", "person,bid"];
    let wire = generate(&[&fixed[..], &["--format", "wire"]].concat());
    let json = generate(&fixed);
    let mut rest = &wire[..];
    for line in std::str::from_utf8(&json).unwrap().lines() {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let (record, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        let event = Event::decode(record).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
        rest = after;
    }
    assert!(rest.is_empty() && json.len() > 100_000);
}

#[test]
fn count_tells_the_shares() {
    let counted = summary(&["--events", "530000"]);
    let kinds = &counted["kinds"];
    assert_eq!(
        (&kinds["person"], &kinds["auction"], &kinds["bid"]),
        (&10_000.into(), &30_000.into(), &460_000.into())
    );
    let hot = |key: &str| counted["keys"][key]["hot_share"].as_f64().unwrap();
    assert!((0.50..0.56).contains(&hot("bid.auction_id")), "{counted}");
    assert!((0.75..0.80).contains(&hot("bid.bidder_id")), "{counted}");
    assert!((0.75..0.80).contains(&hot("auction.seller_id")), "{counted}");
}

#[test]
fn an_endless_stream_and_a_reader_that_leaves_are_handled() {
    let output = run(&["generate"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the profile is endless; set --events"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_event-producer"));
    command
        .args(["generate", "--events", "10000000000", "--threads", "2"])
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_profile_is_drawn_and_its_totals_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (config, picture) = (folder.path().join("p.toml"), folder.path().join("p.svg"));
    let trace = folder.path().join("load.csv");
    std::fs::write(&trace, "second,rate\n0,100\n10,400\n").unwrap();
    std::fs::write(&config, format!("[profile]\nkind = \"trace\"\nfile = {trace:?}\n")).unwrap();
    let paths = [config.to_str().unwrap(), picture.to_str().unwrap()];
    let output = run(&["profile", "--config", paths[0], "--plot", paths[1]]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with(
            "profile: ends after 20 s with 5000 events\nshown: 20 s, 5000 events, 250.0 events/s"
        ),
        "{text}"
    );
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("<polyline") && drawn.contains("events per second"));

    std::fs::write(&trace, "second,rate\n0,100\n10,-1\n").unwrap();
    let output = run(&["profile", "--config", paths[0]]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("load.csv: line 3: rate -1 is not 0 or more"), "{message}");
}

#[test]
fn an_unreadable_catalogue_is_refused_with_file_line_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (config, catalogue) = (folder.path().join("p.toml"), folder.path().join("shop.csv"));
    std::fs::write(&config, format!("benchmark = \"psm\"\n[psm]\ncatalogue = {catalogue:?}\n")).unwrap();
    let check = |text: &str, expected: &str| {
        std::fs::write(&catalogue, text).unwrap();
        let output = run(&["generate", "--config", config.to_str().unwrap(), "--events", "1"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    check("product,category,owner\n1,2,3\nx,2,3\n", "shop.csv: line 3: product \"x\" is not a whole number");
    check("product,category,owner\n1,2,3\n1,5,3\n", "shop.csv: line 3: duplicate product 1, first in line 2");
    check("", "shop.csv: line 1: the file is empty");
}
