//! The recent documents of a job, for people: what ran when, and its exact bytes.
//!
//! An old document is the previously current file under another name, so that no bytes are rewritten. Memory holds
//! one summary per document. The history is read-only: an old document becomes current again only as a new
//! generation.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http_server::{ApiError, Path};
use jiff::Timestamp;
use job_config::EntityTag;
use serde::Serialize;

use crate::api_error::no_document;
use crate::http::{Service, answer_with, job_name};
use crate::registry::StoredDocument;

/// Maximum length of a listed reason, in characters: enough for a sentence.
const REASON_CHARS: usize = 300;

/// One document in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Its generation.
    pub generation: u64,
    /// Its entity tag.
    pub entity_tag: EntityTag,
    /// When it was issued, by its publisher's clock.
    pub issued_at: Timestamp,
    /// The publisher's reason, at most 300 characters of it.
    pub reason: String,
    /// Whether it has a signature.
    pub signed: bool,
}

impl Revision {
    pub(crate) fn from_stored(stored: &StoredDocument) -> Self {
        let document = &stored.document;
        Self {
            generation: document.generation(),
            entity_tag: stored.entity_tag.clone(),
            issued_at: document.issued_at(),
            reason: document.reason().chars().take(REASON_CHARS).collect(),
            signed: stored.signature.is_some(),
        }
    }
}

/// The newest documents of a job, oldest first, ending with the current one.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    revisions: VecDeque<Revision>,
}

impl History {
    pub(crate) fn new(revisions: Vec<Revision>) -> Self {
        Self { revisions: revisions.into() }
    }

    /// Adds the new current document, or replaces the one of its generation. Returns the generations beyond `most`,
    /// to be deleted.
    pub(crate) fn add(&mut self, revision: Revision, most: usize) -> Vec<u64> {
        self.revisions.retain(|kept| kept.generation < revision.generation);
        self.revisions.push_back(revision);
        let excess = self.revisions.len().saturating_sub(most);
        self.revisions.drain(..excess).map(|gone| gone.generation).collect()
    }

    pub(crate) fn list(&self) -> Vec<Revision> {
        self.revisions.iter().cloned().collect()
    }
}

pub(crate) async fn list(
    State(service): State<Service>,
    Path(job): Path<String>,
) -> Result<Json<Vec<Revision>>, ApiError> {
    let job = job_name(&job)?;
    service.registry.history(&job).map(Json).ok_or_else(no_document)
}

/// `GET /history/{generation}`: one document, with its bytes and its signature.
pub(crate) async fn document(
    State(service): State<Service>,
    Path((job, generation)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let job = job_name(&job)?;
    let generation = generation.parse().map_err(|_| ApiError::bad_request("the generation is a number"))?;
    let found = service.registry.revision(&job, generation).await?;
    found.map(|stored| answer_with(&stored)).ok_or_else(no_document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(generation: u64, reason: &str) -> Revision {
        Revision {
            generation,
            entity_tag: EntityTag::parse("\"a\"").unwrap(),
            issued_at: Timestamp::UNIX_EPOCH,
            reason: reason.to_owned(),
            signed: false,
        }
    }

    /// Goal: the newest documents are kept, in order, each generation once.
    #[test]
    fn the_newest_are_kept() {
        let mut history = History::new(vec![revision(1, ""), revision(2, "")]);
        assert!(history.add(revision(2, "signed later"), 3).is_empty());
        assert!(history.add(revision(3, ""), 3).is_empty());
        assert_eq!(history.add(revision(4, ""), 3), [1]);
        assert_eq!(history.add(revision(5, ""), 1), [2, 3, 4]);
        let generations: Vec<u64> = history.list().iter().map(|revision| revision.generation).collect();
        assert_eq!(generations, [5]);
    }
}
