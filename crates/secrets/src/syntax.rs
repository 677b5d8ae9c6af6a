//! Parses TOML that may contain secrets: errors name the line and the key, and never quote a line.
//!
//! The library's own error quotes the source line, and its message may quote the value: a typing error in the line of
//! a password would put it in the log.

use serde::de::DeserializeOwned;
use thiserror::Error;

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

impl SyntaxError {
    /// Converts an error without the source line.
    pub fn in_text(text: &str, error: &toml::de::Error) -> Self {
        let Some(span) = error.span() else { return Self::in_value(error) };
        let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let line = text[..start].matches('\n').count();
        let lines: Vec<&str> = text.lines().collect();
        let before = &lines[..lines.len().min(line + 1)];
        // An array may begin some lines above; the nearest key decides whether all of it is secret.
        let nearest = before.iter().rev().find_map(|line| key(line));
        let table = before.iter().rev().find(|line| line.trim_start().starts_with('['));
        let is_secret = [nearest, table.copied()].iter().flatten().any(|text| is_secret_key(text));
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
        return "the value does not have the right form; it may be a secret and is not shown".to_owned();
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
            ("seed = \"http://ann:hunter2@h\"", "line 1, seed"),
            ("[properties]\n\"a\" = \"\"\"\nhunter2\n\"\"\"\"\"\"\"", "line"),
        ] {
            let message = refusal(text);
            assert!(!message.contains("hunter2") && message.contains(expected), "{text}: {message}");
        }
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
