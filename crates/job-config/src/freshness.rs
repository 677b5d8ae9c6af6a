//! Freshness statements: a publisher's signed and dated word that a document is its newest.
//!
//! A source that withholds documents answers "nothing new", like one that has nothing new. So a publisher states again
//! and again which document is its newest (the *timestamp* role of The Update Framework). A reader that hears no recent
//! statement about the document that it has been shown knows that it may be cut off.
//!
//! A statement is one line of text: JSON, a space, and the Ed25519 signature of the JSON's exact bytes. These begin with
//! `{`, with which no job document (TOML) begins, so a signature of one is never a signature of the other. No clock: the
//! reader compares the times with its own.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::admission::AdmissionError;
use crate::document::{JobDocument, JobName};
use crate::signature::{PrivateKey, PublicKey, Signature, verify};

/// HTTP header of the statement about the current document.
pub const FRESHNESS_HEADER: &str = "rescaler-freshness";

/// Suffix of a statement's file on a static web server, appended to the document's name.
pub const FRESHNESS_SUFFIX: &str = ".fresh";

/// Maximum length of a signed statement, in bytes: three times that of the longest valid one.
pub const FRESHNESS_BYTES_MAX: usize = 1_024;

/// A publisher's statement that a document was its newest at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The document's job.
    pub job: JobName,
    /// The document's generation.
    pub generation: u64,
    /// SHA-256 of the document's bytes, as [`JobDocument::digest`] returns it.
    pub digest: String,
    /// Time of the statement, by the publisher's clock.
    pub issued_at: Timestamp,
    /// How long after that time the statement counts, in seconds.
    pub valid_for_s: u64,
}

/// Why a text is not a signed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a freshness statement; it is one line of JSON, a space, and ed25519:<88 characters of base64>")]
pub struct FreshnessError;

/// A statement with its signature, which is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFreshness {
    text: String,
    freshness: Freshness,
    signature: Signature,
}

impl Freshness {
    /// Creates the statement that this document is the newest one.
    pub fn of(document: &JobDocument, issued_at: Timestamp, valid_for_s: u64) -> Self {
        let (job, generation) = (document.job().clone(), document.generation());
        Self { job, generation, digest: document.digest(), issued_at, valid_for_s }
    }

    /// Whether the statement is about this document.
    pub fn is_about(&self, document: &JobDocument) -> bool {
        self.job == *document.job()
            && self.generation == document.generation()
            && self.digest == document.digest()
    }

    /// Signs the statement.
    ///
    /// # Errors
    /// The statement cannot be written as JSON, or is longer than [`FRESHNESS_BYTES_MAX`].
    pub fn signed(&self, key: &PrivateKey) -> Result<SignedFreshness, FreshnessError> {
        let text = serde_json::to_string(self).map_err(|_| FreshnessError)?;
        let signature = key.sign(text.as_bytes());
        let signed = SignedFreshness { freshness: self.clone(), signature, text };
        if signed.to_string().len() > FRESHNESS_BYTES_MAX { Err(FreshnessError) } else { Ok(signed) }
    }
}

impl SignedFreshness {
    /// Returns the statement, whoever has signed it.
    pub fn unverified(&self) -> &Freshness {
        &self.freshness
    }

    /// Returns the statement if one of these keys has signed it.
    ///
    /// # Errors
    /// [`AdmissionError::WrongKey`]. Without keys every statement is rejected.
    pub fn verified(&self, keys: &[PublicKey]) -> Result<&Freshness, AdmissionError> {
        verify(keys, self.text.as_bytes(), Some(&self.signature.to_string())).map(|()| &self.freshness)
    }
}

impl FromStr for SignedFreshness {
    type Err = FreshnessError;

    fn from_str(line: &str) -> Result<Self, FreshnessError> {
        if line.len() > FRESHNESS_BYTES_MAX {
            return Err(FreshnessError);
        }
        let (text, signature) = line.trim().rsplit_once(' ').ok_or(FreshnessError)?;
        let freshness = serde_json::from_str(text).map_err(|_| FreshnessError)?;
        let signature = signature.parse().map_err(|_| FreshnessError)?;
        let is_one_line = text.starts_with('{') && text.chars().all(|letter| (' '..='~').contains(&letter));
        is_one_line.then(|| Self { text: text.to_owned(), freshness, signature }).ok_or(FreshnessError)
    }
}

impl fmt::Display for SignedFreshness {
    /// The line, without a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(generation: u64, reason: &str) -> JobDocument {
        let reason = format!("reason = {reason:?}");
        JobDocument::parse(&test_documents::document("nexmark", generation, &reason)).unwrap()
    }

    fn signed() -> (SignedFreshness, PrivateKey) {
        let key = PrivateKey::from_seed([1; 32]).unwrap();
        let at = "2026-01-01T12:00:00Z".parse().unwrap();
        (Freshness::of(&document(7, "a"), at, 120).signed(&key).unwrap(), key)
    }

    /// Goal: the wire form matches docs/protocol.md, and a statement survives it.
    #[test]
    fn the_wire_form_is_stable() {
        let (signed, key) = signed();
        let line = signed.to_string();
        let begin = r#"{"job":"nexmark","generation":7,"digest":""#;
        let end = r#"","issued_at":"2026-01-01T12:00:00Z","valid_for_s":120} ed25519:"#;
        assert!(line.starts_with(begin) && line.contains(end), "{line}");
        let parsed: SignedFreshness = format!("{line}\n").parse().unwrap();
        assert_eq!(parsed, signed);
        assert_eq!(parsed.verified(&[key.public_key()]).unwrap(), signed.unverified());
    }

    /// Goal: a statement counts only under a pinned key, unchanged, and for exactly one document.
    #[test]
    fn a_statement_is_about_one_document_by_one_key() {
        let (signed, key) = signed();
        let stranger = PrivateKey::from_seed([2; 32]).unwrap().public_key();
        for keys in [&[][..], &[stranger][..]] {
            assert_eq!(signed.verified(keys), Err(AdmissionError::WrongKey));
        }
        let changed: SignedFreshness =
            signed.to_string().replace("\"generation\":7", "\"generation\":8").parse().unwrap();
        assert_eq!(changed.verified(&[key.public_key()]), Err(AdmissionError::WrongKey));
        let statement = signed.unverified();
        assert!(statement.is_about(&document(7, "a")));
        assert!(!statement.is_about(&document(7, "b")) && !statement.is_about(&document(8, "a")));
    }

    /// Goal: a signed document is no statement, and a signed statement is no document.
    #[test]
    fn a_signature_counts_for_one_kind_only() {
        let (signed, key) = signed();
        let document = document(7, "a");
        let as_statement = format!("{} {}", document.text().replace('\n', " "), key.sign(b"x"));
        assert_eq!(as_statement.parse::<SignedFreshness>(), Err(FreshnessError));
        assert!(JobDocument::parse(&signed.text).is_err());
    }

    /// Goal: other texts are rejected without a panic.
    #[test]
    fn other_texts_are_refused() {
        let (signed, _) = signed();
        let line = signed.to_string();
        let long = format!("{} {}", " ".repeat(FRESHNESS_BYTES_MAX), line);
        let wrong = ["", " ", "{} ed25519:", &line[..line.len() - 1], &line[1..], &long];
        for text in wrong {
            assert_eq!(text.parse::<SignedFreshness>(), Err(FreshnessError), "{text:?}");
        }
        let unknown = line.replacen('{', r#"{"more":1,"#, 1);
        assert_eq!(unknown.parse::<SignedFreshness>(), Err(FreshnessError));
    }
}
