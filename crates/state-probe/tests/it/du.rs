//! Test corpus of the `du` parser: valid outputs of the commands, and invalid ones.

use proptest::prelude::*;
use state_probe::du::{self, DuError, Row};

/// Rows as `(size, with replicas, path)`.
#[track_caller]
fn check(output: &str, expected: &[(u64, Option<u64>, &str)]) {
    let expected: Vec<Row> = expected
        .iter()
        .map(|(size_bytes, size_with_replicas_bytes, path)| Row {
            size_bytes: *size_bytes,
            size_with_replicas_bytes: *size_with_replicas_bytes,
            is_rounded: false,
            path: (*path).to_owned(),
        })
        .collect();
    assert_eq!(du::rows(output), Ok(expected), "{output:?}");
}

/// The reported line number, and a part of the reason.
#[track_caller]
fn check_refused(output: &str, line: usize, reason: &str) {
    match du::rows(output).unwrap_err() {
        DuError::Line { line: named, problem, text } => {
            assert_eq!(named, line, "{output:?}: {problem}");
            assert!(problem.contains(reason), "{output:?}: {problem}");
            let offending = output.lines().nth(line - 1).unwrap();
            assert!(offending.contains(text.trim_end_matches('…')), "{text:?} is not of {offending:?}");
        }
        other => panic!("{output:?}: {other}"),
    }
}

#[test]
fn two_and_three_columns() {
    check("3001234  /flink/checkpoints\n", &[(3_001_234, None, "/flink/checkpoints")]);
    check("3001234  9003702  /flink/checkpoints\n", &[(3_001_234, Some(9_003_702), "/flink/checkpoints")]);
    check("0  0  /flink/checkpoints", &[(0, Some(0), "/flink/checkpoints")]);
    check("4096\t/var/lib/flink\n", &[(4096, None, "/var/lib/flink")]);
    check("10 30 /x\r\n", &[(10, Some(30), "/x")]);
    check("18446744073709551615 /x", &[(u64::MAX, None, "/x")]);
}

#[test]
fn padded_columns_and_several_lines() {
    let output = "\n  12        36        /flink/checkpoints\n  3001234   9003702   /flink/savepoints\n\n";
    check(output, &[(12, Some(36), "/flink/checkpoints"), (3_001_234, Some(9_003_702), "/flink/savepoints")]);
    let total = du::total(output).unwrap();
    assert_eq!((total.size_bytes, total.size_with_replicas_bytes), (3_001_246, Some(9_003_738)));
    assert_eq!(du::total("1 2 /a\n3 /b\n").unwrap().size_with_replicas_bytes, None, "one row did not tell");
}

#[test]
fn uris_and_paths_with_spaces() {
    check("7 7 hdfs://nn1:8020/flink/checkpoints", &[(7, Some(7), "hdfs://nn1:8020/flink/checkpoints")]);
    check("7  21  /flink/my  job 3", &[(7, Some(21), "/flink/my  job 3")]);
    check("7 /2024 11 K", &[(7, None, "/2024 11 K")]);
    check("7 7 ./flink", &[(7, Some(7), "./flink")]);
    check("7 7 .", &[(7, Some(7), ".")]);
    check("7 run/checkpoints", &[(7, None, "run/checkpoints")]);
    check("7 7 /größe/档案", &[(7, Some(7), "/größe/档案")]);
}

#[test]
fn header_of_dash_v() {
    let header = "SIZE     DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS  FULL_PATH_NAME\n";
    check(&format!("{header}3001234  9003702   /flink\n"), &[(3_001_234, Some(9_003_702), "/flink")]);
    assert_eq!(du::rows(header), Err(DuError::Empty));
    check_refused(&format!("1 1 /x\n{header}"), 2, "does not start with a size");
}

/// Goal: `-h` is parsed, and marked as rounded.
#[test]
fn sizes_of_dash_h() {
    let cases = [
        ("2.9 M  8.6 M  /flink", 3_040_870, Some(9_017_754), true),
        ("2 K  /flink", 2048, None, true),
        ("1.5 G  4.5 G  /flink", 1_610_612_736, Some(4_831_838_208), true),
        ("1 T  1023  /flink", 1 << 40, Some(1023), true),
        ("512  1.5 K  /flink", 512, Some(1536), true),
        ("512  1536  /flink", 512, Some(1536), false),
        ("2.9M\t/flink", 3_040_870, None, true),
        ("7.9 E /flink", 9_108_079_886_394_091_110, None, true),
    ];
    for (output, size, replicas, is_rounded) in cases {
        let total = du::total(output).unwrap();
        let found = (total.size_bytes, total.size_with_replicas_bytes, total.is_rounded);
        // The largest value has no exact binary representation.
        assert!(
            found.0.abs_diff(size) < 2048 && found.1 == replicas && found.2 == is_rounded,
            "{output}: {found:?}"
        );
    }
}

#[test]
fn nothing_is_not_zero() {
    for output in ["", "\n", "  \n\t\n"] {
        assert_eq!(du::rows(output), Err(DuError::Empty), "{output:?}");
    }
}

#[test]
fn what_is_no_row_is_named() {
    let begins = "does not start with a size";
    for output in [
        "du: `/flink': No such file or directory",
        "24/11/22 10:00:00 WARN util.NativeCodeLoader: Unable to load native-hadoop library",
        "Usage: hadoop fs [generic options] -du [-s] [-h] [-v] [-x] <path> ...",
        "-5 /x",
        "+5 /x",
        "0x10 /x",
        "1e3 /x",
        "2,9 M 8,6 M /x",
        "1\u{a0}234 /x",
        "１２３ /x",
        "٣٢١ /x",
        "\u{feff}5 /x",
        "<html><body>503</body></html>",
        "NaN /x",
        "inf /x",
        "5X /x",
        "5KB /x",
        "\u{1b}[32m5 /x",
    ] {
        check_refused(output, 1, begins);
    }
    check_refused("5", 1, "no path");
    check_refused("5 5", 1, "no path");
    check_refused("5 K", 1, "no path");
    check_refused("2.9 /x", 1, "not a whole number");
    check_refused("1.234.567 /x", 1, "not a whole number");
    check_refused("1.2.3 M /x", 1, "not a number");
    check_refused("18446744073709551616 /x", 1, "below 2^64");
    check_refused("16 E /x", 1, "2^64");
    check_refused("1 234 567 /x", 1, "not a path");
    check_refused("5 octets", 1, "not a path");
    check_refused("5 total", 1, "not a path");
    check_refused("5 5 /x\n6 Dateien gefunden\n", 2, "not a path");
    check_refused(&format!("{} /x", "z".repeat(10_000)), 1, begins);
}

/// Goal: overlapping rows, as `du` without `-s` prints them for a tree, are not counted twice.
#[test]
fn nothing_counts_twice() {
    check_refused("1 /a\n2 /a/b\n", 2, "inside the path of another row");
    check_refused("1 /a/b/c\n2 /a-b\n3 /a/\n", 1, "inside the path of another row");
    check_refused("1 /a\n1 /a/\n", 2, "duplicate path");
    check_refused("1 /\n1 /a\n", 2, "inside the path of another row");
    check("1 /a\n2 /a-b\n3 /ab\n", &[(1, None, "/a"), (2, None, "/a-b"), (3, None, "/ab")]);
    assert_eq!(du::total("18446744073709551615 /a\n1 /b"), Err(DuError::Sum));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Goal: the parser does not panic on any text.
    #[test]
    fn any_text_is_rows_or_an_error(text in "\\PC*|[0-9 KMGTPE./\\n\\t]{0,80}|(.|\\n){0,60}") {
        let _ = du::total(&text);
    }

    /// Goal: the output of `du` for any sizes and paths is parsed back, whatever the padding.
    #[test]
    fn printed_rows_are_read_back(
        entries in prop::collection::btree_map("[a-z0-9 äß=]{0,12}[a-z]", (0..1_u64 << 55, 1..4_u64), 1..6),
        pad in 1_usize..12,
        replicas in any::<bool>(),
    ) {
        let gap = " ".repeat(pad);
        let mut output = String::new();
        for (name, (size, copies)) in &entries {
            let all = if replicas { format!("{}{gap}", size * copies) } else { String::new() };
            output += &format!("{size}{gap}{all}/{name}\n");
        }
        let rows = du::rows(&output).unwrap();
        prop_assert_eq!(rows.len(), entries.len());
        for (row, (name, (size, copies))) in rows.iter().zip(&entries) {
            prop_assert_eq!(row.size_bytes, *size);
            prop_assert_eq!(row.size_with_replicas_bytes, replicas.then_some(size * copies));
            let path = format!("/{name}");
            prop_assert_eq!(&row.path, path.trim_ascii());
        }
    }
}
