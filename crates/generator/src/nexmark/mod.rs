//! Generator of the NexMark benchmark's auction site: persons register, items are offered, auctions are opened, bids
//! are placed.
//!
//! The numbers are divided into epochs of equal composition. One epoch of the standard mix is 1 person, then 3 times
//! an item and its auction, then 46 bids: 53 events, each of them one Kafka record. Ids count the events of a kind,
//! so the newest id of every kind follows from the event number alone, and every reference is drawn from nearby ids.
//!
//! Hot keys, active persons, leads, price range and auction lengths follow the NexMark generator of Apache Beam (Pete
//! Tucker, Kristin Tufte, Vassilis Papadimos, David Maier: "NEXMark – a benchmark for queries over data streams");
//! the fields are those of this project's wire format.

mod bidding;
mod config;
mod mix;
mod names;
mod price;

use events::{Auction, Event, Item, Kind, Person};

pub(crate) use bidding::Bidding;
pub use config::{AuctionLength, NexmarkConfig, NexmarkSettings, Preset};
pub use mix::{Counts, Mix};

use crate::random::{EventRandom, two_below};
use crate::text::Scratch;
use price::PriceScale;

/// First id of persons. The kinds begin at different ids, so that an id in the wrong field is noticed.
pub const FIRST_PERSON_ID: i64 = 1_000;
/// First id of items.
pub const FIRST_ITEM_ID: i64 = 2_000;
/// First id of auctions.
pub const FIRST_AUCTION_ID: i64 = 3_000;
/// First id of bids.
pub const FIRST_BID_ID: i64 = 4_000;

/// The first of this many consecutive ids is the hot key until the next such batch begins (NexMark: 100).
pub const HOT_KEY_BATCH: u64 = 100;

/// Lanes of an event's random numbers by use. Strings take lanes from [`lane::TEXT`] on, a block each.
mod lane {
    pub(super) const HOT: u64 = 0;
    pub(super) const KEYS: u64 = 1;
    pub(super) const PRICE: u64 = 2;
    pub(super) const RESERVE: u64 = 3;
    pub(super) const LENGTH: u64 = 4;
    pub(super) const CATEGORY: u64 = 5;
    pub(super) const TEXT: u64 = 1 << 32;
    pub(super) const TEXT_BLOCK: u64 = 1 << 32;
}

/// The generator: settings and seed, without mutable state.
#[derive(Debug, Clone)]
pub struct Nexmark {
    settings: NexmarkSettings,
    seed: u64,
    prices: PriceScale,
    horizon_events: u64,
}

/// Persons by index, from 0.
#[derive(Debug, Clone, Copy)]
struct Persons {
    newest: u64,
    /// The first of the newest batch.
    hot: u64,
    /// The oldest active one.
    oldest: u64,
    active: u64,
}

impl Nexmark {
    /// Creates a generator from validated settings.
    pub fn new(settings: NexmarkSettings, seed: u64) -> Self {
        let mix = settings.mix;
        let horizon_events = settings.in_flight_auctions.saturating_mul(mix.epoch()) / mix.auctions();
        Nexmark { settings, seed: EventRandom::spread_seed(seed), prices: PriceScale::new(), horizon_events }
    }

    /// Returns the composition of the stream.
    pub const fn mix(&self) -> &Mix {
        &self.settings.mix
    }

    /// Generates event `number`, with its strings in `scratch`.
    ///
    /// `time_ms` returns the event time of a number in ms since the epoch. It must not decrease, and is also called
    /// for later numbers, because the length of an auction depends on when others follow.
    #[inline]
    pub fn event<'s>(
        &self,
        number: u64,
        time_ms: impl Fn(u64) -> i64,
        scratch: &'s mut Scratch,
    ) -> Event<'s> {
        let (kind, counts) = self.settings.mix.locate(number);
        match kind {
            Kind::Bid => Event::Bid(self.bidding(number).bid(self, number, time_ms(number))),
            _ => self.other(kind, counts, number, time_ms, scratch),
        }
    }

    /// Appends the record of event `number` to `out` and returns its timestamp: [`Nexmark::event`] and
    /// [`Event::encode`] in one. Nine of ten events are bids: these are encoded from registers, and the common values
    /// of an epoch's bids are cached in `bidding`, which must be of this generator.
    #[inline]
    pub(crate) fn encode(
        &self,
        number: u64,
        time_ms: impl Fn(u64) -> i64,
        scratch: &mut Scratch,
        bidding: &mut Bidding,
        out: &mut Vec<u8>,
    ) -> i64 {
        if !bidding.includes(number) {
            let (kind, counts) = self.settings.mix.locate(number);
            if kind != Kind::Bid {
                let event = self.other(kind, counts, number, time_ms, scratch);
                event.encode(out);
                return event.timestamp();
            }
            *bidding = self.bidding(number);
        }
        let timestamp = time_ms(number);
        bidding.bid(self, number, timestamp).encode(out);
        timestamp
    }

    #[inline]
    const fn random(&self, number: u64) -> EventRandom {
        EventRandom::new(self.seed, number)
    }

    /// Generates event `number` if it is not a bid.
    fn other<'s>(
        &self,
        kind: Kind,
        counts: Counts,
        number: u64,
        time_ms: impl Fn(u64) -> i64,
        scratch: &'s mut Scratch,
    ) -> Event<'s> {
        let (timestamp, random) = (time_ms(number), self.random(number));
        match kind {
            Kind::Auction => {
                let length = self.auction_length_ms(number, timestamp, time_ms, random);
                Event::Auction(self.auction(timestamp, length, counts, random))
            }
            Kind::Item => Event::Item(self.item(timestamp, counts, random, scratch)),
            _ => Event::Person(self.person(timestamp, counts, random, scratch)),
        }
    }

    /// Computes the common values of the bids in the epoch of `number`.
    fn bidding(&self, number: u64) -> Bidding {
        let settings = &self.settings;
        let (numbers, counts) = settings.mix.bids_around(number);
        let newest = counts.auctions.saturating_sub(1);
        let oldest = newest.saturating_sub(settings.in_flight_auctions);
        let persons = self.persons(counts);
        // The second of the batch, so that hot bidder and hot seller differ.
        let hot_bidder = (persons.hot + 1).min(persons.newest + settings.person_lead);
        Bidding {
            numbers,
            first_bid_id: FIRST_BID_ID + counts.bids as i64,
            hot_auction: FIRST_AUCTION_ID + (newest / HOT_KEY_BATCH * HOT_KEY_BATCH) as i64,
            oldest_auction: FIRST_AUCTION_ID + oldest as i64,
            auctions: newest - oldest + 1 + settings.auction_lead,
            hot_bidder: FIRST_PERSON_ID + hot_bidder as i64,
            oldest_bidder: FIRST_PERSON_ID + persons.oldest as i64,
            bidders: persons.active + settings.person_lead,
        }
    }

    fn auction(&self, timestamp: i64, length_ms: i64, counts: Counts, random: EventRandom) -> Auction {
        let initial_price = self.prices.price_cents(random.lane(lane::PRICE));
        let persons = self.persons(counts);
        let (_, person) = two_below(random.lane(lane::KEYS), 0, persons.active + self.settings.person_lead);
        let is_hot = random.below(lane::HOT, self.settings.hot_seller_ratio) > 0;
        let seller = if is_hot { persons.hot } else { persons.oldest + person };
        Auction {
            timestamp,
            auction_id: FIRST_AUCTION_ID + counts.auctions as i64,
            item_id: FIRST_ITEM_ID + counts.auctions as i64,
            seller_id: FIRST_PERSON_ID + seller as i64,
            initial_price,
            reserve: initial_price + self.prices.price_cents(random.lane(lane::RESERVE)),
            start: timestamp,
            end: timestamp.saturating_add(length_ms),
        }
    }

    /// Returns the persons that can be referenced.
    #[inline]
    fn persons(&self, counts: Counts) -> Persons {
        let active = counts.persons.min(self.settings.active_persons);
        let newest = counts.persons.saturating_sub(1);
        Persons {
            newest,
            hot: newest / HOT_KEY_BATCH * HOT_KEY_BATCH,
            oldest: counts.persons - active,
            active,
        }
    }

    /// By the horizon: uniform from 1 ms to twice the event time in which as many auctions follow as must be open at
    /// a time. Their mean lifetime is then that time, so their number is constant at any rate.
    fn auction_length_ms(
        &self,
        number: u64,
        now: i64,
        time_ms: impl Fn(u64) -> i64,
        random: EventRandom,
    ) -> i64 {
        match self.settings.auction_length {
            AuctionLength::Between { from_ms, to_ms } => {
                from_ms + random.below(lane::LENGTH, (to_ms - from_ms) as u64 + 1) as i64
            }
            AuctionLength::ByHorizon => {
                let horizon = time_ms(number.saturating_add(self.horizon_events)).saturating_sub(now).max(0);
                1 + random.below(lane::LENGTH, (horizon as u64).saturating_mul(2).max(1)) as i64
            }
        }
    }

    fn item<'s>(
        &self,
        timestamp: i64,
        counts: Counts,
        random: EventRandom,
        scratch: &'s mut Scratch,
    ) -> Item<'s> {
        let mut text = scratch.writer();
        text.push(names::pick(names::ITEMS, random.lane(lane::TEXT)));
        text.push(" ");
        text.fill_to(self.settings.item_name_bytes, random, lane::TEXT + lane::TEXT_BLOCK);
        text.end();
        text.fill_to(self.settings.description_bytes, random, lane::TEXT + 2 * lane::TEXT_BLOCK);
        text.end();
        let [name, description, ..] = text.finish();
        Item {
            timestamp,
            item_id: FIRST_ITEM_ID + counts.items as i64,
            category_id: random.below(lane::CATEGORY, self.settings.categories) as i64,
            name,
            description,
        }
    }

    fn person<'s>(
        &self,
        timestamp: i64,
        counts: Counts,
        random: EventRandom,
        scratch: &'s mut Scratch,
    ) -> Person<'s> {
        let settings = &self.settings;
        let pick = |table: &[&'static str], which: u64| names::pick(table, random.lane(lane::TEXT + which));
        let (first, last) = (pick(names::FIRST, 0), pick(names::LAST, 1));
        let mut text = scratch.writer();
        for part in [first, " ", last] {
            text.push(part);
        }
        text.fill_to(settings.person_name_bytes, random, lane::TEXT + lane::TEXT_BLOCK);
        text.end();
        text.push(last);
        text.push_digits(counts.persons, 1);
        text.push("@example.org");
        text.fill_to(settings.email_bytes, random, lane::TEXT + 2 * lane::TEXT_BLOCK);
        text.end();
        text.push_digits(random.below(lane::TEXT + 2, 10_000_000_000_000_000), 16);
        text.end();
        text.push(pick(names::CITIES, 3));
        text.fill_to(settings.city_bytes, random, lane::TEXT + 3 * lane::TEXT_BLOCK);
        text.end();
        text.push(pick(names::STATES, 4));
        text.end();
        let [name, email, credit_card, city, state] = text.finish();
        let person_id = FIRST_PERSON_ID + counts.persons as i64;
        Person { timestamp, person_id, name, email, credit_card, city, state }
    }
}
