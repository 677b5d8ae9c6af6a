//! NexMark Q6: the average closing price of each seller's last auctions.
//!
//! A window over a number of records depends on their order. Auctions are ordered by end, then by auction id. The
//! average is the sum of the window's closing prices in cents, divided once.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use super::closings::{KnownAuction, closings};
use crate::Quotient;

/// Parameters of Q6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q6Settings {
    /// Auctions in a full window, above 0; the first windows of a seller have fewer.
    pub window_size: usize,
    /// Number of a seller's auctions between rows, above 0.
    pub window_slide: usize,
    /// How long a bid waits for its auction, ms.
    pub waiting_horizon_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q6Row {
    /// Always `q6`.
    pub query: String,
    /// The seller.
    pub seller_id: i64,
    /// Number of auctions in the window.
    pub auctions: i64,
    /// Average of their closing prices, cents.
    pub average_price: Quotient,
}

/// Returns the rows of each seller in the order of its closings, by seller.
pub fn q6<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q6Settings) -> Vec<Q6Row> {
    let (mut auctions, mut bids) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Auction(auction) => {
                let (known_at, subject) = (auction.timestamp, auction.seller_id);
                auctions.push(KnownAuction { auction, known_at, subject });
            }
            Event::Bid(bid) => bids.push(bid),
            _ => {}
        }
    }
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for closing in closings(&auctions, &bids, settings.waiting_horizon_ms) {
        prices.entry(closing.subject).or_default().push(closing.price);
    }
    prices.iter().flat_map(|(seller_id, prices)| rows_of(*seller_id, prices, settings)).collect()
}

fn rows_of(seller_id: i64, prices: &[i64], settings: Q6Settings) -> impl Iterator<Item = Q6Row> + use<'_> {
    let ends = (1..=prices.len()).filter(move |end| end % settings.window_slide == 0);
    ends.map(move |end| {
        let window = &prices[end.saturating_sub(settings.window_size)..end];
        Q6Row {
            query: "q6".to_owned(),
            seller_id,
            auctions: window.len() as i64,
            average_price: Quotient::new(window.iter().sum(), window.len()),
        }
    })
}
