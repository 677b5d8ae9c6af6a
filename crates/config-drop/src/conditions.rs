//! The conditional headers of a request, parsed strictly.

use axum::http::{HeaderMap, header};
use http_server::ApiError;
use job_config::EntityTag;

use crate::api_error::precondition_required;

/// What a writer expects to be current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedDocument {
    /// No document (`If-None-Match: *`).
    Nothing,
    /// The document with this entity tag (`If-Match: <etag>`).
    Document(EntityTag),
}

/// Parses the precondition of a PUT.
pub(crate) fn expected(headers: &HeaderMap) -> Result<ExpectedDocument, ApiError> {
    let (matches, none) = (text(headers, header::IF_MATCH)?, text(headers, header::IF_NONE_MATCH)?);
    match (matches, none) {
        (None, Some("*")) => Ok(ExpectedDocument::Nothing),
        (Some(tag), None) => EntityTag::parse(tag)
            .map(ExpectedDocument::Document)
            .map_err(|e| ApiError::bad_request(format!("If-Match: {e}"))),
        _ => Err(precondition_required()),
    }
}

/// Parses the entity tags that a reader already has; empty without the header.
pub(crate) fn known(headers: &HeaderMap) -> Result<Vec<EntityTag>, ApiError> {
    let Some(list) = text(headers, header::IF_NONE_MATCH)? else {
        return Ok(Vec::new());
    };
    list.split(',')
        .map(|tag| tag.trim())
        .map(|tag| EntityTag::parse(tag.strip_prefix("W/").unwrap_or(tag)))
        .collect::<Result<_, _>>()
        .map_err(|e| ApiError::bad_request(format!("If-None-Match: {e}")))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, ApiError> {
    match headers.get(&name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value.trim())),
        Some(Err(_)) => Err(ApiError::bad_request(format!("{name}: not printable ASCII"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Goal: a writer must name exactly what it replaces.
    #[test]
    fn a_writer_must_say_what_it_replaces() {
        let tag = EntityTag::parse("\"1-ab\"").unwrap();
        assert_eq!(expected(&headers(&[("if-none-match", "*")])).ok(), Some(ExpectedDocument::Nothing));
        assert_eq!(
            expected(&headers(&[("if-match", "\"1-ab\"")])).ok(),
            Some(ExpectedDocument::Document(tag))
        );
        let refused: [(&[_], u16); 5] = [
            (&[], 428),
            (&[("if-match", "*")], 400),
            (&[("if-match", "1-ab")], 400),
            (&[("if-none-match", "\"1-ab\"")], 428),
            (&[("if-match", "\"1-ab\""), ("if-none-match", "*")], 428),
        ];
        for (pairs, status) in refused {
            assert_eq!(expected(&headers(pairs)).unwrap_err().status(), status, "{pairs:?}");
        }
    }

    /// Goal: a reader's list of tags is parsed completely, or rejected.
    #[test]
    fn a_reader_may_know_several() {
        assert_eq!(known(&headers(&[])).unwrap(), []);
        let list = known(&headers(&[("if-none-match", "\"1-ab\", W/\"2-cd\"")])).unwrap();
        assert_eq!(list.iter().map(EntityTag::as_str).collect::<Vec<_>>(), ["\"1-ab\"", "\"2-cd\""]);
        assert_eq!(known(&headers(&[("if-none-match", "1-ab")])).unwrap_err().status(), 400);
    }
}
