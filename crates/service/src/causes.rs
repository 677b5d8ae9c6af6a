//! An error with its causes in one line, for messages where only text remains.

use std::error::Error;

/// Formats an error and its causes in one line, separated by colons.
///
/// A cause is omitted if the text before already ends with it: some libraries repeat their cause.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for error in std::iter::successors(Some(error), |error| (*error).source()) {
        let cause = error.to_string();
        let cause = cause.trim();
        if text.is_empty() {
            text.push_str(cause);
        } else if !text.ends_with(cause) {
            text.push_str(": ");
            text.push_str(cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, below) = texts.split_first().unwrap();
        Layer { text, source: (!below.is_empty()).then(|| Box::new(layers(below))) }
    }

    /// Goal: every cause is in the line once, without line breaks at its ends.
    #[test]
    fn causes_are_joined() {
        for (texts, expected) in [
            (&["a"][..], "a"),
            (&["cannot read x", "no such file"], "cannot read x: no such file"),
            (&["a", "b\n", "c"], "a: b: c"),
            (
                &["connect failed: refused", "refused", "os error 111"],
                "connect failed: refused: os error 111",
            ),
        ] {
            assert_eq!(with_causes(&layers(texts)), expected);
        }
    }
}
