//! Flink versions that matter for the settings.

use std::fmt;

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// First version that can rescale a running job.
    pub const IN_PLACE: Self = Self(1, 18);
    /// First version with a shortest time between two changes.
    pub const INTERVAL: Self = Self(1, 19);
    /// First version with checkpoint settings below `execution.checkpointing`.
    pub const CHECKPOINT_NAMES: Self = Self(1, 20);
    /// First version in which a rescale waits for a checkpoint, with the current names of the scheduler's settings.
    pub const TWO: Self = Self(2, 0);
    /// First version with a rescale history.
    pub const HISTORY: Self = Self(2, 3);

    /// Parses `MAJOR.MINOR…`; [`None`] if it is malformed.
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
