//! NexMark Q8: persons who registered and opened an auction in the same tumbling window.

use std::collections::HashMap;

use events::Event;
use serde::{Deserialize, Serialize};

use crate::windows::tumbling_end;

/// Parameters of Q8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q8Settings {
    /// Length of a window, ms, above 0. Windows begin at whole multiples of it.
    pub window_size_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q8Row {
    /// Always `q8`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The person who registered.
    pub person_id: i64,
    /// That person's name.
    pub name: String,
    /// An auction opened by that person.
    pub auction_id: i64,
}

/// Returns one row for every auction whose seller registered in the same window, before or after it.
pub fn q8<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q8Settings) -> Vec<Q8Row> {
    let window_of = |timestamp| tumbling_end(timestamp, settings.window_size_ms);
    let (mut names, mut auctions) = (HashMap::new(), Vec::new());
    for event in events {
        match event {
            Event::Person(person) => {
                let registered = (window_of(person.timestamp), person.person_id);
                names.insert(registered, person.name);
            }
            Event::Auction(auction) => auctions.push(auction),
            _ => {}
        }
    }
    let row = |auction: &events::Auction| {
        let (window_end, person_id) = (window_of(auction.timestamp), auction.seller_id);
        let name = names.get(&(window_end, person_id))?;
        Some(Q8Row {
            query: "q8".to_owned(),
            window_end,
            person_id,
            name: (*name).to_owned(),
            auction_id: auction.auction_id,
        })
    };
    let mut rows: Vec<Q8Row> = auctions.iter().filter_map(row).collect();
    rows.sort();
    rows
}
