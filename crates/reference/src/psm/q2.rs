//! PSM Q2: the median price of a product's last clicks, repeated every `window_slide` clicks.
//!
//! A window over a number of records depends on their order; here it is the order of the stream, whatever the
//! timestamps. Of an even number of clicks the median is the mean of the two prices in the middle.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use crate::Quotient;

/// Parameters of Q2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q2Settings {
    /// Clicks in a full window, above 0; the first windows of a product have fewer.
    pub window_size: usize,
    /// Number of a product's clicks between rows, above 0.
    pub window_slide: usize,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q2Row {
    /// Always `q2`.
    pub query: String,
    /// The product.
    pub product: i64,
    /// Number of clicks in the window.
    pub clicks: i64,
    /// Median of their prices, cents.
    pub median_price: Quotient,
}

/// Returns the rows of each product in the order of its clicks, by product.
pub fn q2<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q2Settings) -> Vec<Q2Row> {
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for event in events {
        if let Event::Click(click) = event {
            prices.entry(click.product).or_default().push(click.price);
        }
    }
    let mut rows = Vec::new();
    for (product, prices) in prices {
        for end in (1..=prices.len()).filter(|end| end % settings.window_slide == 0) {
            let window = &prices[end.saturating_sub(settings.window_size)..end];
            let median_price = Quotient::median(window.iter().copied());
            rows.push(Q2Row { query: "q2".to_owned(), product, clicks: window.len() as i64, median_price });
        }
    }
    rows
}
