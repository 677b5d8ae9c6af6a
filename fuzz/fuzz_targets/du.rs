//! Any output of `hdfs dfs -du` is refused with its line, or gives rows whose sum is the total.
#![no_main]

use libfuzzer_sys::fuzz_target;
use state_probe::du::{self, DuError};

fuzz_target!(|output: &str| {
    match du::rows(output) {
        Ok(rows) => {
            assert!(rows.iter().all(|row| !row.path.is_empty()));
            let sum = rows.iter().try_fold(0_u64, |sum, row| sum.checked_add(row.size_bytes));
            if let Ok(total) = du::total(output) {
                assert_eq!(Some(total.size_bytes), sum);
                assert_eq!(total.is_rounded, rows.iter().any(|row| row.is_rounded));
            }
        }
        Err(DuError::Line { line, .. }) => assert!((1..=output.lines().count()).contains(&line)),
        Err(_) => {}
    }
});
