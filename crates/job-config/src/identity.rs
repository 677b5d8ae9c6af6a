//! Identity of a document: the digest of its bytes, and its HTTP entity tag.
//!
//! The tag is computed here, not in the drop, because a publisher that lost the response to its request must be able
//! to check whether the current document is its own.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::document::JobDocument;

/// Maximum length of a server's entity tag, in bytes.
const MAX_TAG_BYTES: usize = 200;

/// An HTTP entity tag with its quotes, as in a header (RFC 9110, section 8.8.3).
///
/// The config drop's tags are `"<generation>-<16 hex digits of SHA-256>"`; a client must not rely on that form,
/// because plain web servers have other tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityTag(String);

/// Why a header value is not an entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("write an entity tag as printable ASCII in double quotes, at most {MAX_TAG_BYTES} bytes")]
pub struct EntityTagError;

impl EntityTag {
    /// Returns the tag as in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the tag has the config drop's form and can be compared with [`JobDocument::entity_tag`].
    pub fn is_of_a_drop(&self) -> bool {
        let inner = self.0.trim_matches('"');
        inner.split_once('-').is_some_and(|(generation, digest)| {
            let is_hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            generation.parse::<u64>().is_ok() && digest.len() == 16 && digest.chars().all(is_hexadecimal)
        })
    }

    /// Parses a header value.
    ///
    /// # Errors
    /// The text is not quoted, is too long, or contains invalid characters.
    pub fn parse(text: &str) -> Result<Self, EntityTagError> {
        let strong = text.strip_prefix("W/").unwrap_or(text);
        let inner = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(EntityTagError)?;
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        if text.len() > MAX_TAG_BYTES || !inner.bytes().all(printable) {
            return Err(EntityTagError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EntityTag {
    type Error = EntityTagError;

    fn try_from(text: String) -> Result<Self, EntityTagError> {
        Self::parse(&text)
    }
}

impl From<EntityTag> for String {
    fn from(tag: EntityTag) -> Self {
        tag.0
    }
}

impl JobDocument {
    /// Returns the SHA-256 of the document's exact bytes, as 64 lower-case hexadecimal digits.
    pub fn digest(&self) -> String {
        hexadecimal(&Sha256::digest(self.text().as_bytes()))
    }

    /// Returns the entity tag under which the config drop serves this document.
    pub fn entity_tag(&self) -> EntityTag {
        EntityTag(format!("\"{}-{}\"", self.generation(), &self.digest()[..16]))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    /// Goal: the tag has the protocol's form and changes with a single byte of the document.
    #[test]
    fn a_tag_tells_documents_apart() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        let tag = first.entity_tag();
        assert_eq!(tag.as_str().len(), "\"1-0123456789abcdef\"".len());
        assert!(tag.as_str().starts_with("\"1-") && tag.as_str().ends_with('"'));
        assert_eq!(EntityTag::parse(tag.as_str()), Ok(tag.clone()));
        assert!(first.digest().starts_with(&tag.as_str()[3..19]));
        assert!(tag.is_of_a_drop() && !EntityTag::parse("\"5f-61\"").unwrap().is_of_a_drop());
        let other = JobDocument::parse(&EXAMPLE.replacen("by hand", "by hanD", 1)).unwrap();
        assert_ne!(other.entity_tag(), tag);
    }

    /// Goal: only a text that is valid in a header is a tag.
    #[test]
    fn other_texts_are_no_tags() {
        for wrong in
            ["", "\"", "1-ab", "\"a\"b\"", "\"a b\"", "\"ä\"", "\"a\n\"", &format!("\"{}\"", "x".repeat(200))]
        {
            assert_eq!(EntityTag::parse(wrong), Err(EntityTagError), "{wrong:?}");
        }
        assert!(EntityTag::parse("W/\"5f-61\"").is_ok());
    }
}
