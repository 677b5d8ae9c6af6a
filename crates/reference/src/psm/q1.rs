//! PSM Q1: the category with the most clicks of each owner in a tumbling window, and every category of a tie.

use std::collections::BTreeMap;

use events::Event;
use serde::{Deserialize, Serialize};

use crate::windows::tumbling_end;

/// Parameters of Q1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q1Settings {
    /// Length of a window, ms, above 0. Windows begin at whole multiples of it.
    pub window_size_ms: i64,
}

/// One result; its JSON is the job's output record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Q1Row {
    /// Always `q1`.
    pub query: String,
    /// End of the window, ms, exclusive.
    pub window_end: i64,
    /// The owner.
    pub owner: i64,
    /// A category with the owner's highest number of clicks.
    pub category: i64,
    /// Number of the owner's clicks in the category.
    pub clicks: i64,
}

/// Returns the best categories of every window and owner with a click.
pub fn q1<'a>(events: impl IntoIterator<Item = Event<'a>>, settings: Q1Settings) -> Vec<Q1Row> {
    let mut windows: BTreeMap<(i64, i64), BTreeMap<i64, i64>> = BTreeMap::new();
    for event in events {
        if let Event::Click(click) = event {
            let window = (tumbling_end(click.timestamp, settings.window_size_ms), click.owner);
            *windows.entry(window).or_default().entry(click.category).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for ((window_end, owner), categories) in windows {
        let most = categories.values().copied().max().unwrap_or_default();
        for (category, clicks) in categories {
            if clicks == most {
                rows.push(Q1Row { query: "q1".to_owned(), window_end, owner, category, clicks });
            }
        }
    }
    rows
}
