//! What a stream contains, in numbers that can be compared: for `generate --format count`.

use std::collections::{BTreeMap, HashMap};

use events::Event;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A key is hot if it is referenced more than so many times as often as the average key.
const HOT_TIMES_MEAN: u64 = 5;

/// Counts of a part of the stream; parts can be added in any order.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    kinds: BTreeMap<&'static str, u64>,
    keys: BTreeMap<&'static str, HashMap<i64, u64>>,
    bytes: u64,
    hash: u64,
}

/// The summary as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct SummaryValues {
    events: u64,
    kinds: BTreeMap<&'static str, u64>,
    keys: BTreeMap<&'static str, Keys>,
    bytes: u64,
    hash: String,
}

/// How references are spread over the keys.
#[derive(Debug, Serialize)]
struct Keys {
    /// Different keys that occur.
    distinct: usize,
    /// Share of the references that go to hot keys.
    hot_share: f64,
}

impl Summary {
    /// Counts one event.
    pub(crate) fn count(&mut self, number: u64, event: &Event<'_>, record: &[u8]) {
        *self.kinds.entry(event.kind().name()).or_default() += 1;
        self.bytes += record.len() as u64;
        self.hash = self.hash.wrapping_add(xxh3_64_with_seed(record, number));
        let mut key = |name: &'static str, key: i64| {
            *self.keys.entry(name).or_default().entry(key).or_default() += 1;
        };
        match event {
            Event::Person(event) => key("person.person_id", event.person_id),
            Event::Item(event) => key("item.category_id", event.category_id),
            Event::Auction(event) => key("auction.seller_id", event.seller_id),
            Event::Bid(event) => {
                key("bid.auction_id", event.auction_id);
                key("bid.bidder_id", event.bidder_id);
            }
            Event::Click(event) => {
                key("click.product", event.product);
                key("click.owner", event.owner);
            }
            Event::Impression(event) => key("impression.product", event.product),
            Event::Search(event) => key("search.product", event.product),
        }
    }

    /// Adds the counts of another part.
    pub(crate) fn add(&mut self, other: Summary) {
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (name, keys) in other.keys {
            let own = self.keys.entry(name).or_default();
            for (key, count) in keys {
                *own.entry(key).or_default() += count;
            }
        }
        self.bytes += other.bytes;
        self.hash = self.hash.wrapping_add(other.hash);
    }

    /// What is printed.
    pub(crate) fn figures(self) -> SummaryValues {
        SummaryValues {
            events: self.kinds.values().sum(),
            kinds: self.kinds,
            keys: self.keys.into_iter().map(|(name, keys)| (name, spread(&keys))).collect(),
            bytes: self.bytes,
            hash: format!("{:016x}", self.hash),
        }
    }
}

fn spread(keys: &HashMap<i64, u64>) -> Keys {
    let (distinct, all) = (keys.len(), keys.values().sum::<u64>());
    let hot: u64 = keys.values().filter(|count| **count * distinct as u64 > HOT_TIMES_MEAN * all).sum();
    Keys { distinct, hot_share: hot as f64 / all.max(1) as f64 }
}
