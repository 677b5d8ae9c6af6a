//! The requests of the config drop's protocol.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderName};
use hyper::{Method, Request, StatusCode};
use job_config::{
    AdmissionError, EntityTag, FRESHNESS_HEADER, JobDocument, JobName, MEDIA_TYPE, PublicKey, Report,
    SIGNATURE_HEADER, Signature, SignedFreshness, verify,
};

use crate::Access;
use crate::error::{Defect, Error};
use crate::transport::{Answer, RequestBuilder, Transport};

/// Timeouts and size limits of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// Timeout of establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout from the request to the end of the response; a long poll's waiting time is added.
    pub timeout: Duration,
    /// Size limit of a document, in bytes.
    pub max_document_bytes: usize,
    /// Size limit of a list of reports, in bytes.
    pub max_reports_bytes: usize,
}

impl Default for ClientSettings {
    /// 2 s to connect, 10 s in total, 256 KiB for a document, 4 MiB for the reports: the drop's own default limits.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_document_bytes: 256 << 10,
            max_reports_bytes: 4 << 20,
        }
    }
}

/// A client of one job at one drop. Cheap to clone: clones share connections.
#[derive(Debug, Clone)]
pub struct DropClient {
    /// Ends with a slash.
    base: String,
    job: JobName,
    transport: Transport,
    keys: Vec<PublicKey>,
    settings: ClientSettings,
}

/// A document as the drop served it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The document.
    pub document: JobDocument,
    /// Entity tag under which the drop serves it.
    pub entity_tag: EntityTag,
    /// Its signature, if any. It is verified if the client has public keys.
    pub signature: Option<Signature>,
}

/// Result of [`DropClient::get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A document other than the caller's.
    Document(Box<Current>),
    /// The caller's document is current.
    NotModified,
    /// There is no document yet.
    Absent,
}

/// Result of [`DropClient::ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAnswer {
    /// The document, or why there is none.
    pub fetched: Fetched,
    /// The text of the freshness statement that came with the answer, if any. It is not checked.
    pub freshness: Option<String>,
}

impl From<Fetched> for SourceAnswer {
    fn from(fetched: Fetched) -> Self {
        Self { fetched, freshness: None }
    }
}

/// What a publisher expects to be current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No document at all.
    Nothing,
    /// The document with this entity tag.
    Replaces(EntityTag),
}

/// Result of [`DropClient::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The document is current, under this entity tag.
    Stored(EntityTag),
    /// Another publisher's document is current: fetch it and decide again.
    Superseded,
}

/// Result of [`DropClient::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// The drop has stored it.
    Stored,
    /// The drop has another report under this generation and sequence number; a retry is useless.
    Contradicted,
}

impl DropClient {
    /// Creates a client of this job at the drop with this URL, for example `http://127.0.0.1:8460`. Connects on the
    /// first request.
    ///
    /// # Errors
    /// [`Error::Address`] if the URL is invalid.
    pub fn new(base_url: &str, job: JobName, settings: ClientSettings) -> Result<Self, Error> {
        Self::with_access(base_url, job, settings, Access::default())
    }

    /// Does the same for a drop that requires a token, uses TLS with a private authority, or serves signed documents.
    ///
    /// # Errors
    /// [`Error::Address`] if the URL is invalid; [`Error::Setup`] if `access` is invalid.
    pub fn with_access(
        base_url: &str,
        job: JobName,
        settings: ClientSettings,
        access: Access,
    ) -> Result<Self, Error> {
        let base = format!("{}/", base_url.trim_end_matches('/'));
        let keys = access.public_keys().to_vec();
        let transport = Transport::new(&base, &settings, &access)?;
        Ok(Self { base, job, transport, keys, settings })
    }

    /// Returns the job of this client.
    pub fn job(&self) -> &JobName {
        &self.job
    }

    /// Fetches the current document, unless its entity tag is `known`.
    ///
    /// With `wait` the request is a long poll: the drop responds when there is another document, or after this time.
    ///
    /// # Errors
    /// Any other response than a document, "not modified" or "none": see [`Error`].
    pub async fn get(&self, known: Option<&EntityTag>, wait: Option<Duration>) -> Result<Fetched, Error> {
        Ok(self.ask(known, wait).await?.fetched)
    }

    /// Does the same, and also returns the freshness statement in the answer.
    ///
    /// # Errors
    /// As [`DropClient::get`].
    pub async fn ask(
        &self,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<SourceAnswer, Error> {
        let query = wait.map(|wait| format!("?wait={}ms", wait.as_millis())).unwrap_or_default();
        let mut draft = self.draft(Method::GET, &format!("document{query}"));
        if let Some(tag) = known {
            draft = draft.header(header::IF_NONE_MATCH, tag.as_str());
        }
        let timeout = self.settings.timeout + wait.unwrap_or_default();
        let limit_bytes = self.settings.max_document_bytes;
        let answer = self.transport.send(draft, Bytes::new(), timeout, limit_bytes).await?;
        let fetched = match answer.status {
            StatusCode::OK => Fetched::Document(Box::new(self.document(&answer)?)),
            StatusCode::NOT_MODIFIED if known.is_some() => Fetched::NotModified,
            StatusCode::NOT_FOUND => Fetched::Absent,
            _ => return Err(answer.unexpected()),
        };
        let freshness = answer.text(HeaderName::from_static(FRESHNESS_HEADER)).map(str::to_owned);
        Ok(SourceAnswer { fetched, freshness })
    }

    /// Fetches the document of an earlier or the current generation from the drop's history, if it is within the
    /// retention.
    ///
    /// # Errors
    /// Any other response than a document or "none": see [`Error`].
    pub async fn generation(&self, generation: u64) -> Result<Option<Current>, Error> {
        let draft = self.draft(Method::GET, &format!("history/{generation}"));
        let ClientSettings { timeout, max_document_bytes, .. } = self.settings;
        let answer = self.transport.send(draft, Bytes::new(), timeout, max_document_bytes).await?;
        match answer.status {
            StatusCode::OK => self.document(&answer).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    /// Publishes a document, if the current one is what the caller expects.
    ///
    /// Idempotent: a drop that already has exactly this document responds as if it had just stored it.
    ///
    /// # Errors
    /// [`Error::Status`] if the drop rejects the document (400, 409, 413, …), else any [`Error`] of the transport.
    pub async fn put(&self, document: &JobDocument, expected: &Precondition) -> Result<Published, Error> {
        self.put_signed(document, None, expected).await
    }

    /// Publishes a document with its signature. If exactly this document is already current, adds the signature to
    /// it.
    ///
    /// # Errors
    /// As [`DropClient::put`]; 403 if the drop verifies signatures and this one is invalid.
    pub async fn put_signed(
        &self,
        document: &JobDocument,
        signature: Option<&Signature>,
        expected: &Precondition,
    ) -> Result<Published, Error> {
        let mut draft = self.draft(Method::PUT, "document").header(header::CONTENT_TYPE, MEDIA_TYPE);
        draft = match expected {
            Precondition::Nothing => draft.header(header::IF_NONE_MATCH, "*"),
            Precondition::Replaces(tag) => draft.header(header::IF_MATCH, tag.as_str()),
        };
        if let Some(signature) = signature {
            draft = draft.header(SIGNATURE_HEADER, signature.to_string());
        }
        let answer = self.send(draft, document.text().to_owned()).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::NO_CONTENT => match entity_tag(&answer) {
                Some(tag) => Ok(Published::Stored(tag)),
                None => Err(Error::NoEntityTag { url: answer.url }),
            },
            StatusCode::PRECONDITION_FAILED => Ok(Published::Superseded),
            _ => Err(answer.unexpected()),
        }
    }

    /// States which document is the newest.
    ///
    /// # Errors
    /// [`Error::Status`] if the drop rejects the statement: 409 if another document is current, 404 also from a drop
    /// that takes no statements. Else any [`Error`] of the transport.
    pub async fn put_freshness(&self, signed: &SignedFreshness) -> Result<(), Error> {
        let draft = self.draft(Method::PUT, "freshness").header(header::CONTENT_TYPE, "text/plain");
        let answer = self.send(draft, signed.to_string()).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(()) } else { Err(answer.unexpected()) }
    }

    /// Delivers a report. Idempotent.
    ///
    /// # Errors
    /// [`Error::Status`] if the drop rejects it (400, 404, 413, …), else any [`Error`] of the transport.
    pub async fn report(&self, report: &Report) -> Result<Reported, Error> {
        let body = serde_json::to_vec(report).map_err(Error::Encode)?;
        let draft = self.draft(Method::POST, "reports").header(header::CONTENT_TYPE, "application/json");
        let answer = self.send(draft, body).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Reported::Stored),
            StatusCode::CONFLICT => Ok(Reported::Contradicted),
            _ => Err(answer.unexpected()),
        }
    }

    /// Fetches the newest reports of the job, oldest first; empty if the drop does not know the job.
    ///
    /// # Errors
    /// Any [`Error`] of the transport, or [`Error::NotReports`].
    pub async fn reports(&self) -> Result<Vec<Report>, Error> {
        let draft = self.draft(Method::GET, "reports");
        let ClientSettings { timeout, max_reports_bytes, .. } = self.settings;
        let answer = self.transport.send(draft, Bytes::new(), timeout, max_reports_bytes).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .map_err(|source| Error::NotReports { url: answer.url, source }),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(answer.unexpected()),
        }
    }

    fn draft(&self, method: Method, what: &str) -> RequestBuilder {
        Request::builder().method(method).uri(format!("{}v1/jobs/{}/{what}", self.base, self.job))
    }

    /// Sends a request; the response is limited to the size of a document.
    async fn send(&self, draft: RequestBuilder, body: impl Into<Bytes>) -> Result<Answer, Error> {
        let ClientSettings { timeout, max_document_bytes, .. } = self.settings;
        self.transport.send(draft, body, timeout, max_document_bytes).await
    }

    fn document(&self, answer: &Answer) -> Result<Current, Error> {
        let defect = |defect| Error::NotADocument { url: answer.url.clone(), defect };
        let media_type = answer.media_type();
        if media_type != MEDIA_TYPE {
            return Err(defect(Defect::ContentType { found: media_type }));
        }
        let entity_tag = entity_tag(answer).ok_or_else(|| defect(Defect::EntityTag))?;
        let current = read(&answer.body, answer.signature(), &self.keys, &self.job).map_err(defect)?;
        if entity_tag.is_of_a_drop() && entity_tag != current.entity_tag {
            return Err(defect(Defect::Digest { found: entity_tag }));
        }
        Ok(Current { entity_tag, ..current })
    }
}

/// Parses a document of this job that is signed as required, and computes the entity tag of its content.
///
/// The signature is verified first: untrusted bytes are never parsed.
pub(crate) fn read(
    bytes: &[u8],
    signature: Option<&str>,
    keys: &[PublicKey],
    job: &JobName,
) -> Result<Current, Defect> {
    if !keys.is_empty() {
        verify(keys, bytes, signature).map_err(Defect::Refused)?;
    }
    let text = String::from_utf8(bytes.to_vec()).map_err(Defect::Encoding)?;
    let document = JobDocument::parse(&text).map_err(Defect::Content)?;
    if document.job() != job {
        return Err(Defect::Refused(AdmissionError::WrongJob { found: document.job().clone() }));
    }
    let signature = signature.and_then(|text| text.trim().parse().ok());
    Ok(Current { entity_tag: document.entity_tag(), document, signature })
}

fn entity_tag(answer: &Answer) -> Option<EntityTag> {
    answer.text(header::ETAG).and_then(|tag| EntityTag::parse(tag).ok())
}
