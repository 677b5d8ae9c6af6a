//! The wire format of events, which the event producer writes to Kafka and the Flink jobs read.
//!
//! One record is one event: a byte of format version (upper four bits) and [`Kind`] (lower four bits), then the
//! fields in their fixed order. Integers are eight bytes, little-endian, signed; strings are a `u32` byte length,
//! little-endian, and that many bytes of UTF-8. There is no schema, no optional field and no padding, so that
//! decoding is a few reads, and every unexpected byte is an error with its offset.
//!
//! Encoding appends to the caller's buffer, decoding borrows from it; neither allocates. The golden bytes in
//! `testdata/wire` are read by the tests of this crate and of the Java decoder.
//!
//! This crate does no IO and does not use Kafka; it only names the topics.

mod decode;
mod encode;
mod event;
mod kind;

pub use decode::DecodeError;
pub use event::{Auction, Bid, Click, Event, Impression, Item, Person, Search};
pub use kind::{
    Kind, NEXMARK_DEAD_LETTERS_TOPIC, NEXMARK_RESULTS_TOPIC, PSM_DEAD_LETTERS_TOPIC, PSM_RESULTS_TOPIC,
};

/// Version of the wire format, the upper four bits of a record's first byte.
pub const FORMAT_VERSION: u8 = 1;
