//! The seven kinds of event, their numbers on the wire and the Kafka topics they live in.

use serde::Serialize;

/// Topic to which the NexMark queries write their results, one JSON object a record.
pub const NEXMARK_RESULTS_TOPIC: &str = "nexmark_results";
/// Topic to which the product-search queries write their results, one JSON object a record.
pub const PSM_RESULTS_TOPIC: &str = "psm_results";

/// Topic for records that the NexMark jobs could not read.
pub const NEXMARK_DEAD_LETTERS_TOPIC: &str = "nexmark_dead_letters";
/// Topic for records that the product-search jobs could not read.
pub const PSM_DEAD_LETTERS_TOPIC: &str = "psm_dead_letters";

/// What an event is; the lower four bits of a record's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// Somebody registered at the auction site.
    Person = 1,
    /// An item that will be auctioned.
    Item = 2,
    /// An auction was opened.
    Auction = 3,
    /// Somebody bid in an auction.
    Bid = 4,
    /// Somebody clicked on a product's offer.
    Click = 5,
    /// A product was shown.
    Impression = 6,
    /// A product appeared in a search result.
    Search = 7,
}

impl Kind {
    /// Every kind, in the order of the numbers on the wire.
    pub const ALL: [Kind; 7] =
        [Kind::Person, Kind::Item, Kind::Auction, Kind::Bid, Kind::Click, Kind::Impression, Kind::Search];

    /// The kind with this number on the wire, if there is one.
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

    /// The number on the wire, 1 to 7.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in configuration, JSON and metrics: the kind in lower case.
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

    /// The Kafka topic that holds this kind and nothing else.
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
