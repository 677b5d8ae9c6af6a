//! The event types. The order of the fields is the order on the wire.
//!
//! Ids and quantities are 64-bit signed integers, money is integer cents, times are milliseconds since the Unix
//! epoch. Strings are borrowed: from the record when decoded, from the caller when encoded.

use serde::Serialize;

use crate::Kind;

/// A person registered at the auction site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Person<'a> {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// Unique among persons.
    pub person_id: i64,
    /// Full name.
    pub name: &'a str,
    /// E-mail address.
    pub email: &'a str,
    /// Card number, digits in groups.
    pub credit_card: &'a str,
    /// City.
    pub city: &'a str,
    /// State, two letters.
    pub state: &'a str,
}

/// An item to be auctioned; it precedes its auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item<'a> {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// Unique among items.
    pub item_id: i64,
    /// Category of the item.
    pub category_id: i64,
    /// Short name.
    pub name: &'a str,
    /// Description.
    pub description: &'a str,
}

/// An auction was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Auction {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// Unique among auctions.
    pub auction_id: i64,
    /// The auctioned item.
    pub item_id: i64,
    /// The selling person.
    pub seller_id: i64,
    /// Price without any bid, cents.
    pub initial_price: i64,
    /// Price below which the seller may refuse to sell, cents.
    pub reserve: i64,
    /// Start of the auction; bids count from this moment on, ms since the epoch.
    pub start: i64,
    /// End of the auction; bids at or after this moment do not count, ms since the epoch.
    pub end: i64,
}

/// A bid in an auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bid {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// Unique among bids.
    pub bid_id: i64,
    /// The bid's auction, which may come later in the stream.
    pub auction_id: i64,
    /// The bidding person, who may come later in the stream.
    pub bidder_id: i64,
    /// Price offered, cents.
    pub price: i64,
}

/// A click on a product's offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Click {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// The product of the catalogue.
    pub product: i64,
    /// The product's category.
    pub category: i64,
    /// The shop that owns the offer and pays for the click.
    pub owner: i64,
    /// Cost of the click to the owner, cents.
    pub price: i64,
}

/// A product was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Impression {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// The product of the catalogue.
    pub product: i64,
    /// The product's category.
    pub category: i64,
}

/// A product appeared in a search result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Search {
    /// Intended time of the event, ms since the epoch.
    pub timestamp: i64,
    /// The product of the catalogue.
    pub product: i64,
    /// The product's category.
    pub category: i64,
    /// Position in the result, 0 is the top.
    pub rank: i64,
}

/// Any event. As JSON: an object of the fields, with `kind` as the kind's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event<'a> {
    /// See [`Person`].
    Person(Person<'a>),
    /// See [`Item`].
    Item(Item<'a>),
    /// See [`Auction`].
    Auction(Auction),
    /// See [`Bid`].
    Bid(Bid),
    /// See [`Click`].
    Click(Click),
    /// See [`Impression`].
    Impression(Impression),
    /// See [`Search`].
    Search(Search),
}

impl Event<'_> {
    /// Returns the event's kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Event::Person(_) => Kind::Person,
            Event::Item(_) => Kind::Item,
            Event::Auction(_) => Kind::Auction,
            Event::Bid(_) => Kind::Bid,
            Event::Click(_) => Kind::Click,
            Event::Impression(_) => Kind::Impression,
            Event::Search(_) => Kind::Search,
        }
    }

    /// Returns the intended time of the event, ms since the epoch; also the timestamp of its Kafka record.
    pub const fn timestamp(&self) -> i64 {
        match self {
            Event::Person(event) => event.timestamp,
            Event::Item(event) => event.timestamp,
            Event::Auction(event) => event.timestamp,
            Event::Bid(event) => event.timestamp,
            Event::Click(event) => event.timestamp,
            Event::Impression(event) => event.timestamp,
            Event::Search(event) => event.timestamp,
        }
    }
}
