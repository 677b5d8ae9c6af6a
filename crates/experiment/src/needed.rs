//! What width a load needs: from a sweep, in which fixed widths of the same job were overloaded one by one.

use serde::{Deserialize, Serialize};

/// A width carries a load for good only if it could carry some more: otherwise a backlog that has come up once stays.
const LOAD_SHARE_MAX: f64 = 0.95;
/// A width is right up to so many times the least one.
pub(crate) const RIGHT_TIMES_MAX: f64 = 1.5;

/// What each width of one operator was seen to carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The operator that holds the others up.
    pub operator: String,
    /// When, on what, how.
    #[serde(default)]
    pub seen: String,
    /// In the order of the widths.
    pub capacity: Vec<Capacity>,
}

/// What a width was seen to carry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The operator's parallelism.
    pub width: u32,
    /// Records that the job's sources handed on each second, all together, while more were waiting.
    pub records_per_s: f64,
}

impl Sweep {
    /// Reads a sweep as [`Sweep::text`] writes it.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sweep: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let rising = |pair: &[Capacity]| {
            pair[0].width < pair[1].width && pair[0].records_per_s <= pair[1].records_per_s
        };
        if sweep.capacity.is_empty() || !sweep.capacity.windows(2).all(rising) {
            return Err("capacity: widths must rise, and what they carry must not fall".to_owned());
        }
        Ok(sweep)
    }

    /// The sweep as a file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# What each width of {} was seen to carry, by `experiment sweep`.\n\noperator = {:?}\nseen = {:?}\n",
            self.operator, self.operator, self.seen
        );
        for Capacity { width, records_per_s } in &self.capacity {
            text += &format!("\n[[capacity]]\nwidth = {width}\nrecords_per_s = {records_per_s:.1}\n");
        }
        text
    }

    /// The least width that was seen to carry this load with some room; the widest one if none does.
    pub fn least(&self, records_per_s: f64) -> u32 {
        let carries = |capacity: &&Capacity| records_per_s <= LOAD_SHARE_MAX * capacity.records_per_s;
        let widest = self.capacity.last().map_or(1, |capacity| capacity.width);
        self.capacity.iter().find(carries).map_or(widest, |capacity| capacity.width)
    }
}

/// Whether a width is right for a load of which this is the least.
pub(crate) fn is_right(width: u32, least: u32) -> bool {
    width >= least && f64::from(width) <= RIGHT_TIMES_MAX * f64::from(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Sweep {
        let capacity = [(1, 1000.0), (2, 1900.0), (4, 3800.0)];
        let capacity = capacity.map(|(width, records_per_s)| Capacity { width, records_per_s }).to_vec();
        Sweep { operator: "q7-bid-item".to_owned(), seen: "today".to_owned(), capacity }
    }

    /// Goal: the least width has room to spare, widths that were not seen are not assumed, and no load is without an answer.
    #[test]
    fn the_least_width_carries_the_load() {
        let least = [100.0, 950.0, 951.0, 1900.0, 3600.0, 9e9].map(|rate| sweep().least(rate));
        assert_eq!(least, [1, 1, 2, 4, 4, 4]);
        let right =
            [(1, 1), (2, 1), (3, 2), (4, 2), (6, 4), (3, 4)].map(|(width, least)| is_right(width, least));
        assert_eq!(right, [true, false, true, false, true, false]);
    }

    /// Goal: a sweep is read as it is written; one that makes no sense is refused.
    #[test]
    fn sweeps_survive() {
        assert_eq!(Sweep::parse(&sweep().text()), Ok(sweep()));
        let falling = sweep().text().replace("3800.0", "1.0");
        assert!(Sweep::parse(&falling).is_err());
        assert!(Sweep::parse("operator = \"a\"\ncapacity = []\n").is_err());
    }
}
