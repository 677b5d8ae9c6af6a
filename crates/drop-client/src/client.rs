//! The calls of the protocol.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request, StatusCode, header};
use job_config::{
    EntityTag, JobDocument, JobName, MEDIA_TYPE, PublicKey, Refusal, Report, SIGNATURE_HEADER, Signature,
    verify,
};

use crate::Access;
use crate::error::{Defect, Error};
use crate::transport::{Answer, Draft, Transport};

/// The bounds of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// To establish a connection.
    pub connect_timeout: Duration,
    /// From the request to the end of the answer; a long poll has its waiting time on top.
    pub timeout: Duration,
    /// The largest document that is read, in bytes.
    pub max_document_bytes: usize,
    /// The largest list of reports that is read, in bytes.
    pub max_reports_bytes: usize,
}

impl Default for Settings {
    /// 2 s to connect, 10 s in all, 256 KiB for a document, 4 MiB for the reports: the drop's own default bounds.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_document_bytes: 256 << 10,
            max_reports_bytes: 4 << 20,
        }
    }
}

/// A client of one job at one drop. Cheap to clone: the connections are shared.
#[derive(Debug, Clone)]
pub struct DropClient {
    /// Ends with a slash.
    base: String,
    job: JobName,
    transport: Transport,
    keys: Vec<PublicKey>,
    settings: Settings,
}

/// A document as the drop served it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The document.
    pub document: JobDocument,
    /// The tag that the drop serves it under.
    pub entity_tag: EntityTag,
    /// Its signature, if it came with one. It was checked if the client has public keys.
    pub signature: Option<Signature>,
}

/// What a [`DropClient::get`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A document other than the one the caller has.
    Document(Box<Current>),
    /// Still the one the caller has.
    NotModified,
    /// There is no document yet.
    Absent,
}

/// What a publisher believes to be current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No document at all.
    Nothing,
    /// The document with this tag.
    Replaces(EntityTag),
}

/// What became of a [`DropClient::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The document is the current one, under this tag.
    Stored(EntityTag),
    /// Somebody else's document is the current one: get it, decide anew.
    Superseded,
}

/// What became of a [`DropClient::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// The drop has it.
    Stored,
    /// The drop has another report under this generation and sequence number; sending it again is of no use.
    Contradicted,
}

impl DropClient {
    /// A client of this job at the drop with this address, for example `http://127.0.0.1:8460`. Connects on the first call.
    ///
    /// # Errors
    /// [`Error::Address`] if the address is no HTTP URL.
    pub fn new(base_url: &str, job: JobName, settings: Settings) -> Result<Self, Error> {
        Self::with_access(base_url, job, settings, Access::default())
    }

    /// The same for a drop that asks for a token, speaks TLS under an authority of its own, or carries signed documents.
    ///
    /// # Errors
    /// [`Error::Address`] if the address is no HTTP URL; [`Error::Setup`] if what `access` names cannot be used.
    pub fn with_access(
        base_url: &str,
        job: JobName,
        settings: Settings,
        access: Access,
    ) -> Result<Self, Error> {
        let base = format!("{}/", base_url.trim_end_matches('/'));
        let keys = access.public_keys().to_vec();
        let transport = Transport::new(&base, &settings, &access)?;
        Ok(Self { base, job, transport, keys, settings })
    }

    /// The job that this client is about.
    pub fn job(&self) -> &JobName {
        &self.job
    }

    /// The current document, unless it is the one with the tag `known`.
    ///
    /// With `wait` the drop holds the answer back until there is another document, at most for this time.
    ///
    /// # Errors
    /// Everything that is not a document, "still the same" or "none": see [`Error`].
    pub async fn get(&self, known: Option<&EntityTag>, wait: Option<Duration>) -> Result<Fetched, Error> {
        let query = wait.map(|wait| format!("?wait={}ms", wait.as_millis())).unwrap_or_default();
        let mut draft = self.draft(Method::GET, &format!("document{query}"));
        if let Some(tag) = known {
            draft = draft.header(header::IF_NONE_MATCH, tag.as_str());
        }
        let timeout = self.settings.timeout + wait.unwrap_or_default();
        let limit_bytes = self.settings.max_document_bytes;
        let answer = self.transport.send(draft, Bytes::new(), timeout, limit_bytes).await?;
        match answer.status {
            StatusCode::OK => self.document(&answer).map(|current| Fetched::Document(Box::new(current))),
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Fetched::NotModified),
            StatusCode::NOT_FOUND => Ok(Fetched::Absent),
            _ => Err(answer.unexpected()),
        }
    }

    /// Returns the document of an earlier or the current generation from the drop's history, if it is still there.
    ///
    /// # Errors
    /// Everything that is not a document or "none": see [`Error`].
    pub async fn generation(&self, generation: u64) -> Result<Option<Current>, Error> {
        let draft = self.draft(Method::GET, &format!("history/{generation}"));
        let Settings { timeout, max_document_bytes, .. } = self.settings;
        let answer = self.transport.send(draft, Bytes::new(), timeout, max_document_bytes).await?;
        match answer.status {
            StatusCode::OK => self.document(&answer).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    /// Publishes a document, if what is current is what the caller believes it to be.
    ///
    /// Safe to repeat after a lost answer: a drop that already has exactly this document answers as if it had just stored it.
    ///
    /// # Errors
    /// [`Error::Status`] if the drop refuses the document (400, 409, 413, …), else any [`Error`] of the transport.
    pub async fn put(&self, document: &JobDocument, expected: &Precondition) -> Result<Published, Error> {
        self.put_signed(document, None, expected).await
    }

    /// Publishes a document with its signature. Repeated with exactly the current document it adds the signature to that.
    ///
    /// # Errors
    /// As [`DropClient::put`]; 403 if the drop checks signatures and this one is not right.
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

    /// Delivers a report. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Status`] if the drop refuses it (400, 404, 413, …), else any [`Error`] of the transport.
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

    /// The newest reports of the job, oldest first; none if the drop does not know the job.
    ///
    /// # Errors
    /// Any [`Error`] of the transport, or [`Error::NotReports`].
    pub async fn reports(&self) -> Result<Vec<Report>, Error> {
        let draft = self.draft(Method::GET, "reports");
        let Settings { timeout, max_reports_bytes, .. } = self.settings;
        let answer = self.transport.send(draft, Bytes::new(), timeout, max_reports_bytes).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .map_err(|source| Error::NotReports { url: answer.url, source }),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(answer.unexpected()),
        }
    }

    fn draft(&self, method: Method, what: &str) -> Draft {
        Request::builder().method(method).uri(format!("{}v1/jobs/{}/{what}", self.base, self.job))
    }

    /// Whatever the answer is, it is not longer than a document.
    async fn send(&self, draft: Draft, body: impl Into<Bytes>) -> Result<Answer, Error> {
        let Settings { timeout, max_document_bytes, .. } = self.settings;
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

/// The document in these bytes, if they are signed as required and are one of this job, under the tag of its content.
///
/// The signature comes first: nothing is parsed that nobody trustworthy has written.
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
        return Err(Defect::Refused(Refusal::WrongJob { found: document.job().clone() }));
    }
    let signature = signature.and_then(|text| text.trim().parse().ok());
    Ok(Current { entity_tag: document.entity_tag(), document, signature })
}

fn entity_tag(answer: &Answer) -> Option<EntityTag> {
    answer.text(header::ETAG).and_then(|tag| EntityTag::parse(tag).ok())
}
