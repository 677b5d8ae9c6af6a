//! Prometheus: the distribution's server, scraping Flink's processes.
//!
//! Every Flink process has its own reporter port, from a fixed set claimed at the start, so that task managers can be
//! added and removed without reconfiguration: an unused port is a target that is down.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::folder::{WorkFolder, remove_tree};
use crate::graphite::answers;
use crate::process::{Launcher, Process, ProcessSpec};
use crate::service::{ServiceError, await_ready};

/// The server's service name.
pub(crate) const NAME: &str = "prometheus";
/// Number of ports for Flink's processes: the JobManager has the first, task managers the others.
pub(crate) const REPORTER_PORTS: usize = 9;

/// Inputs of a start.
pub(crate) struct Start<'a> {
    pub(crate) folder: &'a WorkFolder,
    pub(crate) launcher: &'a Launcher,
    pub(crate) program: &'a Path,
    pub(crate) port: u16,
    pub(crate) reporter_ports: &'a [u16],
    pub(crate) deadline: Duration,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) process: Process,
    /// Its URL.
    pub(crate) url: String,
}

impl Start<'_> {
    pub(crate) async fn run(&self) -> Result<Prometheus, ServiceError> {
        let configure_error = |source| ServiceError::Configure { service: NAME, source };
        let data = self.folder.root().join("prometheus-data");
        remove_tree(&data).and_then(|()| fs::create_dir_all(&data)).map_err(configure_error)?;
        let config = self.folder.conf().join("prometheus.yml");
        fs::write(&config, render(self.reporter_ports)).map_err(configure_error)?;
        let program = ProcessSpec::new(NAME, self.program, self.folder.log_of(NAME))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .arg("--log.level=warn");
        let process = self.launcher.launch(&program)?;
        await_ready(&[&process], &process, self.deadline, async || answers(self.port, "/-/ready").await)
            .await?;
        Ok(Prometheus { process, url: format!("http://127.0.0.1:{}", self.port) })
    }
}

/// Renders the configuration: one scrape per second of every port.
fn render(ports: &[u16]) -> String {
    let mut text = String::from(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: flink\n    \
         static_configs:\n      - targets:\n",
    );
    for port in ports {
        let _infallible = writeln!(text, "          - \"127.0.0.1:{port}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reporter_port_is_scraped() {
        let text = render(&[1000, 1001]);
        assert!(text.contains("scrape_interval: 1s"));
        assert!(text.ends_with("          - \"127.0.0.1:1000\"\n          - \"127.0.0.1:1001\"\n"), "{text}");
    }
}
