//! Kafka and Flink from the testbed, and our own programs beside them as child processes, with configurations that name the
//! testbed's addresses.
//!
//! A [`TestCluster`] is the engines; a [`Tenant`] is one loop on them: topics, a job name, a config drop's address, a folder. One
//! cluster has room for many tenants, which do not see each other. Three users: the command `demo`, the end-to-end tests and the
//! command `experiment`. Nothing here decides anything, knows a policy or measures.

mod cluster;
mod group;
mod localise;
mod tenant;

pub use cluster::{ClusterOptions, Extras, TestCluster};
pub use group::ProcessGroup;
pub use localise::Names;
pub use tenant::{StageError, Tenant, TenantOptions, free_port};
