//! Publishes documents at a config drop, or in a folder that a plain web server serves. Signs them if a key is configured.

use std::path::Path;
use std::time::Duration;

use drop_client::{
    Access, ClientSettings, Current, DropClient, Fetched, Precondition, Published, StaticClient,
};
use jiff::Timestamp;
use job_config::{
    FRESHNESS_SUFFIX, Freshness, FreshnessError, JobDocument, JobName, PrivateKey, Report, SIGNATURE_SUFFIX,
    Signature,
};
use journal::{FolderLock, JournalError, LockError, show_atomically, write_atomically};
use secrets::Address;
use thiserror::Error;

use crate::config::DropConfig;
use crate::keygen::{self, KeyFileError};

/// Why the configuration cannot be used for publishing. The message begins with the key.
#[derive(Debug, Error)]
pub(crate) enum PublisherError {
    /// Invalid URL.
    #[error("invalid drop.url, drop.folder or drop.reports_url")]
    Address(#[source] drop_client::Error),
    /// The token or the authorities cannot be used.
    #[error("cannot use drop.token_file or drop.authorities_file")]
    Access(#[source] drop_client::AccessError),
    /// The key cannot be used.
    #[error("drop.signing_key_file")]
    Key(#[source] KeyFileError),
}

/// Why a document was not published.
#[derive(Debug, Error)]
pub(crate) enum PutError {
    /// The drop refuses it, or does not respond.
    #[error(transparent)]
    Drop(#[from] drop_client::Error),
    /// Another process is publishing into the folder.
    #[error("another process publishes into the folder")]
    Lock(#[from] LockError),
    /// The folder cannot be written.
    #[error("cannot write to the folder")]
    Folder(#[from] JournalError),
    /// The document is not the successor of the current one.
    #[error("generation {found} cannot follow generation {current}")]
    NotTheSuccessor {
        /// Generation of the current document.
        current: u64,
        /// Generation of the refused document.
        found: u64,
    },
}

impl PutError {
    /// Whether the document was certainly not stored.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Drop(error) => error.is_refusal(),
            Self::Lock(_) | Self::NotTheSuccessor { .. } => true,
            Self::Folder(_) => false,
        }
    }
}

/// Why a freshness statement was not published.
#[derive(Debug, Error)]
pub(crate) enum StatementError {
    /// There is no key to sign it with.
    #[error("there is no drop.signing_key_file")]
    NoKey,
    /// It cannot be written.
    #[error("cannot write it")]
    Statement(#[from] FreshnessError),
    /// The drop takes no statements.
    #[error("the drop takes no freshness statements; update it, or set drop.freshness_s = 0")]
    Unsupported,
    /// The drop refuses it, or does not answer.
    #[error(transparent)]
    Drop(#[from] drop_client::Error),
    /// The folder cannot be written.
    #[error("cannot write to the folder")]
    Folder(#[from] JournalError),
}

/// Why an earlier document cannot be had.
#[derive(Debug, Error)]
pub(crate) enum GenerationError {
    /// The drop does not respond as expected.
    #[error(transparent)]
    Drop(#[from] drop_client::Error),
    /// The file cannot be read.
    #[error("cannot read the folder of earlier documents")]
    Folder(#[source] std::io::Error),
    /// The file is not a job document.
    #[error("the earlier document is not a job document")]
    Document(#[from] job_config::DocumentError),
}

enum PublishTarget {
    Drop(Box<DropClient>),
    Folder { client: Box<StaticClient>, reports: Option<Box<DropClient>> },
}

/// Publishes the documents of one job.
pub(crate) struct Publisher {
    job: JobName,
    place: PublishTarget,
    key: Option<PrivateKey>,
    name: String,
    folder: Option<std::path::PathBuf>,
}

impl Publisher {
    /// Creates a publisher without connecting.
    pub(crate) fn new(settings: &DropConfig, job: JobName) -> Result<Self, PublisherError> {
        let mut access = Access::new(settings.access.clone()).map_err(PublisherError::Access)?;
        if let Some(path) = &settings.token_file {
            access = access.with_token_file(path).map_err(PublisherError::Access)?;
        }
        if let Some(path) = &settings.authorities_file {
            access = access.with_authorities_file(path).map_err(PublisherError::Access)?;
        }
        let key = settings.signing_key_file.as_deref().map(keygen::read);
        let key = key.transpose().map_err(PublisherError::Key)?;
        let bounds = ClientSettings {
            timeout: Duration::from_millis(settings.timeout_ms),
            ..ClientSettings::default()
        };
        let connect = |url: &Address, access: Access| {
            DropClient::with_access(url.reveal(), job.clone(), bounds, access)
        };
        let (place, name) = match &settings.folder {
            None => {
                let drop = connect(&settings.url, access).map_err(PublisherError::Address)?;
                (PublishTarget::Drop(Box::new(drop)), settings.url.to_string())
            }
            Some(folder) => {
                let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                let address = format!("file://{}", file(&absolute, &job).display());
                let reports = settings.reports_url.as_ref().map(|url| connect(url, access));
                let client = StaticClient::new(&address, job.clone(), bounds, Access::default());
                let client = client.map_err(PublisherError::Address)?;
                let reports = reports.transpose().map_err(PublisherError::Address)?;
                let place =
                    PublishTarget::Folder { client: Box::new(client), reports: reports.map(Box::new) };
                (place, folder.display().to_string())
            }
        };
        Ok(Self { job, place, key, name, folder: settings.folder.clone() })
    }

    pub(crate) fn job(&self) -> &JobName {
        &self.job
    }

    /// Returns the URL or folder, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the current document, if there is one.
    pub(crate) async fn current(&self) -> Result<Option<Current>, drop_client::Error> {
        let fetched = match &self.place {
            PublishTarget::Drop(drop) => drop.get(None, None).await?,
            PublishTarget::Folder { client, .. } => client.get(None).await?,
        };
        Ok(match fetched {
            Fetched::Document(current) => Some(*current),
            Fetched::Absent | Fetched::NotModified => None,
        })
    }

    /// Returns the document of a generation from the history, if it is still stored.
    pub(crate) async fn generation(&self, generation: u64) -> Result<Option<JobDocument>, GenerationError> {
        match (&self.place, &self.folder) {
            (PublishTarget::Drop(drop), _) => {
                Ok(drop.generation(generation).await?.map(|current| current.document))
            }
            (PublishTarget::Folder { .. }, folder) => {
                let path = earlier_file(folder.as_deref().unwrap_or(Path::new(".")), &self.job, generation);
                match files::read_text(&path, files::CONFIGURATION_BYTES) {
                    Ok(text) => Ok(Some(JobDocument::parse(&text)?)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(GenerationError::Folder(source)),
                }
            }
        }
    }

    /// Returns the newest reports; `None` if reports are not supported here.
    pub(crate) async fn reports(&self) -> Result<Option<Vec<Report>>, drop_client::Error> {
        match &self.place {
            PublishTarget::Drop(drop) | PublishTarget::Folder { reports: Some(drop), .. } => {
                drop.reports().await.map(Some)
            }
            PublishTarget::Folder { reports: None, .. } => Ok(None),
        }
    }

    /// Returns the signature of a document, if a key is configured.
    pub(crate) fn signature(&self, document: &JobDocument) -> Option<Signature> {
        self.key.as_ref().map(|key| key.sign(document.text().as_bytes()))
    }

    /// States that this document, which is current, is the newest one.
    pub(crate) async fn state_freshness(
        &self,
        document: &JobDocument,
        now: Timestamp,
        valid_for_s: u64,
    ) -> Result<(), StatementError> {
        let key = self.key.as_ref().ok_or(StatementError::NoKey)?;
        let signed = Freshness::of(document, now, valid_for_s).signed(key)?;
        match (&self.place, &self.folder) {
            (PublishTarget::Drop(drop), _) => match drop.put_freshness(&signed).await {
                // The job has a document, so it is the path that is unknown.
                Err(drop_client::Error::Status { status: 404 | 405, .. }) => Err(StatementError::Unsupported),
                stated => Ok(stated?),
            },
            (PublishTarget::Folder { .. }, folder) => {
                let path = file(folder.as_deref().unwrap_or(Path::new(".")), &self.job);
                Ok(show_atomically(&beside(&path, FRESHNESS_SUFFIX), format!("{signed}\n").as_bytes())?)
            }
        }
    }

    /// Publishes a document with its signature, if what is current is what the caller believes it to be.
    pub(crate) async fn put(
        &self,
        document: &JobDocument,
        expected: &Precondition,
    ) -> Result<Published, PutError> {
        let signature = self.signature(document);
        match (&self.place, &self.folder) {
            (PublishTarget::Drop(drop), _) => {
                Ok(drop.put_signed(document, signature.as_ref(), expected).await?)
            }
            (PublishTarget::Folder { client, .. }, folder) => {
                let folder = folder.as_deref().unwrap_or(Path::new("."));
                into_folder(folder, client, document, signature, expected).await
            }
        }
    }
}

/// Returns the file name of a job's document in a folder.
fn file(folder: &Path, job: &JobName) -> std::path::PathBuf {
    folder.join(format!("{job}.toml"))
}

/// The file beside a document that has this suffix.
fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

/// An earlier document of the job, kept because its content may be needed when its successors are rolled back.
fn earlier_file(folder: &Path, job: &JobName, generation: u64) -> std::path::PathBuf {
    folder.join("history").join(job.as_str()).join(format!("{generation}.toml"))
}

/// Number of earlier documents that are kept, the default of a drop.
const EARLIER_MAX: u64 = 20;

/// Stores the document that is being replaced, and deletes the oldest one.
fn keep_earlier(folder: &Path, document: &JobDocument) -> Result<(), JournalError> {
    let (job, generation) = (document.job(), document.generation());
    let path = earlier_file(folder, job, generation);
    if let Some(parent) = path.parent() {
        journal::create_folder(parent)?;
    }
    write_atomically(&path, document.text().as_bytes())?;
    if let Some(oldest) = generation.checked_sub(EARLIER_MAX) {
        // Usually it does not exist.
        let _ = std::fs::remove_file(earlier_file(folder, job, oldest));
    }
    Ok(())
}

/// Follows the rules of the drop: the document must be the successor of the current one, and publishing is idempotent. The signature is
/// written first, so that no reader sees a new document without it; each file is replaced atomically.
async fn into_folder(
    folder: &Path,
    client: &StaticClient,
    document: &JobDocument,
    signature: Option<Signature>,
    expected: &Precondition,
) -> Result<Published, PutError> {
    let _lock = FolderLock::acquire(folder)?;
    let current = match client.get(None).await? {
        Fetched::Document(current) => Some(current),
        Fetched::Absent | Fetched::NotModified => None,
    };
    let tag = document.entity_tag();
    if current.as_ref().is_none_or(|current| current.entity_tag != tag) {
        let is_expected = match (&current, expected) {
            (None, Precondition::Nothing) => true,
            (Some(current), Precondition::Replaces(tag)) => current.entity_tag == *tag,
            _ => false,
        };
        if !is_expected {
            return Ok(Published::Superseded);
        }
        if let Some(current) = current.map(|current| current.document) {
            if document.generation() != current.generation() + 1 {
                let current = current.generation();
                return Err(PutError::NotTheSuccessor { current, found: document.generation() });
            }
            keep_earlier(folder, &current)?;
        }
    }
    let path = file(folder, document.job());
    if let Some(signature) = signature {
        show_atomically(&beside(&path, SIGNATURE_SUFFIX), format!("{signature}\n").as_bytes())?;
    }
    show_atomically(&path, document.text().as_bytes())?;
    Ok(Published::Stored(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use job_config::verify;

    fn document(generation: u64, reason: &str) -> JobDocument {
        let reason = format!("reason = {reason:?}");
        JobDocument::parse(&test_documents::document("nexmark", generation, &reason)).unwrap()
    }

    /// Goal: a folder keeps the rules of a drop, and what is in it is signed.
    #[tokio::test]
    async fn a_folder_keeps_the_rules_of_a_drop() {
        let folder = tempfile::tempdir().unwrap();
        let key_path = folder.path().join("key");
        keygen::generate(&key_path).unwrap();
        let shown = folder.path().join("shown");
        let settings = DropConfig {
            folder: Some(shown.clone()),
            signing_key_file: Some(key_path.clone()),
            ..DropConfig::default()
        };
        let publisher = Publisher::new(&settings, "nexmark".parse().unwrap()).unwrap();
        assert_eq!(publisher.current().await.unwrap(), None);
        let first = document(1, "first");
        let nothing = Precondition::Nothing;
        let stored = |document: &JobDocument| Published::Stored(document.entity_tag());
        assert_eq!(publisher.put(&first, &nothing).await.unwrap(), stored(&first));
        assert_eq!(publisher.put(&first, &nothing).await.unwrap(), stored(&first));
        let replaces = Precondition::Replaces(first.entity_tag());
        assert_eq!(publisher.put(&document(2, "other"), &nothing).await.unwrap(), Published::Superseded);
        for generation in [1, 3] {
            let refused = publisher.put(&document(generation, "gap"), &replaces).await;
            assert!(matches!(refused, Err(PutError::NotTheSuccessor { current: 1, .. })), "{refused:?}");
        }
        let second = document(2, "second");
        assert_eq!(publisher.put(&second, &replaces).await.unwrap(), stored(&second));
        assert_eq!(publisher.generation(1).await.unwrap(), Some(first));
        assert_eq!(publisher.generation(7).await.unwrap(), None);
        let bytes = std::fs::read(shown.join("nexmark.toml")).unwrap();
        assert_eq!(bytes, second.text().as_bytes());
        let signature = std::fs::read_to_string(shown.join("nexmark.toml.sig")).unwrap();
        let keys = [keygen::read(&key_path).unwrap().public_key()];
        assert_eq!(verify(&keys, &bytes, Some(&signature)), Ok(()));
        assert_eq!(publisher.reports().await.unwrap(), None);
    }
}
