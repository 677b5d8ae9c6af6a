//! Bids. Within an epoch no auction opens and nobody registers between two bids, so that all of them choose among the same
//! auctions and bidders; only the random numbers and the time differ.

use std::hint::select_unpredictable;
use std::ops::Range;

use events::Bid;

use super::{Nexmark, lane};
use crate::random::two_below;

/// What the bids of an epoch have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bidding {
    /// The numbers of these bids.
    pub(super) numbers: Range<u64>,
    pub(super) first_bid_id: i64,
    pub(super) hot_auction: i64,
    pub(super) oldest_auction: i64,
    /// Auctions to choose from, counted from the oldest.
    pub(super) auctions: u64,
    pub(super) hot_bidder: i64,
    pub(super) oldest_bidder: i64,
    /// Persons to choose from, counted from the oldest.
    pub(super) bidders: u64,
}

impl Bidding {
    #[inline]
    pub(super) fn includes(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Bid `number`, which must be one of these.
    ///
    /// Both the hot and the other key are worked out and one is taken, without a branch: which one cannot be predicted, and
    /// a wrong prediction would cost the processor more than the sums.
    #[inline]
    pub(super) fn bid(&self, generator: &Nexmark, number: u64, timestamp: i64) -> Bid {
        let (settings, random) = (&generator.settings, generator.random(number));
        let (auction, bidder) = two_below(random.lane(lane::KEYS), self.auctions, self.bidders);
        let (hot_auction, hot_bidder) =
            two_below(random.lane(lane::HOT), settings.hot_auction_ratio, settings.hot_bidder_ratio);
        Bid {
            timestamp,
            bid_id: self.first_bid_id + (number - self.numbers.start) as i64,
            auction_id: select_unpredictable(
                hot_auction > 0,
                self.hot_auction,
                self.oldest_auction + auction as i64,
            ),
            bidder_id: select_unpredictable(
                hot_bidder > 0,
                self.hot_bidder,
                self.oldest_bidder + bidder as i64,
            ),
            price: generator.prices.price_cents(random.lane(lane::PRICE)),
        }
    }
}
