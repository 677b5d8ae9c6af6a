//! Metrics of the machine itself, for hosts without another agent. Off by default.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sysinfo::{Networks, System};

/// Metrics of the machine at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HostMetrics {
    /// Its name.
    pub(crate) host: String,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// Busy share of all cores since the previous sample, 0 to 1; `None` at the first one.
    pub(crate) cpu_ratio: Option<f32>,
    /// Memory not available to programs, in bytes.
    pub(crate) memory_used_bytes: u64,
    /// Total memory, in bytes.
    pub(crate) memory_total_bytes: u64,
    /// Bytes received since boot, without loopback.
    pub(crate) network_received_bytes: u64,
    /// Bytes sent since boot, without loopback.
    pub(crate) network_sent_bytes: u64,
}

impl HostMetrics {
    /// Returns all known values, by name with the unit last.
    pub(crate) fn known(&self) -> Vec<(&'static str, f64)> {
        let whole = [
            ("memory_used_bytes", self.memory_used_bytes),
            ("memory_total_bytes", self.memory_total_bytes),
            ("network_received_bytes", self.network_received_bytes),
            ("network_sent_bytes", self.network_sent_bytes),
        ];
        // Four decimals: more are noise.
        let cpu = self.cpu_ratio.map(|ratio| ("cpu_ratio", (f64::from(ratio) * 1e4).round() / 1e4));
        cpu.into_iter().chain(whole.map(|(name, value)| (name, value as f64))).collect()
    }
}

/// Reads the machine's metrics.
pub(crate) struct HostReader {
    name: String,
    system: System,
    networks: Networks,
    has_looked: bool,
}

impl HostReader {
    /// Creates a reader; an empty name stands for the system's host name.
    ///
    /// # Errors
    /// The system's metrics are unavailable.
    pub(crate) fn new(name: &str) -> Result<Self, sysinfo::Error> {
        let name = if name.is_empty() { System::host_name()? } else { name.to_owned() };
        Ok(Self { name, system: System::new()?, networks: Networks::new()?, has_looked: false })
    }

    pub(crate) fn sample(&mut self) -> HostMetrics {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let outside = || self.networks.iter().filter(|(name, _)| *name != "lo");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let total = self.system.total_memory();
        HostMetrics {
            host: self.name.clone(),
            at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            cpu_ratio: std::mem::replace(&mut self.has_looked, true)
                .then(|| self.system.global_cpu_usage() / 100.0),
            memory_used_bytes: total.saturating_sub(self.system.available_memory()),
            memory_total_bytes: total,
            network_received_bytes: outside().map(|(_, network)| network.total_received()).sum(),
            network_sent_bytes: outside().map(|(_, network)| network.total_transmitted()).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_cpu_is_known_from_the_second_look_on() {
        let mut reader = HostReader::new("").unwrap();
        let first = reader.sample();
        assert!(!first.host.is_empty() && first.cpu_ratio.is_none());
        assert!(0 < first.memory_used_bytes && first.memory_used_bytes < first.memory_total_bytes);
        let second = reader.sample();
        assert!(second.cpu_ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)), "{second:?}");
        assert_eq!(second.known().len(), 5);
        assert_eq!(HostReader::new("tm1").unwrap().sample().host, "tm1");
    }
}
