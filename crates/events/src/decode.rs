//! Decodes bytes to an event: strict, without copying, and without reading beyond the record.
//!
//! Fields are read in order and the first problem is reported: a bad string in an early field hides a later
//! truncation. The Java decoder reports the same problem at the same offset.

use thiserror::Error;

use crate::{Auction, Bid, Click, Event, FORMAT_VERSION, Impression, Item, Kind, Person, Search};

/// Why bytes are not an event, with the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The record is empty.
    #[error("an empty record")]
    Empty,
    /// The first byte has another version of the format.
    #[error("unknown format version {version}, supported is {FORMAT_VERSION} (offset 0)")]
    UnknownVersion {
        /// The version found.
        version: u8,
    },
    /// The first byte has an unknown kind.
    #[error("unknown event kind {number} (offset 0)")]
    UnknownKind {
        /// The number found.
        number: u8,
    },
    /// The record ends within a field.
    #[error("field {field} at offset {offset} needs {needed} bytes, {present} are left")]
    Truncated {
        /// Name of the unreadable field.
        field: &'static str,
        /// Start of the field, in bytes from the start of the record; for a string that of its length.
        offset: usize,
        /// Length of the field, in bytes; includes a string's length as far as it is known.
        needed: u64,
        /// Number of bytes from `offset` to the end of the record.
        present: usize,
    },
    /// A string is not UTF-8.
    #[error("field {field} is not UTF-8 from offset {offset} on")]
    BadUtf8 {
        /// Name of the field.
        field: &'static str,
        /// Start of the first invalid sequence, in bytes from the start of the record.
        offset: usize,
    },
    /// Bytes follow the complete event.
    #[error("{count} surplus bytes at offset {offset}")]
    TrailingBytes {
        /// Start of the surplus, in bytes from the start of the record.
        offset: usize,
        /// Length of the surplus, in bytes.
        count: usize,
    },
}

impl DecodeError {
    /// Returns the problem's name, the same in Rust, Java and the test data.
    pub const fn name(&self) -> &'static str {
        match self {
            DecodeError::Empty => "empty",
            DecodeError::UnknownVersion { .. } => "unknown-version",
            DecodeError::UnknownKind { .. } => "unknown-kind",
            DecodeError::Truncated { .. } => "truncated",
            DecodeError::BadUtf8 { .. } => "bad-utf8",
            DecodeError::TrailingBytes { .. } => "trailing-bytes",
        }
    }

    /// Returns the problem's offset, in bytes from the start of the record.
    pub const fn offset(&self) -> usize {
        match *self {
            DecodeError::Empty | DecodeError::UnknownVersion { .. } | DecodeError::UnknownKind { .. } => 0,
            DecodeError::Truncated { offset, .. }
            | DecodeError::BadUtf8 { offset, .. }
            | DecodeError::TrailingBytes { offset, .. } => offset,
        }
    }
}

/// A position in a record.
struct Reader<'a> {
    record: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.record[self.offset..]
    }

    #[inline]
    fn truncated(&self, field: &'static str, needed: u64) -> DecodeError {
        DecodeError::Truncated { field, offset: self.offset, needed, present: self.rest().len() }
    }

    #[inline]
    fn integer(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let bytes = *self.rest().first_chunk::<8>().ok_or_else(|| self.truncated(field, 8))?;
        self.offset += 8;
        Ok(i64::from_le_bytes(bytes))
    }

    #[inline]
    fn string(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let (prefix, rest) = self.rest().split_first_chunk::<4>().ok_or_else(|| self.truncated(field, 4))?;
        let length = u32::from_le_bytes(*prefix);
        let bytes =
            rest.get(..length as usize).ok_or_else(|| self.truncated(field, 4 + u64::from(length)))?;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DecodeError::BadUtf8 { field, offset: self.offset + 4 + error.valid_up_to() })?;
        self.offset += 4 + bytes.len();
        Ok(text)
    }

    fn finish(&self) -> Result<(), DecodeError> {
        match self.rest().len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { offset: self.offset, count }),
        }
    }
}

/// Reads the named fields, in order, into the struct of that name.
macro_rules! read {
    ($reader:ident, $event:ident { $($field:ident: $type:ident),+ $(,)? }) => {
        $event { $($field: $reader.$type(stringify!($field))?),+ }
    };
}

impl<'a> Event<'a> {
    /// Decodes one record, which must be exactly one event.
    ///
    /// # Errors
    /// The first problem of the record, with its offset.
    pub fn decode(record: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        let kind = kind_of(record)?;
        let mut reader = Reader { record, offset: 1 };
        let event = read_event(kind, &mut reader)?;
        reader.finish()?;
        Ok(event)
    }
}

/// Returns the kind in a record's first byte.
fn kind_of(record: &[u8]) -> Result<Kind, DecodeError> {
    let first = *record.first().ok_or(DecodeError::Empty)?;
    let (version, number) = (first >> 4, first & 0x0f);
    if version != FORMAT_VERSION {
        return Err(DecodeError::UnknownVersion { version });
    }
    Kind::from_number(number).ok_or(DecodeError::UnknownKind { number })
}

#[inline]
fn read_event<'a>(kind: Kind, reader: &mut Reader<'a>) -> Result<Event<'a>, DecodeError> {
    Ok(match kind {
        Kind::Person => Event::Person(read!(
            reader,
            Person {
                timestamp: integer,
                person_id: integer,
                name: string,
                email: string,
                credit_card: string,
                city: string,
                state: string,
            }
        )),
        Kind::Item => Event::Item(read!(
            reader,
            Item {
                timestamp: integer,
                item_id: integer,
                category_id: integer,
                name: string,
                description: string,
            }
        )),
        Kind::Auction => Event::Auction(read!(
            reader,
            Auction {
                timestamp: integer,
                auction_id: integer,
                item_id: integer,
                seller_id: integer,
                initial_price: integer,
                reserve: integer,
                start: integer,
                end: integer,
            }
        )),
        Kind::Bid => Event::Bid(read!(
            reader,
            Bid {
                timestamp: integer,
                bid_id: integer,
                auction_id: integer,
                bidder_id: integer,
                price: integer,
            }
        )),
        Kind::Click => Event::Click(read!(
            reader,
            Click { timestamp: integer, product: integer, category: integer, owner: integer, price: integer }
        )),
        Kind::Impression => Event::Impression(read!(
            reader,
            Impression { timestamp: integer, product: integer, category: integer }
        )),
        Kind::Search => Event::Search(read!(
            reader,
            Search { timestamp: integer, product: integer, category: integer, rank: integer }
        )),
    })
}
