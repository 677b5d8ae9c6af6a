//! NexMark Q4: the average closing price of each category.
//!
//! The job writes a row whenever an auction has closed. The order is undetermined, so only the final row of a
//! category is: the one with the most closed auctions. (The rows before it count 1, 2, 3 … without a gap.) The
//! average is the sum of all closing prices in cents, divided once.
//!
//! An auction counts in the category of its item if the two are at most the horizon apart, in either order. The
//! auction is then known since the later of the two, and bids wait for that.

use std::collections::{BTreeMap, HashMap};

use events::Event;
use serde::{Deserialize, Serialize};

use super::closings::{KnownAuction, closings};
use crate::Quotient;

/// Parameters of Q4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q4Settings {
    /// How long a bid waits for its auction, and an auction and its item for each other, ms.
    pub waiting_horizon_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q4Row {
    /// Always `q4`.
    pub query: String,
    /// The category.
    pub category_id: i64,
    /// Number of its closed auctions.
    pub closed_auctions: i64,
    /// Average of their closing prices, cents.
    pub average_price: Quotient,
}

/// Returns the final row of every category with a closed auction, by category.
pub fn q4<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q4Settings) -> Vec<Q4Row> {
    let horizon = settings.waiting_horizon_ms;
    let (mut items, mut auctions, mut bids) = (HashMap::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Item(item) => drop(items.insert(item.item_id, item)),
            Event::Auction(auction) => auctions.push(auction),
            Event::Bid(bid) => bids.push(bid),
            _ => {}
        }
    }
    let known = auctions.into_iter().filter_map(|auction| {
        let item = items.get(&auction.item_id)?;
        let apart = item.timestamp.abs_diff(auction.timestamp);
        let known_at = item.timestamp.max(auction.timestamp);
        (apart <= horizon.unsigned_abs()).then_some(KnownAuction {
            auction,
            known_at,
            subject: item.category_id,
        })
    });
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for closing in closings(&known.collect::<Vec<_>>(), &bids, horizon) {
        prices.entry(closing.subject).or_default().push(closing.price);
    }
    let row = |(category_id, prices): (i64, Vec<i64>)| Q4Row {
        query: "q4".to_owned(),
        category_id,
        closed_auctions: prices.len() as i64,
        average_price: Quotient::new(prices.iter().sum(), prices.len()),
    };
    prices.into_iter().map(row).collect()
}
