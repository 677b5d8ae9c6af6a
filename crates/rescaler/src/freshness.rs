//! Freshness statements: says at the drop again and again which document is the newest, signed and dated, so that an
//! agent notices when it is cut off (docs/security.md).
//!
//! The statement is about what the drop shows, but never about an older generation than this rescaler has published or
//! seen: a drop that was set back must not get a fresh statement about old content.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use job_config::JobName;
use service::with_causes;
use tracing::{info, warn};

use crate::config::Config;
use crate::publisher::{Publisher, PublisherError};

/// How often a statement is renewed within the time for which it counts, so that one or two may be lost.
const RENEWALS: u64 = 3;

/// The highest generation that this rescaler has published or seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewestGeneration(Arc<AtomicU64>);

impl NewestGeneration {
    /// Notes a generation; returns the highest one.
    pub(crate) fn note(&self, generation: u64) -> u64 {
        self.0.fetch_max(generation, Ordering::Relaxed).max(generation)
    }
}

/// Renews the statement about the newest document of a job.
pub(crate) struct FreshnessRenewal {
    job: JobName,
    publisher: Publisher,
    valid_for_s: u64,
    newest: NewestGeneration,
}

impl FreshnessRenewal {
    /// Returns the renewal that is configured; `None` if there is none.
    ///
    /// # Errors
    /// The drop's settings cannot be used.
    pub(crate) fn new(config: &Config, newest: NewestGeneration) -> Result<Option<Self>, PublisherError> {
        let (job, valid_for_s) = (config.job.clone(), config.drop.freshness_s);
        if valid_for_s == 0 {
            return Ok(None);
        }
        let publisher = Publisher::new(&config.drop, job.clone())?;
        Ok(Some(Self { job, publisher, valid_for_s, newest }))
    }

    /// Renews the statement until the future is dropped. Logs when that begins to fail, and when it works again.
    pub(crate) async fn run(&self) -> Infallible {
        let mut is_failing = false;
        loop {
            let renewed = self.renew().await;
            let was_failing = std::mem::replace(&mut is_failing, renewed.is_err());
            match renewed {
                Ok(()) if was_failing => info!(job = %self.job, "freshness statements are published again"),
                Err(reason) if !was_failing => {
                    warn!(job = %self.job, "cannot publish the freshness statement, retrying: {reason}");
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(self.valid_for_s * 1_000 / RENEWALS)).await;
        }
    }

    /// Publishes the statement about the current document; where there is no document, that is nothing.
    async fn renew(&self) -> Result<(), String> {
        let current = self.publisher.current().await.map_err(|error| with_causes(&error))?;
        let Some(document) = current.map(|current| current.document) else { return Ok(()) };
        let (generation, newest) = (document.generation(), self.newest.note(document.generation()));
        if generation < newest {
            return Err(format!(
                "{} shows generation {generation}, but generation {newest} was published before; find out what has set it back",
                self.publisher.name()
            ));
        }
        let stated = self.publisher.state_freshness(&document, Timestamp::now(), self.valid_for_s).await;
        stated.map_err(|error| with_causes(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DropConfig;
    use crate::keygen;
    use drop_client::Precondition;
    use job_config::{JobDocument, SignedFreshness};

    fn document(generation: u64) -> JobDocument {
        JobDocument::parse(&test_documents::document("nexmark", generation, "")).unwrap()
    }

    /// Goal: the statement is about the current document and signed by the publisher's key; a place that shows an
    /// older document than was known gets none.
    #[tokio::test]
    async fn old_content_gets_no_fresh_statement() {
        let folder = tempfile::tempdir().unwrap();
        let (key_path, shown) = (folder.path().join("key"), folder.path().join("shown"));
        keygen::generate(&key_path).unwrap();
        let settings = DropConfig {
            folder: Some(shown.clone()),
            signing_key_file: Some(key_path.clone()),
            ..DropConfig::default()
        };
        let publisher = || Publisher::new(&settings, "nexmark".parse().unwrap()).unwrap();
        let newest = NewestGeneration::default();
        let renewal = FreshnessRenewal {
            job: "nexmark".parse().unwrap(),
            publisher: publisher(),
            valid_for_s: 60,
            newest: newest.clone(),
        };
        assert_eq!(renewal.renew().await, Ok(()));
        let path = shown.join("nexmark.toml.fresh");
        assert!(!path.exists());
        publisher().put(&document(7), &Precondition::Nothing).await.unwrap();
        assert_eq!(renewal.renew().await, Ok(()));
        let stated: SignedFreshness = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let keys = [keygen::read(&key_path).unwrap().public_key()];
        let statement = stated.verified(&keys).unwrap();
        assert!(statement.is_about(&document(7)) && statement.valid_for_s == 60);
        newest.note(8);
        let refused = renewal.renew().await.unwrap_err();
        assert!(refused.contains("shows generation 7, but generation 8 was published before"), "{refused}");
    }
}
