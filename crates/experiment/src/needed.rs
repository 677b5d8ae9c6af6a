//! The parallelism that a load needs, from a sweep: runs in which each fixed parallelism of the same job was
//! overloaded.

use serde::{Deserialize, Serialize};

/// Largest load relative to capacity at which a parallelism suffices: without a reserve, a backlog would remain.
const LOAD_SHARE_MAX: f64 = 0.95;
/// A parallelism is right up to this multiple of the smallest sufficient one.
pub(crate) const RIGHT_TIMES_MAX: f64 = 1.5;

/// Measured capacity of one operator by parallelism.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The bottleneck operator.
    pub operator: String,
    /// Date, machine and method of the measurement.
    #[serde(default)]
    pub seen: String,
    /// Capacities in order of parallelism.
    pub capacity: Vec<Capacity>,
}

/// Measured capacity at one parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The operator's parallelism.
    pub width: u32,
    /// Total records per second that the job's sources emitted while more were waiting.
    pub records_per_s: f64,
}

impl Sweep {
    /// Reads a sweep as [`Sweep::text`] writes it.
    ///
    /// # Errors
    /// The problem, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sweep: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let rising = |pair: &[Capacity]| {
            pair[0].width < pair[1].width && pair[0].records_per_s <= pair[1].records_per_s
        };
        if sweep.capacity.is_empty() || !sweep.capacity.windows(2).all(rising) {
            return Err("capacity: widths must increase, and their capacities must not decrease".to_owned());
        }
        Ok(sweep)
    }

    /// Formats the sweep as a file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Measured capacity of each width of {}, by `experiment sweep`.\n\noperator = {:?}\nseen = {:?}\n",
            self.operator, self.operator, self.seen
        );
        for Capacity { width, records_per_s } in &self.capacity {
            text += &format!("\n[[capacity]]\nwidth = {width}\nrecords_per_s = {records_per_s:.1}\n");
        }
        text
    }

    /// Returns the smallest measured parallelism that sustains this load with a reserve, or the largest if none does.
    pub fn least(&self, records_per_s: f64) -> u32 {
        let carries = |capacity: &&Capacity| records_per_s <= LOAD_SHARE_MAX * capacity.records_per_s;
        let widest = self.capacity.last().map_or(1, |capacity| capacity.width);
        self.capacity.iter().find(carries).map_or(widest, |capacity| capacity.width)
    }
}

/// Whether a parallelism is right for a load whose smallest sufficient parallelism is `least`.
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

    /// Goal: the smallest sufficient parallelism has a reserve, unmeasured ones are not assumed, and every load has
    /// an answer.
    #[test]
    fn the_least_width_carries_the_load() {
        let least = [100.0, 950.0, 951.0, 1900.0, 3600.0, 9e9].map(|rate| sweep().least(rate));
        assert_eq!(least, [1, 1, 2, 4, 4, 4]);
        let right =
            [(1, 1), (2, 1), (3, 2), (4, 2), (6, 4), (3, 4)].map(|(width, least)| is_right(width, least));
        assert_eq!(right, [true, false, true, false, true, false]);
    }

    /// Goal: a sweep survives a round trip; an inconsistent one is rejected.
    #[test]
    fn sweeps_survive() {
        assert_eq!(Sweep::parse(&sweep().text()), Ok(sweep()));
        let falling = sweep().text().replace("3800.0", "1.0");
        assert!(Sweep::parse(&falling).is_err());
        assert!(Sweep::parse("operator = \"a\"\ncapacity = []\n").is_err());
    }
}
