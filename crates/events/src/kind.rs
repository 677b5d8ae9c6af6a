//! The seven kinds of event, their numbers on the wire and their Kafka topics.

use serde::Serialize;

/// Topic of the NexMark queries' results, one JSON object per record.
pub const NEXMARK_RESULTS_TOPIC: &str = "nexmark_results";
/// Topic of the product-search queries' results, one JSON object per record.
pub const PSM_RESULTS_TOPIC: &str = "psm_results";

/// Topic of records that the NexMark jobs could not parse.
pub const NEXMARK_DEAD_LETTERS_TOPIC: &str = "nexmark_dead_letters";
/// Topic of records that the product-search jobs could not parse.
pub const PSM_DEAD_LETTERS_TOPIC: &str = "psm_dead_letters";

/// Kind of an event; the lower four bits of a record's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A person registered at the auction site.
    Person = 1,
    /// An item to be auctioned.
    Item = 2,
    /// An auction was opened.
    Auction = 3,
    /// A bid in an auction.
    Bid = 4,
    /// A click on a product's offer.
    Click = 5,
    /// A product was shown.
    Impression = 6,
    /// A product appeared in a search result.
    Search = 7,
}

impl Kind {
    /// All kinds, in the order of their numbers on the wire.
    pub const ALL: [Kind; 7] =
        [Kind::Person, Kind::Item, Kind::Auction, Kind::Bid, Kind::Click, Kind::Impression, Kind::Search];

    /// Returns the kind with this number on the wire, if there is one.
    pub const fn from_number(number: u8) -> Option<Kind> {
        match number {
            1 => Some(Kind::Person),
            2 => Some(Kind::Item),
            3 => Some(Kind::Auction),
            4 => Some(Kind::Bid),
            5 => Some(Kind::Click),
            6 => Some(Kind::Impression),
            7 => Some(Kind::Search),
            _ => None,
        }
    }

    /// Returns the number on the wire, 1 to 7.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the name in configuration, JSON and metrics: the kind in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Item => "item",
            Kind::Auction => "auction",
            Kind::Bid => "bid",
            Kind::Click => "click",
            Kind::Impression => "impression",
            Kind::Search => "search",
        }
    }

    /// Returns the Kafka topic that contains only this kind.
    pub const fn topic(self) -> &'static str {
        match self {
            Kind::Person => "personEvents",
            Kind::Item => "itemEvents",
            Kind::Auction => "auctionEvents",
            Kind::Bid => "bidEvents",
            Kind::Click => "PSM_CLICKS",
            Kind::Impression => "PSM_IMPRESSIONS",
            Kind::Search => "PSM_SEARCH",
        }
    }
}
