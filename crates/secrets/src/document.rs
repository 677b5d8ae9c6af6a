//! A TOML text whose tables are taken apart and merged before they are read. Errors keep the lines of the text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use serde::de::DeserializeOwned;

use crate::syntax::{Parsed, SyntaxError, from_table_all};

/// A part of a TOML text, as a table.
#[derive(Debug, Clone)]
pub struct Document<'t> {
    text: &'t str,
    table: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses a text.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn parse(text: &'t str) -> Result<Self, SyntaxError> {
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { text, table: table.into_inner() }),
            Err(error) => Err(SyntaxError::in_text(text, &error)),
        }
    }

    /// Returns whether there is such a key at the top.
    pub fn contains(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Moves these keys, where present, into a document of their own.
    #[must_use]
    pub fn take(&mut self, keys: &[&str]) -> Self {
        let entries = keys.iter().filter_map(|key| self.table.remove_entry(*key));
        Self { text: self.text, table: entries.collect() }
    }

    /// Removes an array of tables, and returns its tables. Other values in the array become empty tables.
    pub fn take_tables(&mut self, key: &str) -> Vec<Self> {
        let Some(DeValue::Array(array)) = self.table.remove(key).map(Spanned::into_inner) else {
            return Vec::new();
        };
        let table = |value: Spanned<DeValue<'t>>| match value.into_inner() {
            DeValue::Table(table) => table,
            _ => DeTable::new(),
        };
        array.into_iter().map(|value| Self { text: self.text, table: table(value) }).collect()
    }

    /// Renames a key at the top.
    pub fn rename(&mut self, from: &str, to: &'t str) {
        if let Some((key, value)) = self.table.remove_entry(from) {
            self.table.insert(Spanned::new(key.span(), to.into()), value);
        }
    }

    /// Sets a key at the top to a text, if it is missing.
    pub fn set_default(&mut self, key: &'t str, value: &'t str) {
        if !self.contains(key) {
            self.table
                .insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, DeValue::String(value.into())));
        }
    }

    /// Merges another part of the same text into this one, key by key; its values take precedence.
    pub fn merge(&mut self, other: Self) {
        merge(&mut self.table, other.table);
    }

    /// Reads the document and reports every unknown key and every value of the wrong type, as [`crate::from_toml_all`] does.
    pub fn read<T: DeserializeOwned>(self) -> Parsed<T> {
        from_table_all(self.text, Spanned::new(0..0, self.table))
    }
}

fn merge<'t>(below: &mut DeTable<'t>, above: DeTable<'t>) {
    for (key, value) in above {
        match below.get_mut(&key).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) if value.get_ref().is_table() => {
                if let DeValue::Table(table) = value.into_inner() {
                    merge(inner, table);
                }
            }
            _ => {
                // An insertion would keep the old key, and with it the line of the other value.
                below.remove(&key);
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Job {
        job: String,
        #[serde(default)]
        epoch: Epoch,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Epoch {
        length_ms: u64,
        first_ms: u64,
    }

    const TEXT: &str = "\
[epoch]
length_ms = 1
first_ms = \"soon\"
[[job]]
name = \"a\"
epoch.length_ms = 2
epoch.frist_ms = 3
[[job]]
name = 4
epoch.first_ms = 5";

    /// Goal: a part of a text merged over another reads as one document, and each error names its line, whichever part it is in; a
    /// value that is replaced is not read.
    #[test]
    fn merged_parts_keep_their_lines() {
        let mut shared = Document::parse(TEXT).unwrap();
        let jobs = shared.take_tables("job");
        let read = |own: &Document<'static>| {
            let mut document = shared.clone();
            document.merge(own.clone());
            document.rename("name", "job");
            document.read::<Job>()
        };
        let first = read(&jobs[0]);
        let errors: Vec<String> = first.errors.iter().map(ToString::to_string).collect();
        assert!(errors[0].starts_with("line 3, first_ms: invalid type"), "{errors:?}");
        assert!(errors[1].starts_with("line 7, epoch.frist_ms: unknown field"), "{errors:?}");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(
            first.value,
            Some(Job { job: "a".to_owned(), epoch: Epoch { length_ms: 2, first_ms: 0 } })
        );
        let second = read(&jobs[1]);
        let errors: Vec<String> = second.errors.iter().map(ToString::to_string).collect();
        assert!(errors[0].starts_with("line 9, name: invalid type"), "{errors:?}");
        assert_eq!((errors.len(), second.omitted), (1, vec!["job".to_owned()]));
    }

    /// Goal: a key that is taken is read by itself, with its path; a missing key gets its default.
    #[test]
    fn keys_are_taken_and_set() {
        let mut document = Document::parse(TEXT).unwrap();
        let epoch = document.take(&["epoch", "unknown"]);
        assert!(!document.contains("epoch"));
        let parsed = epoch.read::<BTreeMap<String, Epoch>>();
        assert_eq!(parsed.omitted, ["epoch.first_ms"]);
        let mut document = Document::parse("").unwrap();
        document.set_default("job", "b");
        document.set_default("job", "c");
        assert_eq!(document.read::<Job>().value.unwrap().job, "b");
    }
}
