//! PSM Q4: impressions per click of each product with a click in a sliding window.

use events::Event;
use serde::{Deserialize, Serialize};

use super::per_click::per_click;
use crate::Quotient;
use crate::windows::sliding_ends;

/// Parameters of Q4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q4Settings {
    /// Length of a window, ms, above 0.
    pub window_size_ms: i64,
    /// Distance between window starts, ms, above 0. Windows begin at whole multiples of it.
    pub window_slide_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q4Row {
    /// Always `q4`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The product.
    pub product: i64,
    /// Number of its impressions in the window, 0 or more.
    pub impressions: i64,
    /// Number of its clicks in the window, 1 or more.
    pub clicks: i64,
    /// Impressions divided by clicks.
    pub ratio: Quotient,
}

/// Returns one row for every window and product with a click.
pub fn q4<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q4Settings) -> Vec<Q4Row> {
    let windows = |timestamp, product| {
        sliding_ends(timestamp, settings.window_size_ms, settings.window_slide_ms)
            .map(move |window_end| (window_end, product))
    };
    let (mut seen, mut clicked) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Impression(impression) => seen.extend(windows(impression.timestamp, impression.product)),
            Event::Click(click) => clicked.extend(windows(click.timestamp, click.product)),
            _ => {}
        }
    }
    let counts = per_click(seen, clicked).into_iter();
    counts
        .map(|((window_end, product), counts)| Q4Row {
            query: "q4".to_owned(),
            window_end,
            product,
            impressions: counts.events,
            clicks: counts.clicks as i64,
            ratio: counts.ratio(),
        })
        .collect()
}
