//! Encodes an event to bytes, appended to the caller's reusable buffer.
//!
//! Events of integers only are laid out in one array of constant size and appended at once, so that a bid takes a few
//! nanoseconds. Events with strings reserve their whole size first, so that the buffer grows at most once.

use crate::{Auction, Bid, Click, Event, FORMAT_VERSION, Impression, Item, Kind, Person, Search};

/// Returns the first byte of every record of this kind.
const fn header(kind: Kind) -> u8 {
    FORMAT_VERSION << 4 | kind.number()
}

/// Appends the header and `COUNT` integers; `SIZE` is their total length, checked by the compiler.
#[inline]
fn put_integers<const COUNT: usize, const SIZE: usize>(out: &mut Vec<u8>, kind: Kind, values: [i64; COUNT]) {
    const { assert!(SIZE == 1 + 8 * COUNT) };
    let mut record = [0_u8; SIZE];
    record[0] = header(kind);
    for (place, value) in record[1..].chunks_exact_mut(8).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&record);
}

/// Appends a string's length and bytes.
///
/// A string of 4 GiB or more does not fit the format. Kafka rejects much smaller records, so this is an assertion and
/// not an error that every caller would have to handle.
#[inline]
fn put_string(out: &mut Vec<u8>, text: &str) {
    assert!(
        u32::try_from(text.len()).is_ok(),
        "a string of {} bytes exceeds the limit of the wire format",
        text.len()
    );
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

impl Event<'_> {
    /// Appends the record of this event to `out`, keeping its content.
    ///
    /// Allocates only if the capacity of `out` is insufficient.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Event::Person(event) => event.encode(out),
            Event::Item(event) => event.encode(out),
            Event::Auction(event) => event.encode(out),
            Event::Bid(event) => event.encode(out),
            Event::Click(event) => event.encode(out),
            Event::Impression(event) => event.encode(out),
            Event::Search(event) => event.encode(out),
        }
    }
}

impl Person<'_> {
    /// Appends the record; see [`Event::encode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let strings = [self.name, self.email, self.credit_card, self.city, self.state];
        out.reserve(17 + strings.iter().map(|text| 4 + text.len()).sum::<usize>());
        put_integers::<2, 17>(out, Kind::Person, [self.timestamp, self.person_id]);
        for text in strings {
            put_string(out, text);
        }
    }
}

impl Item<'_> {
    /// Appends the record; see [`Event::encode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(25 + 8 + self.name.len() + self.description.len());
        put_integers::<3, 25>(out, Kind::Item, [self.timestamp, self.item_id, self.category_id]);
        put_string(out, self.name);
        put_string(out, self.description);
    }
}

impl Auction {
    /// Appends the record; see [`Event::encode`].
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Auction { timestamp, auction_id, item_id, seller_id, initial_price, reserve, start, end } = *self;
        let values = [timestamp, auction_id, item_id, seller_id, initial_price, reserve, start, end];
        put_integers::<8, 65>(out, Kind::Auction, values);
    }
}

impl Bid {
    /// Appends the record; see [`Event::encode`].
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Bid { timestamp, bid_id, auction_id, bidder_id, price } = *self;
        put_integers::<5, 41>(out, Kind::Bid, [timestamp, bid_id, auction_id, bidder_id, price]);
    }
}

impl Click {
    /// Appends the record; see [`Event::encode`].
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Click { timestamp, product, category, owner, price } = *self;
        put_integers::<5, 41>(out, Kind::Click, [timestamp, product, category, owner, price]);
    }
}

impl Impression {
    /// Appends the record; see [`Event::encode`].
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_integers::<3, 25>(out, Kind::Impression, [self.timestamp, self.product, self.category]);
    }
}

impl Search {
    /// Appends the record; see [`Event::encode`].
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Search { timestamp, product, category, rank } = *self;
        put_integers::<4, 33>(out, Kind::Search, [timestamp, product, category, rank]);
    }
}
