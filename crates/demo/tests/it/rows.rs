//! Comparison of committed rows with the reference. A difference shows the first rows that differ.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

/// Whether the reading order of records can change the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One partition and parallelism 1: the order of the stream.
    Known,
    /// Several partitions or subtasks.
    Open,
}

/// The committed records of one job, all queries together.
pub(crate) struct Committed {
    records: Vec<String>,
    compared: usize,
}

impl Committed {
    pub(crate) fn new(records: Vec<String>) -> Self {
        Self { records, compared: 0 }
    }

    /// Removes and parses the rows of a query in the order of the topic; to be called once per query.
    pub(crate) fn take<R: DeserializeOwned>(&mut self, query: &str) -> anyhow::Result<Vec<R>> {
        let beginning = format!("{{\"query\":\"{query}\",");
        let records = self.records.iter().filter(|record| record.starts_with(&beginning));
        let rows = parse(&records.cloned().collect::<Vec<_>>())?;
        self.compared += rows.len();
        Ok(rows)
    }

    /// Fails if records remain that belong to no query.
    pub(crate) fn assert_all_taken(&self) -> anyhow::Result<()> {
        ensure!(
            self.compared == self.records.len(),
            "{} records belong to no query",
            self.records.len() - self.compared
        );
        Ok(())
    }
}

/// Parses the rows of one query from JSON.
pub(crate) fn parse<R: DeserializeOwned>(records: &[String]) -> anyhow::Result<Vec<R>> {
    let parsed = records.iter().map(|text| serde_json::from_str(text).with_context(|| text.clone()));
    parsed.collect()
}

/// Compares rows in any order; returns a summary.
pub(crate) fn assert_same<R: Ord + Debug>(
    query: &str,
    mut found: Vec<R>,
    mut expected: Vec<R>,
) -> anyhow::Result<String> {
    found.sort();
    expected.sort();
    let lost: Vec<_> = expected.iter().filter(|row| found.binary_search(row).is_err()).take(3).collect();
    let wrong: Vec<_> = found.iter().filter(|row| expected.binary_search(row).is_err()).take(3).collect();
    let twice = |rows: &[R]| rows.windows(2).filter(|pair| pair[0] == pair[1]).count();
    ensure!(
        found == expected,
        "{query}: {} rows found, {} expected; equal neighbours: {} found, {} expected; lost, for example: {lost:?}; \
         wrong, for example: {wrong:?}",
        found.len(),
        expected.len(),
        twice(&found),
        twice(&expected)
    );
    ensure!(!expected.is_empty(), "{query}: there was nothing to compare");
    Ok(format!("{query}: {} rows equal to the reference", found.len()))
}

/// Compares rows, with those of each key in order; returns a summary.
pub(crate) fn assert_same_in_order<R: PartialEq + Debug>(
    query: &str,
    mut found: Vec<R>,
    expected: &[R],
    key: impl Fn(&R) -> i64,
) -> anyhow::Result<String> {
    found.sort_by_key(key); // stable: the order within a key stays
    let different = found.iter().zip(expected).find(|(found, expected)| found != expected);
    ensure!(
        found == expected,
        "{query}: {} rows found, {} expected; the first pair that differs: {different:?}",
        found.len(),
        expected.len()
    );
    ensure!(!expected.is_empty(), "{query}: there was nothing to compare");
    Ok(format!("{query}: {} rows equal to the reference, in order", found.len()))
}

/// Returns the final rows of each key's count 1, 2, 3 …; fails if a count is missing or duplicated.
pub(crate) fn final_rows<R: Debug>(
    query: &str,
    rows: Vec<R>,
    key: impl Fn(&R) -> i64,
    count: impl Fn(&R) -> i64,
) -> anyhow::Result<Vec<R>> {
    let mut by_key: BTreeMap<i64, Vec<R>> = BTreeMap::new();
    for row in rows {
        by_key.entry(key(&row)).or_default().push(row);
    }
    let mut last = Vec::new();
    for (key, mut rows) in by_key {
        rows.sort_by_key(&count);
        let gap = rows.iter().zip(1..).find(|(row, number)| count(row) != *number);
        ensure!(gap.is_none(), "{query}: key {key} does not count without a gap: {gap:?}");
        last.extend(rows.pop());
    }
    Ok(last)
}

/// Goal: each comparison detects the difference it is made for.
pub(crate) fn lost_doubled_changed_and_disordered_rows_are_found() -> anyhow::Result<()> {
    let same = |found: &[i64]| assert_same("q", found.to_vec(), vec![1, 2, 3]).is_ok();
    assert!(same(&[3, 1, 2]));
    assert!(!same(&[1, 2]) && !same(&[1, 2, 2, 3]) && !same(&[1, 2, 4]) && !same(&[]));

    let in_order = |found: &[(i64, i64)]| {
        assert_same_in_order("q", found.to_vec(), &[(1, 5), (1, 4), (2, 0)], |row| row.0).is_ok()
    };
    assert!(in_order(&[(2, 0), (1, 5), (1, 4)]));
    assert!(!in_order(&[(2, 0), (1, 4), (1, 5)]) && !in_order(&[(1, 5), (1, 4)]));

    let last = |rows: &[(i64, i64)]| final_rows("q", rows.to_vec(), |row| row.0, |row| row.1).ok();
    assert_eq!(last(&[(7, 2), (8, 1), (7, 1)]), Some(vec![(7, 2), (8, 1)]));
    assert_eq!(last(&[(7, 2), (7, 3)]), None);
    assert_eq!(last(&[(7, 1), (7, 2), (7, 2)]), None);

    let mut committed =
        Committed::new(vec![r#"{"query":"q1","n":1}"#.into(), r#"{"query":"q10","n":1}"#.into()]);
    assert_eq!(committed.take::<serde_json::Value>("q1")?.len(), 1);
    assert!(committed.assert_all_taken().is_err());
    Ok(())
}
