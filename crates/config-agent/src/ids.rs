//! Deterministic ids of the agent's requests to Flink.
//!
//! They are derived from the change. Flink treats two requests with the same id as one, so an agent killed before it
//! saw the answer can retry safely. Even without its journal, the agent recognises the job that an earlier run
//! submitted for the same document.

use flink::{JobId, TriggerId};
use job_config::JobDocument;
use sha2::{Digest as _, Sha256};

/// Returns the id of the job that runs this document.
pub fn submission_id(document: &JobDocument) -> JobId {
    JobId::from_bytes(derive("submit", document))
}

/// Returns the id of the job that restores the previous document after this one failed.
pub fn restoration_id(failed: &JobDocument) -> JobId {
    JobId::from_bytes(derive("restore", failed))
}

/// Returns the id of the stop-with-savepoint that precedes this document's submission.
pub fn stop_id(document: &JobDocument) -> TriggerId {
    TriggerId::from_bytes(derive("stop", document))
}

fn derive(purpose: &str, document: &JobDocument) -> [u8; 16] {
    let mut digest = Sha256::new();
    // The document's digest covers its job and its generation.
    for part in [purpose, "\0", &document.digest()] {
        digest.update(part.as_bytes());
    }
    let mut id = [0; 16];
    id.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    /// Goal: ids are the same in every run, and differ by document and purpose.
    #[test]
    fn ids_follow_from_the_document() {
        let first = JobDocument::parse(EXAMPLE).unwrap();
        let second = JobDocument::parse(&EXAMPLE.replacen("generation = 1", "generation = 2", 1)).unwrap();
        assert_eq!(submission_id(&first), submission_id(&first.clone()));
        assert_ne!(submission_id(&first), submission_id(&second));
        assert_ne!(submission_id(&first).as_str(), stop_id(&first).as_str());
        assert_ne!(submission_id(&first), restoration_id(&first));
    }
}
