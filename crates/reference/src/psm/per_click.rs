//! The number of events of one kind per click, shared by the queries Q4 and Q5.
//!
//! Events and clicks are joined by product and window; a window without a click has no row. The ratio is one division
//! of the two numbers.

use std::collections::BTreeMap;

use crate::Quotient;

/// Counts of one product in one window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) events: i64,
    pub(super) clicks: usize,
}

impl Counts {
    pub(super) fn ratio(self) -> Quotient {
        Quotient::new(self.events, self.clicks)
    }
}

/// Returns the counts of every window (by its end) and product with a click. `seen` are window and product of the
/// events, `clicked` those of the clicks.
pub(super) fn per_click(
    seen: impl IntoIterator<Item = (i64, i64)>,
    clicked: impl IntoIterator<Item = (i64, i64)>,
) -> BTreeMap<(i64, i64), Counts> {
    let mut counts: BTreeMap<(i64, i64), Counts> = BTreeMap::new();
    for window in clicked {
        counts.entry(window).or_default().clicks += 1;
    }
    for window in seen {
        if let Some(counts) = counts.get_mut(&window) {
            counts.events += 1;
        }
    }
    counts
}
