//! Flink's versions, as far as settings depend on them.

use std::fmt;

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// From then on the parallelism of a running job can be changed.
    pub const IN_PLACE: Self = Self(1, 18);
    /// From then on there is a shortest time between two changes.
    pub const INTERVAL: Self = Self(1, 19);
    /// From then on the settings of checkpoints are below `execution.checkpointing`.
    pub const CHECKPOINT_NAMES: Self = Self(1, 20);
    /// From then on a change waits for a checkpoint, and the settings of the scheduler have their present names.
    pub const TWO: Self = Self(2, 0);
    /// From then on Flink remembers rescales.
    pub const HISTORY: Self = Self(2, 3);

    /// Reads `MAJOR.MINOR…`; [`None`] if it is no version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-']).map(str::parse::<u32>);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
