//! PSM Q5: searches per click of each product with a click in a tumbling window.

use events::Event;
use serde::{Deserialize, Serialize};

use super::per_click::per_click;
use crate::Quotient;
use crate::windows::tumbling_end;

/// Parameters of Q5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q5Settings {
    /// Length of a window, ms, above 0. Windows begin at whole multiples of it.
    pub window_size_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q5Row {
    /// Always `q5`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The product.
    pub product: i64,
    /// Number of its searches in the window, 0 or more.
    pub searches: i64,
    /// Number of its clicks in the window, 1 or more.
    pub clicks: i64,
    /// Searches divided by clicks.
    pub ratio: Quotient,
}

/// Returns one row for every window and product with a click.
pub fn q5<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q5Settings) -> Vec<Q5Row> {
    let window = |timestamp| tumbling_end(timestamp, settings.window_size_ms);
    let (mut seen, mut clicked) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Search(search) => seen.push((window(search.timestamp), search.product)),
            Event::Click(click) => clicked.push((window(click.timestamp), click.product)),
            _ => {}
        }
    }
    let counts = per_click(seen, clicked).into_iter();
    counts
        .map(|((window_end, product), counts)| Q5Row {
            query: "q5".to_owned(),
            window_end,
            product,
            searches: counts.events,
            clicks: counts.clicks as i64,
            ratio: counts.ratio(),
        })
        .collect()
}
