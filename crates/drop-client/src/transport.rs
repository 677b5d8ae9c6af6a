//! One request, one bounded answer.

use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, StatusCode, header};

use crate::Error;

/// How many characters of an error body are kept: enough for a sentence, too few to fill a log with a web page.
const MESSAGE_CHARS: usize = 300;

/// An answer whose body was read within its bound.
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) entity_tag: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The error for a status that the call has no meaning for.
    pub(crate) fn unexpected(&self) -> Error {
        Error::Status { url: self.url.clone(), status: self.status.as_u16(), message: message(&self.body) }
    }
}

/// Sends the request and reads the answer, at most `limit_bytes` of it.
pub(crate) async fn send(request: RequestBuilder, limit_bytes: usize) -> Result<Answer, Error> {
    let no_answer = |source: reqwest::Error| Error::NoAnswer {
        url: source.url().map(ToString::to_string).unwrap_or_default(),
        source: source.without_url(),
    };
    let response = request.send().await.map_err(no_answer)?;
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut answer = Answer {
        url: response.url().to_string(),
        status: response.status(),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        entity_tag: text(header::ETAG),
        body: Vec::new(),
    };
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|source| Error::NoAnswer { url: answer.url.clone(), source: source.without_url() })?;
        if answer.body.len() + chunk.len() > limit_bytes {
            return Err(Error::TooLarge { url: answer.url, limit_bytes });
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// The text of the drop's `{"error": …}`, or the beginning of whatever else was answered.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
    }
    let text = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an error message is one short line, whatever was answered.
    #[test]
    fn messages_are_short() {
        assert_eq!(message(br#"{"error": "the generation is 3"}"#), "the generation is 3");
        assert_eq!(message(b"<html>\n  <body>\xff"), "<html> <body>\u{fffd}");
        assert_eq!(message(&[b'x'; 5_000]).len(), MESSAGE_CHARS);
    }
}
