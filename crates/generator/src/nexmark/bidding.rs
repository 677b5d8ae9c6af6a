//! Bids of the NexMark stream. Within an epoch no auction or person is created between two bids, so all bids choose
//! among the same auctions and bidders; only random numbers and time differ.

use std::hint::select_unpredictable;
use std::ops::Range;

use events::Bid;

use super::{Nexmark, lane};
use crate::random::two_below;

/// Common values of an epoch's bids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bidding {
    /// Event numbers of these bids.
    pub(super) numbers: Range<u64>,
    pub(super) first_bid_id: i64,
    pub(super) hot_auction: i64,
    pub(super) oldest_auction: i64,
    /// Number of auctions to choose from, starting with the oldest.
    pub(super) auctions: u64,
    pub(super) hot_bidder: i64,
    pub(super) oldest_bidder: i64,
    /// Number of persons to choose from, starting with the oldest.
    pub(super) bidders: u64,
}

impl Bidding {
    #[inline]
    pub(super) fn includes(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Returns bid `number`, which must be one of these.
    ///
    /// Computes both the hot and the other key and selects one without a branch: the choice is unpredictable, and a
    /// misprediction would cost more than the arithmetic.
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
