//! Test clusters: Kafka and Flink from the testbed, and the project's programs as child processes, configured with
//! the testbed's addresses.
//!
//! A [`TestCluster`] is Kafka and Flink; a [`Tenant`] is one control loop on them: topics, a job name, a config
//! drop's address, a folder. A cluster can have many isolated tenants. It is used by the command `demo`, the
//! end-to-end tests and the command `experiment`. Nothing here makes decisions, depends on a policy or measures.

mod cluster;
mod group;
mod localise;
mod tenant;

pub use cluster::{ClusterOptions, Extras, TestCluster};
pub use group::ProcessGroup;
pub use localise::TenantNames;
pub use tenant::{Tenant, TenantOptions, TestClusterError, free_port};
