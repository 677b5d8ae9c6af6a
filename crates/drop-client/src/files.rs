//! A client of a plain web server, or a folder, instead of a config drop: one document, and its signature beside it.
//!
//! Such a server supports neither long polls nor reports. It is polled at intervals, with a validator (`ETag` or
//! `Last-Modified`). Its entity tags and content types are unreliable, so a document is identified by its content. A
//! `file://` URL is read directly.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hyper::header::{self, HeaderName};
use hyper::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use job_config::{
    EntityTag, FRESHNESS_BYTES_MAX, FRESHNESS_SUFFIX, JobName, MEDIA_TYPE, PublicKey, SIGNATURE_SUFFIX,
};

use crate::client::read;
use crate::error::{Defect, Error};
use crate::transport::{Answer, Transport};
use crate::{Access, ClientSettings, Fetched};

/// Content types of TOML files on static servers. HTML is not among them.
const MEDIA_TYPES: [&str; 5] = [MEDIA_TYPE, "text/toml", "text/plain", "application/octet-stream", ""];

/// Size limit of a signature file, in bytes.
const MAX_SIGNATURE_BYTES: usize = 1_024;

/// `Last-Modified` has a resolution of seconds: a file changed this shortly before the response may have two versions
/// with one date (RFC 9110, section 8.8.2.2).
const SETTLED: SignedDuration = SignedDuration::from_secs(2);

/// Headers that make a request conditional.
type Validators = Vec<(HeaderName, String)>;

#[derive(Debug)]
enum Location {
    Server(Box<Transport>),
    File(PathBuf),
}

/// A client of one document at a static web server, or in a folder.
#[derive(Debug)]
pub struct StaticClient {
    address: String,
    place: Location,
    job: JobName,
    keys: Vec<PublicKey>,
    settings: ClientSettings,
    /// The last valid document, and the server's validators for it.
    seen: Mutex<Option<CachedDocument>>,
}

#[derive(Debug)]
struct CachedDocument {
    entity_tag: EntityTag,
    bytes: Vec<u8>,
    validators: Validators,
}

impl StaticClient {
    /// Creates a client of the document with this URL: `http://…`, `https://…` or `file:///…`.
    ///
    /// # Errors
    /// [`Error::Address`] if the URL is none of these.
    pub fn new(address: &str, job: JobName, settings: ClientSettings, access: Access) -> Result<Self, Error> {
        let keys = access.public_keys().to_vec();
        let place = match address.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Location::File(PathBuf::from(path)),
            Some(_) => return Err(Error::Address { url: address.into() }),
            None => Location::Server(Box::new(Transport::new(address, &settings, &access)?)),
        };
        Ok(Self { address: address.to_owned(), place, job, keys, settings, seen: Mutex::default() })
    }

    /// Fetches the document, unless its content tag is `known`.
    ///
    /// # Errors
    /// Any other response than a document of the job (signed if required), "not modified" or "none": see [`Error`].
    pub async fn get(&self, known: Option<&EntityTag>) -> Result<Fetched, Error> {
        let found = match &self.place {
            Location::Server(server) => self.fetch(server, known).await?,
            Location::File(path) => self
                .read_file(path.clone(), self.settings.max_document_bytes)
                .await?
                .map_or(ReadOutcome::Absent, |bytes| ReadOutcome::Bytes(bytes, Validators::new())),
        };
        let (bytes, validators) = match found {
            ReadOutcome::Bytes(bytes, validators) => (bytes, validators),
            ReadOutcome::Unchanged => return Ok(Fetched::NotModified),
            ReadOutcome::Absent => return Ok(Fetched::Absent),
        };
        if self.is_known(&bytes, known) {
            return Ok(Fetched::NotModified);
        }
        let signature = self.signature().await?;
        let defect = |defect| Error::NotADocument { url: self.address.clone(), defect };
        let current = read(&bytes, signature.as_deref(), &self.keys, &self.job).map_err(defect)?;
        let entity_tag = current.entity_tag.clone();
        let is_known = known == Some(&entity_tag);
        let good = CachedDocument { entity_tag, bytes, validators };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(good);
        Ok(if is_known { Fetched::NotModified } else { Fetched::Document(Box::new(current)) })
    }

    /// Whether these are the caller's bytes: their signature was already verified, and the signature file may already
    /// be the next document's.
    fn is_known(&self, bytes: &[u8], known: Option<&EntityTag>) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().is_some_and(|good| known == Some(&good.entity_tag) && good.bytes == bytes)
    }

    async fn fetch(&self, server: &Transport, known: Option<&EntityTag>) -> Result<ReadOutcome, Error> {
        let validators = match (&*self.seen.lock().unwrap_or_else(PoisonError::into_inner), known) {
            (Some(good), Some(known)) if good.entity_tag == *known => good.validators.clone(),
            _ => Validators::new(),
        };
        let answer =
            self.request(server, &self.address, &validators, self.settings.max_document_bytes).await?;
        match answer.status {
            StatusCode::OK if MEDIA_TYPES.contains(&answer.media_type().as_str()) => {
                let validators = self::validators(&answer);
                Ok(ReadOutcome::Bytes(answer.body, validators))
            }
            StatusCode::OK => {
                let defect = Defect::ContentType { found: answer.media_type() };
                Err(Error::NotADocument { url: answer.url, defect })
            }
            StatusCode::NOT_MODIFIED if !validators.is_empty() => Ok(ReadOutcome::Unchanged),
            StatusCode::NOT_FOUND => Ok(ReadOutcome::Absent),
            _ => Err(answer.unexpected()),
        }
    }

    /// Fetches the text of the freshness statement beside the document, if there is one. It is not checked.
    ///
    /// # Errors
    /// Any other response: see [`Error`].
    pub async fn freshness(&self) -> Result<Option<String>, Error> {
        self.beside(FRESHNESS_SUFFIX, FRESHNESS_BYTES_MAX).await
    }

    /// Returns the text of the signature file, if it exists and signatures are verified.
    async fn signature(&self) -> Result<Option<String>, Error> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        self.beside(SIGNATURE_SUFFIX, MAX_SIGNATURE_BYTES).await
    }

    /// Returns the text of the file beside the document that has this suffix, if it exists.
    async fn beside(&self, suffix: &str, limit_bytes: usize) -> Result<Option<String>, Error> {
        let bytes = match &self.place {
            Location::Server(server) => {
                let address = format!("{}{suffix}", self.address);
                let answer = self.request(server, &address, &Validators::new(), limit_bytes).await?;
                match answer.status {
                    StatusCode::OK => Some(answer.body),
                    StatusCode::NOT_FOUND => None,
                    _ => return Err(answer.unexpected()),
                }
            }
            Location::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push(suffix);
                self.read_file(PathBuf::from(name), limit_bytes).await?
            }
        };
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn request(
        &self,
        server: &Transport,
        address: &str,
        validators: &Validators,
        limit_bytes: usize,
    ) -> Result<Answer, Error> {
        let draft = Request::builder().uri(address);
        let draft = validators.iter().fold(draft, |draft, (name, value)| draft.header(name, value));
        server.send(draft, Bytes::new(), self.settings.timeout, limit_bytes).await
    }

    /// Reads a file within the same limits as a response; `None` if it does not exist.
    async fn read_file(&self, path: PathBuf, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let url = format!("file://{}", path.display());
        // A network file system may block; the thread is then abandoned.
        let reading = tokio::task::spawn_blocking(move || files::read(&path, limit_bytes as u64));
        let timeout = self.settings.timeout;
        let read = tokio::time::timeout(timeout, reading).await;
        let read = read.map_err(|_| Error::NoAnswer {
            url: url.clone(),
            source: http_client::Failure::Timeout(timeout).into(),
        })?;
        match read.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into())) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(Error::TooLarge { url, limit_bytes })
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::NoAnswer { url, source: source.into() }),
        }
    }
}

enum ReadOutcome {
    Bytes(Vec<u8>, Validators),
    Unchanged,
    Absent,
}

/// Returns the validators for the next request. Omits a `Last-Modified` that two versions may share.
fn validators(answer: &Answer) -> Validators {
    let mut validators = Validators::new();
    if let Some(tag) = answer.text(header::ETAG) {
        validators.push((header::IF_NONE_MATCH, tag.to_owned()));
    }
    if let (Some(modified), Some(now)) = (answer.text(header::LAST_MODIFIED), answer.text(header::DATE))
        && let (Some(modified_at), Some(now)) = (http_date(modified), http_date(now))
        && now.duration_since(modified_at) >= SETTLED
    {
        validators.push((header::IF_MODIFIED_SINCE, modified.to_owned()));
    }
    validators
}

/// Parses `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(HeaderName, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Answer { url: String::new(), status: StatusCode::OK, headers, body: Vec::new() }
    }

    /// Goal: a file that changed twice within one second is not mistaken for unchanged.
    #[test]
    fn a_date_counts_only_when_it_has_settled() {
        let date = (header::DATE, "Sun, 06 Nov 1994 08:49:39 GMT");
        let settled = (header::LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT");
        let fresh = (header::LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:38 GMT");
        let tag = (header::ETAG, "\"5f-61\"");
        let names = |headers: &[(HeaderName, &str)]| -> Vec<HeaderName> {
            validators(&answer(headers)).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[date.clone(), settled.clone()]), [header::IF_MODIFIED_SINCE]);
        assert!(names(&[date.clone(), fresh.clone()]).is_empty());
        assert!(names(&[settled]).is_empty());
        assert_eq!(names(&[date, fresh, tag]), [header::IF_NONE_MATCH]);
    }
}
