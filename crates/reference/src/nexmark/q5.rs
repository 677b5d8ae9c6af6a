//! NexMark Q5: the item with the most bids in each sliding window, and every item of a tie.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use super::auctions::accepted_bids;
use crate::windows::sliding_ends;

/// Parameters of Q5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q5Settings {
    /// Length of a window, ms, above 0.
    pub window_size_ms: i64,
    /// Distance between window starts, ms, above 0. Windows begin at whole multiples of it.
    pub window_slide_ms: i64,
    /// How long a bid waits for its auction, ms.
    pub waiting_horizon_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q5Row {
    /// Always `q5`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The item.
    pub item_id: i64,
    /// Number of its bids in the window.
    pub bids: i64,
}

/// Returns the hottest items of every window with a bid, by window, then by item.
pub fn q5<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q5Settings) -> Vec<Q5Row> {
    let mut windows: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
    for bid in accepted_bids(events, settings.waiting_horizon_ms) {
        for window_end in sliding_ends(bid.time, settings.window_size_ms, settings.window_slide_ms) {
            *windows.entry(window_end).or_default().entry(bid.item_id).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for (window_end, items) in windows {
        let most = items.values().copied().max().unwrap_or_default();
        for (item_id, bids) in items {
            if bids == most {
                rows.push(Q5Row { query: "q5".to_owned(), window_end, item_id, bids });
            }
        }
    }
    rows
}
