//! Versions and machine of a run, stored with its results.

use serde::Serialize;
use sysinfo::System;

/// Facts about the machine that a reader of the results needs.
#[derive(Debug, Serialize)]
pub(crate) struct MachineInfo {
    version: &'static str,
    flink_version: Option<String>,
    java_version: Option<String>,
    cores: Option<usize>,
    cpu: Option<String>,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    operating_system: Option<String>,
    kernel: Option<String>,
    /// Runnable processes, averaged over one and five minutes before the run. Above the number of cores, other
    /// processes were active.
    load_before: Option<[f64; 2]>,
}

impl MachineInfo {
    /// Inspects this machine; `flink_version` is the version that Flink reports.
    pub(crate) async fn here(flink_version: Option<String>) -> Self {
        let system = System::new_all().ok();
        let cpu = system.as_ref().and_then(|system| system.cpus().first());
        Self {
            version: version::VERSION,
            flink_version,
            java_version: java_version().await,
            cores: system.as_ref().map(|system| system.cpus().len()),
            cpu: cpu.map(|cpu| cpu.brand().trim().to_owned()),
            memory_bytes: system.as_ref().map(System::total_memory),
            memory_available_bytes: system.as_ref().map(System::available_memory),
            operating_system: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            load_before: System::load_average().ok().map(|load| [load.one, load.five]),
        }
    }
}

/// Returns the first line of `java -version`.
async fn java_version() -> Option<String> {
    let output = tokio::process::Command::new("java").arg("-version").kill_on_drop(true).output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(10), output).await.ok()?.ok()?;
    String::from_utf8_lossy(&output.stderr).lines().next().map(str::to_owned)
}
