//! Builds the successor of a document: the next generation with another parallelism.
//!
//! The text is edited, not rewritten, so that comments and layout survive any number of changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::document::{DocumentError, JobDocument};

/// Changes of a successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// New parallelism by operator uid; other operators keep theirs.
    pub parallelism: BTreeMap<String, u32>,
    /// New parallelism of operators without their own entry, if it changes.
    pub default_parallelism: Option<u32>,
    /// New wanted number of task managers, if it changes.
    pub task_managers: Option<u32>,
    /// Reason, for people.
    pub reason: String,
    /// Time of writing.
    pub issued_at: Timestamp,
    /// Time after which no agent may start to apply the successor; `None`: unlimited.
    pub expires_at: Option<Timestamp>,
}

impl JobDocument {
    /// Returns the document under another generation, so that its successor can follow the newest one.
    ///
    /// # Errors
    /// The generation is invalid.
    pub fn renumbered(&self, generation: u64) -> Result<Self, DocumentError> {
        let mut text = self.editable()?;
        let number = i64::try_from(generation)
            .map_err(|_| DocumentError::value("generation", "no larger generation exists"))?;
        replace(text.as_table_mut(), "generation", value(number));
        Self::parse(&text.to_string())
    }

    fn editable(&self) -> Result<DocumentMut, DocumentError> {
        self.text().parse().map_err(|e: toml_edit::TomlError| DocumentError::value("document", e.to_string()))
    }

    /// Builds the next generation of this document.
    ///
    /// # Errors
    /// The resulting document would be invalid (for example a parallelism above the maximum).
    pub fn successor(&self, change: &Change) -> Result<Self, DocumentError> {
        let mut text = self.editable()?;
        let generation = i64::try_from(self.generation() + 1)
            .map_err(|_| DocumentError::value("generation", "no larger generation exists"))?;
        replace(text.as_table_mut(), "generation", value(generation));
        replace(text.as_table_mut(), "issued_at", value(change.issued_at.to_string()));
        match change.expires_at {
            Some(expires_at) => replace(text.as_table_mut(), "expires_at", value(expires_at.to_string())),
            None => drop(text.remove("expires_at")),
        }
        replace(text.as_table_mut(), "reason", value(&change.reason));
        if let Some(wanted) = change.task_managers {
            replace(text.as_table_mut(), "task_managers", value(i64::from(wanted)));
        }
        let parallelism = table(text.as_table_mut(), "parallelism");
        if let Some(default) = change.default_parallelism {
            replace(parallelism, "default", value(i64::from(default)));
        }
        if !change.parallelism.is_empty() {
            let operators = table(parallelism, "operators");
            for (uid, p) in &change.parallelism {
                replace(operators, uid, value(i64::from(*p)));
            }
        }
        Self::parse(&text.to_string())
    }

    /// Returns the document with other times only.
    ///
    /// # Errors
    /// The expiry is not after the issue.
    pub fn dated(&self, issued_at: Timestamp, expires_at: Option<Timestamp>) -> Result<Self, DocumentError> {
        let mut text: DocumentMut = self
            .text()
            .parse()
            .map_err(|e: toml_edit::TomlError| DocumentError::value("document", e.to_string()))?;
        replace(text.as_table_mut(), "issued_at", value(issued_at.to_string()));
        match expires_at {
            Some(expires_at) => replace(text.as_table_mut(), "expires_at", value(expires_at.to_string())),
            None => drop(text.remove("expires_at")),
        }
        Self::parse(&text.to_string())
    }
}

/// Sets a key and keeps blanks and comment around the old value.
fn replace(table: &mut Table, key: &str, new: Item) {
    let decor = table.get(key).and_then(Item::as_value).map(|old| old.decor().clone());
    let mut new = new;
    if let (Some(decor), Some(new)) = (decor, new.as_value_mut()) {
        *new.decor_mut() = decor;
    }
    match table.get_mut(key) {
        Some(slot) => *slot = new,
        None => drop(table.insert(key, new)),
    }
}

/// Returns the sub-table of that name, creating it if absent. A parsed document has a table or nothing there.
fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    let item = parent.entry(key).or_insert_with(|| Item::Table(Table::new()));
    if item.as_table().is_none() {
        let inline = std::mem::replace(item, Item::None);
        *item = Item::Table(inline.into_table().unwrap_or_default());
    }
    match item {
        Item::Table(table) => table,
        _ => unreachable!("the item was made a table above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    fn change(parallelism: &[(&str, u32)]) -> Change {
        Change {
            parallelism: parallelism.iter().map(|(uid, p)| ((*uid).to_owned(), *p)).collect(),
            default_parallelism: None,
            task_managers: None,
            reason: "latency".to_owned(),
            issued_at: "2026-02-03T04:05:06Z".parse().unwrap(),
            expires_at: None,
        }
    }

    /// Goal: a successor differs from its predecessor in exactly the changed lines.
    #[test]
    fn only_the_changed_lines_change() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        let second = first.successor(&change(&[("q7-bid-item", 3)])).unwrap();
        assert_eq!(second.generation(), 2);
        assert_eq!(second.parallelism().of("q7-bid-item"), 3);
        assert_eq!(second.reason(), "latency");
        let differing: Vec<_> = first
            .text()
            .lines()
            .zip(second.text().lines())
            .filter(|(a, b)| a != b)
            .map(|(_, b)| b.split(['=', '#']).next().unwrap().trim())
            .collect();
        assert_eq!(differing, ["generation", "issued_at", "reason", "q7-bid-item"]);
        assert_eq!(first.text().lines().count(), second.text().lines().count());
    }

    /// Goal: inline tables and missing sub-tables are edited as well as the long form.
    #[test]
    fn other_spellings_are_edited_too() {
        let inline = "format = 1\njob = \"j\"\ngeneration = 4\nissued_at = \"2026-01-01T00:00:00Z\"\n\
                      restart_mode = \"savepoint-restart\"\nparallelism = { default = 1, max = 8 }\n";
        let first = JobDocument::parse(inline).unwrap();
        let mut both = change(&[("a", 2)]);
        both.default_parallelism = Some(3);
        both.task_managers = Some(4);
        both.expires_at = Some("2026-02-03T05:05:06Z".parse().unwrap());
        let second = first.successor(&both).unwrap();
        assert_eq!(
            (second.generation(), second.parallelism().of("a"), second.parallelism().of("b")),
            (5, 2, 3)
        );
        assert_eq!((first.task_managers(), second.task_managers()), (None, Some(4)));
        assert!(second.is_expired("2026-02-03T05:05:06Z".parse().unwrap()));
        assert!(!second.is_expired("2026-02-03T05:05:05Z".parse().unwrap()));
    }

    /// Goal: another generation of the same document differs in nothing else.
    #[test]
    fn only_the_generation_is_renumbered() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        let seventh = first.renumbered(7).unwrap();
        assert_eq!(seventh.text(), EXAMPLE.replacen("generation = 1 ", "generation = 7 ", 1));
        assert_eq!(seventh.generation(), 7);
    }

    /// Goal: a change that would make the document invalid is an error.
    #[test]
    fn an_invalid_change_is_refused() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        assert!(first.successor(&change(&[("q7-bid-item", 129)])).is_err());
        assert!(first.successor(&change(&[("q7-bid-item", 0)])).is_err());
    }
}
