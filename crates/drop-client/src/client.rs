//! The calls of the protocol.

use std::time::Duration;

use job_config::{EntityTag, JobDocument, JobName, MEDIA_TYPE, Report};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};

use crate::error::{Defect, Error};
use crate::transport::{Answer, send};

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

/// How long an unused connection is kept. Shorter than any server's own patience, so that a request hardly ever meets a
/// connection that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);

/// A client of one job at one drop. Cheap to clone: the connections are shared.
#[derive(Debug, Clone)]
pub struct DropClient {
    base: Url,
    job: JobName,
    http: reqwest::Client,
    settings: Settings,
}

/// A document as the drop served it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The document.
    pub document: JobDocument,
    /// The tag that the drop serves it under.
    pub entity_tag: EntityTag,
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
        let address = || Error::Address { url: base_url.to_owned() };
        let mut base: Url = base_url.parse().map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(Error::Setup)?;
        Ok(Self { base, job, http, settings })
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
        let mut request = self.request(Method::GET, "document")?;
        if let Some(tag) = known {
            request = request.header(header::IF_NONE_MATCH, tag.as_str());
        }
        if let Some(wait) = wait {
            request = request
                .query(&[("wait", format!("{}ms", wait.as_millis()))])
                .timeout(self.settings.timeout + wait);
        }
        let answer = send(request, self.settings.max_document_bytes).await?;
        match answer.status {
            StatusCode::OK => self.document(answer).map(|current| Fetched::Document(Box::new(current))),
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Fetched::NotModified),
            StatusCode::NOT_FOUND => Ok(Fetched::Absent),
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
        let request = self
            .request(Method::PUT, "document")?
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(document.text().to_owned());
        let request = match expected {
            Precondition::Nothing => request.header(header::IF_NONE_MATCH, "*"),
            Precondition::Replaces(tag) => request.header(header::IF_MATCH, tag.as_str()),
        };
        let answer = send(request, self.settings.max_document_bytes).await?;
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
        let request = self.request(Method::POST, "reports")?.json(report);
        let answer = send(request, self.settings.max_document_bytes).await?;
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
        let request = self.request(Method::GET, "reports")?;
        let answer = send(request, self.settings.max_reports_bytes).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .map_err(|source| Error::NotReports { url: answer.url, source }),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(answer.unexpected()),
        }
    }

    fn request(&self, method: Method, what: &str) -> Result<RequestBuilder, Error> {
        let path = format!("v1/jobs/{}/{what}", self.job);
        let url =
            self.base.join(&path).map_err(|_| Error::Address { url: format!("{}{path}", self.base) })?;
        Ok(self.http.request(method, url).timeout(self.settings.timeout))
    }

    fn document(&self, answer: Answer) -> Result<Current, Error> {
        let Answer { url, content_type, body, .. } = &answer;
        let defect = |defect| Error::NotADocument { url: url.clone(), defect };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(defect(Defect::ContentType { found: content_type.clone() }));
        }
        let entity_tag = entity_tag(&answer).ok_or_else(|| defect(Defect::EntityTag))?;
        let text = String::from_utf8(body.clone()).map_err(|e| defect(Defect::Encoding(e)))?;
        let document = JobDocument::parse(&text).map_err(|e| defect(Defect::Content(e)))?;
        if document.job() != &self.job {
            return Err(defect(Defect::OtherJob { found: document.job().to_string() }));
        }
        if entity_tag.is_of_a_drop() && entity_tag != document.entity_tag() {
            return Err(defect(Defect::Digest { found: entity_tag }));
        }
        Ok(Current { document, entity_tag })
    }
}

fn entity_tag(answer: &Answer) -> Option<EntityTag> {
    answer.entity_tag.as_deref().and_then(|tag| EntityTag::parse(tag).ok())
}
