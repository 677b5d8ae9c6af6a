//! PSM Q3: the median click price of each owner in a tumbling window.
//!
//! Of an even number of clicks the median is the mean of the two prices in the middle.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use crate::Quotient;
use crate::windows::tumbling_end;

/// Parameters of Q3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q3Settings {
    /// Length of a window, ms, above 0. Windows begin at whole multiples of it.
    pub window_size_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q3Row {
    /// Always `q3`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The owner.
    pub owner: i64,
    /// Number of the owner's clicks in the window.
    pub clicks: i64,
    /// Median of their prices, cents.
    pub median_price: Quotient,
}

/// Returns one row for every window and owner with a click.
pub fn q3<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q3Settings) -> Vec<Q3Row> {
    let mut prices: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for event in events {
        if let Event::Click(click) = event {
            let window_end = tumbling_end(click.timestamp, settings.window_size_ms);
            prices.entry((window_end, click.owner)).or_default().push(click.price);
        }
    }
    let row = |((window_end, owner), prices): ((i64, i64), Vec<i64>)| Q3Row {
        query: "q3".to_owned(),
        window_end,
        owner,
        clicks: prices.len() as i64,
        median_price: Quotient::median(prices),
    };
    prices.into_iter().map(row).collect()
}
