//! An old YAML file as a list of keys with their lines.
//!
//! The old files are flat: every value is a scalar, most of them in quotes. Nested mappings are read all the same, as keys with
//! dots. Nothing is expanded: anchors may stand there, an alias to one is refused, and so are second documents and deep nesting.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScanError, StrInput};

use super::ImportError;

/// The largest file that is read; the original's have 4 KiB.
const MAX_BYTES: u64 = 256 << 10;
/// The deepest nesting that is read.
const MAX_DEPTH: u32 = 8;

/// One key of an old file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file, as it was named.
    pub file: String,
    /// The line of the key, from 1.
    pub line: usize,
    /// The key as written; of a nested one, with the keys above it and dots.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A value of an old file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A scalar, in quotes or not.
    Scalar(String),
    /// A list; no key that is taken over has one.
    List,
}

impl Entry {
    /// The key without what people spell in different ways: `maxParallelism`, `max_parallelism` and `max-parallelism` are one.
    pub(super) fn plain_key(&self) -> String {
        plain(&self.key)
    }

    /// Where it stands, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}: {}", self.file, self.line, self.key)
    }
}

/// Letters and digits in lower case.
pub(super) fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, is too large, is not YAML, has no key, or uses what no old file does.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ImportError> {
    let name = path.display().to_string();
    let text = files::read_text(path, MAX_BYTES).map_err(|source| match source.kind() {
        std::io::ErrorKind::FileTooLarge => ImportError::TooLarge { file: name.clone(), bytes: MAX_BYTES },
        _ => ImportError::Read { file: name.clone(), source },
    })?;
    parse(&name, &text)
}

/// Reads a text; `file` is for messages.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Entry>, ImportError> {
    let mut reader = Reader { file, events: Parser::new_from_str(text), entries: Vec::new() };
    reader.document()?;
    if reader.entries.is_empty() {
        return Err(ImportError::Empty { file: file.to_owned() });
    }
    Ok(reader.entries)
}

struct Reader<'a> {
    file: &'a str,
    events: Parser<'a, StrInput<'a>>,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), ImportError> {
        loop {
            let (event, line) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) if !self.entries.is_empty() => {
                    return Err(self.refused(line, "a second document; put each into its own file"));
                }
                Event::MappingStart(..) => self.mapping("", 1)?,
                Event::Scalar(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                    return Err(self.refused(line, "not `key: value`"));
                }
                _ => {}
            }
        }
    }

    /// The keys of a mapping whose beginning has been read.
    fn mapping(&mut self, above: &str, depth: u32) -> Result<(), ImportError> {
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(key, ..) if above.is_empty() => key.into_owned(),
                Event::Scalar(key, ..) => format!("{above}.{key}"),
                _ => return Err(self.refused(line, "a key that is not text")),
            };
            self.value(key, line, depth)?;
        }
    }

    fn value(&mut self, key: String, line: usize, depth: u32) -> Result<(), ImportError> {
        let value = match self.next()? {
            (Event::Scalar(text, ..), _) => Value::Scalar(text.into_owned()),
            (Event::MappingStart(..), _) if depth < MAX_DEPTH => return self.mapping(&key, depth + 1),
            (Event::MappingStart(..), line) => return Err(self.refused(line, "nested too deeply")),
            (Event::SequenceStart(..), _) => {
                self.skip_list()?;
                Value::List
            }
            (_, line) => return Err(self.refused(line, "an alias; write the value itself")),
        };
        self.entries.push(Entry { file: self.file.to_owned(), line, key, value });
        Ok(())
    }

    /// Goes behind the end of a list whose beginning has been read. What is in it is not kept.
    fn skip_list(&mut self) -> Result<(), ImportError> {
        let mut open = 1;
        while open > 0 {
            match self.next()?.0 {
                Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                Event::SequenceEnd | Event::MappingEnd => open -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(Event<'a>, usize), ImportError> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn syntax(&self, error: &ScanError) -> ImportError {
        self.refused(error.marker().line(), error.info())
    }

    fn refused(&self, line: usize, problem: &str) -> ImportError {
        ImportError::Syntax { file: self.file.to_owned(), line, problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse("old.yaml", text).unwrap_err().to_string()
    }

    /// Goal: quotes do not matter, nested keys are joined, each key knows its line.
    #[test]
    fn keys_are_read_with_their_lines() {
        let entries = parse("old.yaml", "# first\na: '1'\nb:\n  c: 2\nd: [1, {e: 2}]\n").unwrap();
        let seen: Vec<_> =
            entries.iter().map(|entry| (entry.line, entry.key.as_str(), &entry.value)).collect();
        let scalar = |text: &str| Value::Scalar(text.to_owned());
        assert_eq!(seen, [(2, "a", &scalar("1")), (4, "b.c", &scalar("2")), (5, "d", &Value::List)]);
        assert_eq!(plain("max-Parallelism_X.y"), "maxparallelismxy");
    }

    /// Goal: nothing that could grow, and nothing that would be dropped silently, is read.
    #[test]
    fn what_no_old_file_has_is_refused() {
        assert!(refusal("").contains("no key"));
        assert!(refusal("# only a comment\n").contains("no key"));
        assert!(refusal("a: &x 1\nb: *x\n").contains("old.yaml:2: an alias"));
        assert!(refusal("a: 1\n---\nb: 2\n").contains("a second document"));
        assert!(refusal("- a\n- b\n").contains("not `key: value`"));
        assert!(refusal("? [a]\n: 1\n").contains("old.yaml:1"));
        assert!(refusal("a: 1\nb: 'x\n").contains("old.yaml:"));
        assert!(refusal(&format!("a: {}1{}", "{b: ".repeat(9), "}".repeat(9))).contains("too deeply"));
        assert!(refusal(&"[".repeat(100_000)).contains("old.yaml:"));
    }

    /// Goal: a file that is no configuration is not read whole.
    #[test]
    fn a_large_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.yaml");
        std::fs::write(&path, "a: 1\n".repeat(60_000)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("larger than"));
    }
}
