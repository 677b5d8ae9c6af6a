//! NexMark Q7: the highest bid of each tumbling window, with its item.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use super::auctions::{AcceptedBid, accepted_bids};
use crate::windows::tumbling_end;

/// Parameters of Q7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q7Settings {
    /// Length of a window, ms, above 0. Windows begin at whole multiples of it.
    pub window_size_ms: i64,
    /// How long a bid waits for its auction, ms.
    pub waiting_horizon_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q7Row {
    /// Always `q7`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// Item of the highest bid's auction.
    pub item_id: i64,
    /// The highest bid; of several at the same price the lowest id.
    pub bid_id: i64,
    /// Its price, cents.
    pub price: i64,
}

/// Returns one row for every window with a bid, in the order of the windows.
pub fn q7<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q7Settings) -> Vec<Q7Row> {
    let mut highest: BTreeMap<i64, AcceptedBid> = BTreeMap::new();
    for bid in accepted_bids(events, settings.waiting_horizon_ms) {
        let window_end = tumbling_end(bid.time, settings.window_size_ms);
        let best = highest.entry(window_end).or_insert(bid);
        let better = bid.price > best.price || (bid.price == best.price && bid.bid_id < best.bid_id);
        if better {
            *best = bid;
        }
    }
    let row = |(window_end, bid): (i64, AcceptedBid)| Q7Row {
        query: "q7".to_owned(),
        window_end,
        item_id: bid.item_id,
        bid_id: bid.bid_id,
        price: bid.price,
    };
    highest.into_iter().map(row).collect()
}
