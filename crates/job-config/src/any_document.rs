//! Property tests of documents: whatever text arrives is refused or is a document that its successors can follow. The fuzz target
//! `job_document` makes the same checks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::{Change, JobDocument};

fn change(parallelism: u32) -> Change {
    Change {
        parallelism: BTreeMap::from([("any \"uid\"\n".to_owned(), parallelism)]),
        default_parallelism: None,
        task_managers: None,
        reason: "a reason\nwith \"quotes\" and 'more' \\".to_owned(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    }
}

/// Lines of documents, valid, wrong and foreign.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop::sample::select(vec![
        "format = 1",
        "format = 2",
        "job = \"a\"",
        "job = \"A\"",
        "generation = 1",
        "generation = 9223372036854775807",
        "generation = 9223372036854775808",
        "generation = 0",
        "generation = -1",
        "issued_at = \"2026-01-01T00:00:00Z\"",
        "issued_at = 2026-01-01T00:00:00Z",
        "expires_at = \"2025-01-01T00:00:00Z\"",
        "expires_at = \"2027-01-01T00:00:00Z\"",
        "reason = \"\"",
        "restart_mode = \"in-place\"",
        "restart_mode = \"savepoint-restart\"",
        "task_managers = 3",
        "task_managers = 0",
        "parallelism = { default = 1, max = 8 }",
        "parallelism = { default = 9, max = 8 }",
        "parallelism = { default = 1, max = 8, operators = { \"a.b\" = 8 } }",
        "[parallelism]",
        "default = 1",
        "max = 128",
        "[parallelism.operators]",
        "\"any \\\"uid\\\"\\n\" = 2 # kept",
        "parallelism.default = 1",
        "parallelism.max = 8",
        "parallelism.operators.a = 1 # kept",
        "x = 1",
        "[[parallelism]]",
    ]);
    prop::collection::vec(line.prop_map(str::to_owned), 0..14)
}

/// A valid document with a part replaced by any characters.
fn damaged() -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}").prop_map(
        |(from, to, foreign)| {
            let valid: Vec<char> = test_documents::document("a", 1, "reason = \"r\"").chars().collect();
            let (from, to) = (from.index(valid.len()), to.index(valid.len()));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 9));
            valid[..from]
                .iter()
                .chain(foreign.chars().collect::<Vec<_>>().iter())
                .chain(&valid[to..])
                .collect()
        },
    )
}

proptest! {
    /// Goal: a text is refused, or is kept byte for byte and has a valid successor that differs in nothing but what was changed.
    #[test]
    fn an_accepted_document_can_be_followed(text in prop_oneof![lines().prop_map(|lines| lines.join("\n")), damaged()]) {
        let Ok(document) = JobDocument::parse(&text) else { return Ok(()) };
        prop_assert_eq!(document.text(), &text);
        let parallelism = document.parallelism();
        prop_assert!((1..=parallelism.max).contains(&parallelism.default));
        prop_assert!(parallelism.operators.values().all(|own| (1..=parallelism.max).contains(own)));
        let change = change(parallelism.max);
        match document.successor(&change) {
            Ok(next) => {
                prop_assert_eq!(next.generation(), document.generation() + 1);
                prop_assert_eq!(next.reason(), &change.reason);
                let mut expected = parallelism.clone();
                expected.operators.extend(change.parallelism.clone());
                prop_assert_eq!(next.parallelism(), &expected);
            }
            Err(error) => prop_assert_eq!(document.generation(), i64::MAX as u64, "{}", error),
        }
    }
}
