//! The join of bids and auctions, shared by the queries Q5 and Q7.
//!
//! A bid counts if it was placed before its auction's end. It may precede its auction; then it waits, and counts from
//! the auction's time on. A bid that waits longer than the horizon, or whose auction never comes, does not count.

use std::collections::HashMap;

use events::{Auction, Event};

/// A bid that counts, joined with its auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedBid {
    /// When bid and auction were both present, ms: the later timestamp.
    pub time: i64,
    /// The item of the bid's auction.
    pub item_id: i64,
    /// The bid.
    pub bid_id: i64,
    /// Its price, cents.
    pub price: i64,
}

/// Returns all bids that count, in the order of the stream. `waiting_horizon_ms` is how long a bid waits for its
/// auction.
pub fn accepted_bids<'a>(
    events: impl IntoIterator<Item = Event<'a>>,
    waiting_horizon_ms: i64,
) -> Vec<AcceptedBid> {
    let mut auctions: HashMap<i64, Auction> = HashMap::new();
    let mut bids = Vec::new();
    for event in events {
        match event {
            Event::Auction(auction) => {
                auctions.insert(auction.auction_id, auction);
            }
            Event::Bid(bid) => bids.push(bid),
            _ => {}
        }
    }
    let accepted = |bid: &events::Bid| {
        let auction = auctions.get(&bid.auction_id)?;
        let in_time = bid.timestamp < auction.end;
        let waited_too_long = auction.timestamp.saturating_sub(bid.timestamp) > waiting_horizon_ms;
        (in_time && !waited_too_long).then_some(AcceptedBid {
            time: bid.timestamp.max(auction.timestamp),
            item_id: auction.item_id,
            bid_id: bid.bid_id,
            price: bid.price,
        })
    };
    bids.iter().filter_map(accepted).collect()
}
