//! Flink versions that matter for endpoints and fields.

/// Version of a scenario without one.
const DEFAULT: &str = "1.20.0";

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    /// First version with `/jobs/:id/resource-requirements`.
    pub(crate) const REQUIREMENTS: Self = Self(1, 18);
    /// First version with `slotSharingGroupId` of vertices.
    pub(crate) const SLOT_SHARING_GROUPS: Self = Self(1, 20);
    /// First version in which `/checkpoints` responds even if checkpointing is off.
    pub(crate) const CHECKPOINTS_WITHOUT_CHECKPOINTING: Self = Self(2, 0);
    /// First version with the scheduler in `/jobs/overview`.
    pub(crate) const SCHEDULER_TYPE: Self = Self(2, 3);

    /// Parses `MAJOR.MINOR…`; invalid numbers count as 0.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        Self(parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// Returns the version's text.
pub(crate) fn text(of_scenario: Option<&str>) -> &str {
    of_scenario.unwrap_or(DEFAULT)
}
