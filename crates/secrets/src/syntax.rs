//! Parses TOML that may contain secrets: errors name the line and the key, and never quote a line.
//!
//! The library's own error quotes the source line, and its message may quote the value: a typing error in the line of
//! a password would put it in the log.

use std::ops::Range;

use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::redact::{is_secret_key, without_credentials};

/// Why a text is not the expected TOML.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{message}", place(*.line, .key.as_deref()))]
pub struct SyntaxError {
    /// Line number from 1, where known.
    line: Option<usize>,
    /// Key of that line, with its quotes as written.
    key: Option<String>,
    message: String,
}

fn place(line: Option<usize>, key: Option<&str>) -> String {
    match (line, key) {
        (Some(line), Some(key)) => format!("line {line}, {key}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    }
}

/// Parses TOML.
///
/// # Errors
/// [`SyntaxError`].
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, SyntaxError> {
    toml::from_str(text).map_err(|error| SyntaxError::in_text(text, &error))
}

/// Maximum number of errors that [`from_toml_all`] collects.
const ERRORS_MAX: usize = 32;

/// A document with all its errors.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The value without the wrong keys; [`None`] if it cannot be built without them.
    pub value: Option<T>,
    /// The errors, one per wrong key; empty if the document is right.
    pub errors: Vec<SyntaxError>,
    /// Dotted paths of the wrong keys, which are not in `value`; `[0]` is the first element of an array.
    pub omitted: Vec<String>,
}

/// Parses TOML and reports every unknown key and every value of the wrong type, up to 32, instead of only the first.
///
/// After each error the wrong key is removed and the rest is parsed again. Text that is not TOML gives one error.
pub fn from_toml_all<T: DeserializeOwned>(text: &str) -> Parsed<T> {
    match DeTable::parse(text) {
        Ok(table) => from_table_all(text, table),
        Err(error) => {
            Parsed { value: None, errors: vec![SyntaxError::in_text(text, &error)], omitted: Vec::new() }
        }
    }
}

/// Like [`from_toml_all`], for a table with parts of this text.
pub(crate) fn from_table_all<T: DeserializeOwned>(text: &str, mut table: Spanned<DeTable<'_>>) -> Parsed<T> {
    let mut parsed = Parsed { value: None, errors: Vec::new(), omitted: Vec::new() };
    while parsed.errors.len() < ERRORS_MAX {
        let error = match serde::Deserialize::deserialize(Deserializer::from(table.clone())) {
            Ok(value) => {
                parsed.value = Some(value);
                break;
            }
            Err(error) => error,
        };
        // A required key that was removed for its value is wrong, not missing.
        if parsed.omitted.iter().any(|key| error.message() == missing(key)) {
            break;
        }
        parsed.errors.push(SyntaxError::in_text(text, &error));
        // An error of the whole document has an empty span: a missing key cannot be removed.
        let span = error.span().filter(|span| !span.is_empty());
        let Some(key) = span.and_then(|span| omit(table.get_mut(), &span)) else { break };
        parsed.omitted.push(key);
    }
    parsed
}

/// Returns the library's message about a missing key.
fn missing(key: &str) -> String {
    format!("missing field `{}`", key.rsplit('.').next().unwrap_or(key))
}

/// Removes the innermost key at this position of the text, and returns its path: keys after dots, elements as `[0]`.
fn omit(table: &mut DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let covers = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let mut own = None;
    for (key, value) in table.iter_mut() {
        if let Some(inner) = omit_within(value.get_mut(), at) {
            return Some(format!("{}{inner}", key.get_ref()));
        }
        if covers(key.span()) || covers(value.span()) {
            own = Some(key.get_ref().to_string());
        }
    }
    let own = own?;
    table.remove(own.as_str());
    Some(own)
}

fn omit_within(value: &mut DeValue<'_>, at: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => omit(table, at).map(|path| format!(".{path}")),
        DeValue::Array(array) => array
            .iter_mut()
            .enumerate()
            .find_map(|(index, element)| Some(format!("[{index}]{}", omit_within(element.get_mut(), at)?))),
        _ => None,
    }
}

impl SyntaxError {
    /// Converts an error without the source line.
    pub fn in_text(text: &str, error: &toml::de::Error) -> Self {
        let Some(span) = error.span().filter(|span| *span != (0..0)) else { return Self::in_value(error) };
        let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let line = text[..start].matches('\n').count();
        let lines: Vec<&str> = text.lines().collect();
        let before = &lines[..lines.len().min(line + 1)];
        // An array may begin some lines above; the nearest key decides whether all of it is secret.
        let nearest = before.iter().rev().find_map(|line| key(line));
        let table = before.iter().rev().find(|line| line.trim_start().starts_with('['));
        // In an inline table the nearest key precedes the value on the same line.
        let own = text[..start].rsplit('\n').next();
        let is_secret = [nearest, table.copied(), own].iter().flatten().any(|text| is_secret_key(text));
        Self {
            line: Some(line + 1),
            key: before.get(line).and_then(|line| key(line)).map(str::to_owned),
            message: message(error, is_secret),
        }
    }

    /// Converts an error of an already parsed value, whose position in the text is unknown.
    pub fn in_value(error: &toml::de::Error) -> Self {
        let whole = error.to_string();
        let key = whole.lines().find_map(|line| line.strip_prefix("in ")).map(|key| key.trim_matches('`'));
        let message = message(error, key.is_some_and(is_secret_key));
        let message = key.map_or_else(|| message.clone(), |key| format!("{key}: {message}"));
        Self { line: None, key: None, message }
    }
}

/// Returns the key of a line `key = value`.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
    (!key.is_empty() && key.chars().all(is_key)).then_some(key)
}

fn message(error: &toml::de::Error, is_secret: bool) -> String {
    let message = without_credentials(error.message());
    // An unknown name is not a value, and the remedy needs it.
    if is_secret && !message.starts_with("unknown field") && !message.starts_with("missing field") {
        return "the value has the wrong form; it is hidden because it may be a secret".to_owned();
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "seed")]
        _seed: Option<u64>,
        #[serde(default, rename = "properties")]
        _properties: BTreeMap<String, String>,
        #[serde(default, rename = "access")]
        _access: BTreeMap<String, crate::SecretSource>,
    }

    fn refusal(text: &str) -> String {
        let error = from_toml::<Sample>(text).unwrap_err();
        format!("{error} {error:?}")
    }

    /// Goal: the line and the key are named, and no error shows a secret, wherever the mistake is.
    #[test]
    fn no_error_shows_a_secret() {
        for (text, expected) in [
            ("seed = 1\n[properties]\n\"sasl.passwrd\"=\"hunter2", "line 3, \"sasl.passwrd\""),
            ("[properties]\n\"sasl.password\" = hunter2", "line 2"),
            ("[properties]\nsasl.password hunter2", "line 2"),
            ("[properties]\nx = [\n\"hunter2\"]", "line 2"),
            ("[properties]\npin = 1234567890hunter2", "line 2"),
            ("properties = { a = \"b\", \"ssl.key\" = 70000hunter2 }", "line 1"),
            ("access = { user = { env = \"USER\" }, password = \"hunter2\" }", "line 1"),
            ("seed = \"http://ann:hunter2@h\"", "line 1, seed"),
            ("[properties]\n\"a\" = \"\"\"\nhunter2\n\"\"\"\"\"\"\"", "line"),
        ] {
            let message = refusal(text);
            assert!(!message.contains("hunter2") && message.contains(expected), "{text}: {message}");
        }
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Whole {
        seed: u64,
        kafka: Kafka,
        node: Vec<Node>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Kafka {
        port: u16,
        servers: Vec<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Node {
        name: String,
        slots: Option<u32>,
    }

    /// Goal: every wrong key is reported with its line, in tables, dotted keys and arrays of tables, and the rest is read.
    #[test]
    fn every_wrong_key_is_reported() {
        let text = "sead = 1\nseed = \"x\"\nkafka.prot = 2\nkafka.port = 70000\nkafka.servers = [\"a\"]\n[[node]]\nname = \"n\"\nslot = 1";
        let parsed = from_toml_all::<Whole>(text);
        let errors: Vec<String> = parsed.errors.iter().map(ToString::to_string).collect();
        let said = errors.join("\n");
        for expected in [
            "line 1, sead: unknown",
            "line 2, seed: invalid type",
            "line 3, kafka.prot: unknown",
            "line 4, kafka.port: ",
            "line 8, slot: unknown",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(errors.len(), 5, "{said}");
        let kafka = Kafka { port: 0, servers: vec!["a".to_owned()] };
        let node = vec![Node { name: "n".to_owned(), slots: None }];
        assert_eq!(parsed.value, Some(Whole { seed: 0, kafka, node }));
        assert!(parsed.omitted.contains(&"node[0].slot".to_owned()), "{:?}", parsed.omitted);
        let headed = from_toml_all::<Whole>("[kafka]\nprot = 2\nport = \"x\"\n[node]");
        assert_eq!(headed.errors.len(), 3, "{:?}", headed.errors);
        assert!(headed.omitted.contains(&"kafka.prot".to_owned()), "{:?}", headed.omitted);
    }

    /// Goal: a required key with a wrong value is not also reported as missing; a missing one is; text that is not TOML
    /// gives one error.
    #[test]
    fn a_wrong_key_is_reported_once() {
        let parsed = from_toml_all::<Node>("name = 3");
        assert_eq!((parsed.errors.len(), parsed.value), (1, None), "{:?}", parsed.errors);
        let lacking = from_toml_all::<Node>("slots = 3").errors;
        assert_eq!(lacking.iter().map(ToString::to_string).collect::<Vec<_>>(), ["missing field `name`"]);
        let none = from_toml_all::<Whole>("seed =\nsead = 1");
        assert_eq!((none.errors.len(), none.value), (1, None), "{:?}", none.errors);
        let right = from_toml_all::<Whole>("seed = 1");
        assert!(right.errors.is_empty() && right.value.is_some_and(|whole| whole.seed == 1));
    }

    /// Goal: values that are not secret are named in errors, so that the mistake can be found.
    #[test]
    fn other_mistakes_are_named() {
        assert!(refusal("sed = 1").contains("unknown field `sed`, expected"));
        assert!(refusal("seed = -1").contains("line 1, seed: invalid"));
        assert!(refusal("\n\nseed = \"ä\"").contains("line 3, seed: invalid type: string \"ä\""));
        assert!(refusal("seed =").contains("line 1, seed"));
    }
}
