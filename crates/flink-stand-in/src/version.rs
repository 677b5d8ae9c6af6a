//! Flink's version, as far as endpoints and fields depend on it.

/// The version if the scenario names none.
const DEFAULT: &str = "1.20.0";

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    /// `/jobs/:id/resource-requirements` exists.
    pub(crate) const REQUIREMENTS: Self = Self(1, 18);
    /// Vertices have a `slotSharingGroupId`.
    pub(crate) const SLOT_SHARING_GROUPS: Self = Self(1, 20);
    /// `/checkpoints` answers also if checkpointing is off.
    pub(crate) const CHECKPOINTS_WITHOUT_CHECKPOINTING: Self = Self(2, 0);
    /// `/jobs/overview` names the scheduler.
    pub(crate) const SCHEDULER_TYPE: Self = Self(2, 3);

    /// Reads `MAJOR.MINOR…`; what is not a number counts as 0.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        Self(parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// The version's text.
pub(crate) fn text(of_scenario: Option<&str>) -> &str {
    of_scenario.unwrap_or(DEFAULT)
}
