//! Any text is refused, or is a document that is kept byte for byte and has a valid successor.
#![no_main]

use std::collections::BTreeMap;

use jiff::Timestamp;
use job_config::{Change, JobDocument};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(document) = JobDocument::parse(text) else { return };
    assert_eq!(document.text(), text);
    let parallelism = document.parallelism();
    assert!((1..=parallelism.max).contains(&parallelism.default));
    assert!(parallelism.operators.values().all(|own| (1..=parallelism.max).contains(own)));
    let change = Change {
        parallelism: BTreeMap::from([("a \"uid\"".to_owned(), parallelism.max)]),
        default_parallelism: Some(1),
        task_managers: Some(1),
        reason: "because".to_owned(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    match document.successor(&change) {
        Ok(next) => {
            assert_eq!(next.generation(), document.generation() + 1);
            assert_eq!(next.parallelism().default, 1);
            let mut operators = parallelism.operators.clone();
            operators.extend(change.parallelism);
            assert_eq!(next.parallelism().operators, operators);
        }
        Err(error) => assert_eq!(document.generation(), i64::MAX as u64, "{error}"),
    }
});
