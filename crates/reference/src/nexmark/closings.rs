//! The closing price of each auction, shared by the queries Q4 and Q6.
//!
//! The closing price is that of the highest bid with start ≤ timestamp < end, even if it is below the initial price;
//! without such a bid it is the initial price. A bid may precede its auction, and then waits at most for the horizon,
//! as in Q5 and Q7. The reserve is ignored. Every auction closes at its end, or when it becomes known if that is
//! later.

use std::collections::HashMap;

use events::{Auction, Bid};

/// An auction, and when all information about it that a query needs is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownAuction {
    pub(super) auction: Auction,
    /// The auction's timestamp or that of an event it was joined with, whichever is later, ms.
    pub(super) known_at: i64,
    /// The grouping key of the query: a category or a seller.
    pub(super) subject: i64,
}

/// An auction that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) end: i64,
    pub(super) auction_id: i64,
    pub(super) subject: i64,
    /// Closing price, cents.
    pub(super) price: i64,
}

/// Returns the closings of all auctions, by end, then by auction.
pub(super) fn closings(auctions: &[KnownAuction], bids: &[Bid], waiting_horizon_ms: i64) -> Vec<Closing> {
    let mut bids_of: HashMap<i64, Vec<&Bid>> = HashMap::new();
    for bid in bids {
        bids_of.entry(bid.auction_id).or_default().push(bid);
    }
    let closing = |known: &KnownAuction| {
        let Auction { auction_id, start, end, initial_price, .. } = known.auction;
        let counts = |bid: &&&Bid| {
            let waited_too_long = known.known_at.saturating_sub(bid.timestamp) > waiting_horizon_ms;
            (start..end).contains(&bid.timestamp) && !waited_too_long
        };
        let bids = bids_of.get(&auction_id).into_iter().flatten();
        let highest = bids.filter(counts).map(|bid| bid.price).max();
        Closing { end, auction_id, subject: known.subject, price: highest.unwrap_or(initial_price) }
    };
    let mut closings: Vec<Closing> = auctions.iter().map(closing).collect();
    closings.sort_by_key(|closing| (closing.end, closing.auction_id));
    closings
}
