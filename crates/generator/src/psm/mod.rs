//! Generator of the price-comparison site (PSM): products are shown, clicked and searched for.
//!
//! A step is two events: one click or one impression, and one search. Their order is drawn for each step, so that no
//! stream is tied to the even or the odd numbers, and thereby to half of the partitions.

mod catalogue;
mod config;
mod zipf;

use events::{Click, Event, Impression, Kind, Search};

pub use catalogue::{Catalogue, CatalogueError, Product};
pub use config::{PsmConfig, PsmSettings};

use crate::random::EventRandom;
use zipf::Zipf;

/// Lowest click price, cents.
pub const LOWEST_CLICK_CENTS: u64 = 20;
/// Highest click price, cents.
pub const HIGHEST_CLICK_CENTS: u64 = 70;
/// Exclusive upper bound of ranks.
pub const RANKS: u64 = 200;

/// Lanes of an event's random numbers by use.
mod lane {
    pub(super) const PRODUCT: u64 = 0;
    pub(super) const PRODUCT_OR_ALIAS: u64 = 1;
    pub(super) const PRICE: u64 = 2;
    pub(super) const RANK: u64 = 3;
    /// Lane of the step, not of the event.
    pub(super) const ORDER: u64 = 4;
    /// Lane of the step, not of the event.
    pub(super) const CLICK: u64 = 5;
}

/// The generator: settings, seed and catalogue, without mutable state.
#[derive(Debug, Clone)]
pub struct Psm {
    settings: PsmSettings,
    seed: u64,
    /// Seed of the steps' random numbers.
    step_seed: u64,
    catalogue: Catalogue,
    zipf: Option<Zipf>,
}

impl Psm {
    /// Creates a generator from validated settings and a catalogue.
    pub fn new(settings: PsmSettings, seed: u64, catalogue: Catalogue) -> Self {
        let seed = EventRandom::spread_seed(seed);
        let exponent = settings.zipf_exponent;
        let zipf = (exponent > 0.0).then(|| Zipf::new(catalogue.len(), exponent));
        Psm { settings, seed, step_seed: EventRandom::spread_seed(!seed), catalogue, zipf }
    }

    /// Returns the kind of event `number`.
    #[inline]
    pub const fn kind(&self, number: u64) -> Kind {
        let step = EventRandom::new(self.step_seed, number / 2);
        let search_comes_second = step.lane(lane::ORDER) & 1;
        if number & 1 == search_comes_second {
            return Kind::Search;
        }
        // As u128, because a probability of 1 is 2^64.
        if (step.lane(lane::CLICK) as u128) < self.settings.click_threshold {
            Kind::Click
        } else {
            Kind::Impression
        }
    }

    /// Generates event `number`; see [`crate::nexmark::Nexmark::event`] about the time.
    #[inline]
    pub fn event(&self, number: u64, time_ms: impl Fn(u64) -> i64) -> Event<'static> {
        let random = EventRandom::new(self.seed, number);
        let timestamp = time_ms(number);
        let Product { product, category, owner } = self.product(random);
        match self.kind(number) {
            Kind::Search => Event::Search(Search {
                timestamp,
                product,
                category,
                rank: random.below(lane::RANK, RANKS) as i64,
            }),
            Kind::Click => {
                let prices = HIGHEST_CLICK_CENTS - LOWEST_CLICK_CENTS + 1;
                let price = (LOWEST_CLICK_CENTS + random.below(lane::PRICE, prices)) as i64;
                Event::Click(Click { timestamp, product, category, owner, price })
            }
            _ => Event::Impression(Impression { timestamp, product, category }),
        }
    }

    #[inline]
    fn product(&self, random: EventRandom) -> Product {
        let place = random.below(lane::PRODUCT, self.catalogue.len() as u64) as usize;
        let place = match &self.zipf {
            Some(zipf) => zipf.choose(place, random.lane(lane::PRODUCT_OR_ALIAS)),
            None => place,
        };
        self.catalogue.product(place)
    }
}
