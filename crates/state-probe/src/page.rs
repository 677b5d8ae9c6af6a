//! The page that Prometheus reads; pure functions.
//!
//! A source whose newest sample failed has no values and is only marked as down: a stale value would look like a
//! fresh one.

use http_server::{MetricsPage, Samples};

use crate::probe_state::{ProbeState, SourceStatus};

/// Name, type and help of a source's metrics; durations are in seconds, by convention.
const FIGURES: [(&str, &str); 5] = [
    ("size_bytes", "Size of one copy; source flink: size of what a restore reads."),
    ("size_with_replicas_bytes", "Size of all copies."),
    ("files", "Regular files."),
    ("folders", "Folders, including the requested one."),
    ("checkpointed_bytes", "Bytes written by the newest checkpoint itself."),
];

/// Builds the whole page; every name has the prefix.
pub(crate) fn page(prefix: &str, state: &ProbeState) -> MetricsPage {
    let mut page = Page { prefix, metrics: MetricsPage::default() };
    page.sources(&state.sources());
    page.host(state);
    if let Some(graphite) = state.graphite() {
        page.gauge("graphite_connected", "Whether carbon is connected.").add(&[], graphite.is_connected);
        page.gauge("graphite_buffered_lines", "Lines waiting for carbon.").add(&[], graphite.buffered);
        page.counter("graphite_sent_lines_total", "Lines sent.").add(&[], graphite.sent);
        page.counter("graphite_dropped_lines_total", "Lines dropped, oldest first.")
            .add(&[], graphite.dropped);
    }
    page.counter("json_dropped_lines_total", "Lines of JSON that were not read in time.")
        .add(&[], state.lines_dropped());
    page.metrics
}

struct Page<'a> {
    prefix: &'a str,
    metrics: MetricsPage,
}

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.metrics.gauge(format!("{}_{name}", self.prefix), help)
    }

    fn counter(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.metrics.counter(format!("{}_{name}", self.prefix), help)
    }

    fn sources(&mut self, sources: &[SourceStatus]) {
        let fresh: Vec<_> = sources
            .iter()
            .filter_map(|status| Some((status, status.newest.as_ref()?.1.as_ref().ok()?)))
            .collect();
        for (figure, help) in FIGURES {
            let mut samples = self.gauge(figure, help);
            for (status, sample) in &fresh {
                let value = sample.known().find(|(name, _)| *name == figure).map(|(_, value)| value);
                samples.add_known(&labels(status), value);
            }
        }
        let mut durations = self.gauge("measurement_duration_seconds", "Duration of the newest measurement.");
        for (status, sample) in &fresh {
            durations.add(&labels(status), seconds(sample.duration_ms));
        }
        let help = "Beginning of the newest measurement, since the Unix epoch.";
        let mut timestamps = self.gauge("measurement_timestamp_seconds", help);
        for (status, sample) in &fresh {
            timestamps.add(&labels(status), seconds(sample.at_ms));
        }
        let mut up = self.gauge("up", "Whether the newest measurement gave figures.");
        for status in sources {
            let is_up = status.newest.as_ref().map(|(_, result)| result.is_ok());
            up.add_known(&labels(status), is_up);
        }
        let mut measurements = self.counter("measurements_total", "Measurements with figures.");
        sources.iter().for_each(|status| measurements.add(&labels(status), status.samples));
        let mut failures = self.counter("failures_total", "Measurements that failed.");
        sources.iter().for_each(|status| failures.add(&labels(status), status.failures));
    }

    fn host(&mut self, state: &ProbeState) {
        let Some(host) = state.host() else { return };
        for (figure, value) in host.known() {
            let mut samples = match figure.starts_with("network_") {
                true => self.counter(&format!("host_{figure}_total"), "Of the machine."),
                false => self.gauge(&format!("host_{figure}"), "Of the machine."),
            };
            samples.add(&[("host", &host.host)], value);
        }
    }
}

fn labels(status: &SourceStatus) -> [(&str, &str); 3] {
    [("job", &status.job), ("name", &status.name), ("source", status.kind.as_str())]
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawSource;
    use crate::host::HostMetrics;
    use crate::probe_state::GraphiteCounts;
    use crate::sample::{Kind, Sample, SampleValues};

    fn sample(size_bytes: u64) -> Sample {
        let figures = SampleValues { size_bytes, files: Some(2), ..SampleValues::default() };
        let (name, job) = ("a".to_owned(), "my \"job\"".to_owned());
        Sample { name, source: Kind::Local, job, figures, at_ms: 1_700_000_000_007, duration_ms: 12 }
    }

    fn state() -> ProbeState {
        let written = RawSource {
            kind: Some(Kind::Local),
            name: Some("a".to_owned()),
            path: Some("/x".to_owned()),
            ..RawSource::default()
        };
        ProbeState::new(&[written.check("my \"job\"", 1000).unwrap()])
    }

    fn text(state: &ProbeState) -> String {
        page("p", state).into_text()
    }

    /// Goal: values are present while the newest sample is good, absent after a failure, and present again later;
    /// counters continue.
    #[test]
    fn a_failed_look_takes_its_figures_along() {
        let state = state();
        let labels = r#"{job="my \"job\"",name="a",source="local"}"#;
        assert!(!text(&state).contains("p_up{"), "nothing is known before the first measurement");

        assert!(state.note("a", Ok(sample(77))).is_none());
        let good = text(&state);
        for line in [
            format!("p_size_bytes{labels} 77"),
            format!("p_files{labels} 2"),
            format!("p_up{labels} 1"),
            format!("p_measurement_duration_seconds{labels} 0.012"),
            format!("p_measurement_timestamp_seconds{labels} 1700000000.007"),
        ] {
            assert!(good.lines().any(|found| found == line), "{line} is missing in\n{good}");
        }
        assert!(!good.contains("p_folders{"), "what is not known is not there:\n{good}");

        assert!(state.note("a", Err("down".to_owned())).unwrap().is_ok());
        let bad = text(&state);
        assert!(!bad.contains("p_size_bytes{") && bad.contains(&format!("p_up{labels} 0")), "{bad}");
        state.note("a", Ok(sample(78)));
        let again = text(&state);
        assert!(again.contains(&format!("p_size_bytes{labels} 78")), "{again}");
        assert!(again.contains(&format!("p_failures_total{labels} 1")), "{again}");
    }

    /// Goal: names, types, labels, help texts and units stay.
    #[test]
    fn the_page_stays() {
        let state = state();
        let all = SampleValues {
            size_with_replicas_bytes: Some(154),
            folders: Some(1),
            checkpointed_bytes: Some(7),
            ..sample(77).figures
        };
        state.note("a", Ok(Sample { figures: all, ..sample(77) }));
        state.note_graphite(GraphiteCounts { is_connected: true, buffered: 3, sent: 4, dropped: 5 });
        state.note_host(HostMetrics {
            host: "h1".to_owned(),
            at_ms: 0,
            cpu_ratio: Some(0.123_456),
            memory_used_bytes: 10,
            memory_total_bytes: 20,
            network_received_bytes: 30,
            network_sent_bytes: 40,
        });
        let labels = r#"{job="my \"job\"",name="a",source="local"}"#;
        assert_eq!(text(&state), EXPECTED.replace("{}", labels));
    }

    const EXPECTED: &str = "\
# HELP p_size_bytes Size of one copy; source flink: size of what a restore reads.
# TYPE p_size_bytes gauge
p_size_bytes{} 77
# HELP p_size_with_replicas_bytes Size of all copies.
# TYPE p_size_with_replicas_bytes gauge
p_size_with_replicas_bytes{} 154
# HELP p_files Regular files.
# TYPE p_files gauge
p_files{} 2
# HELP p_folders Folders, including the requested one.
# TYPE p_folders gauge
p_folders{} 1
# HELP p_checkpointed_bytes Bytes written by the newest checkpoint itself.
# TYPE p_checkpointed_bytes gauge
p_checkpointed_bytes{} 7
# HELP p_measurement_duration_seconds Duration of the newest measurement.
# TYPE p_measurement_duration_seconds gauge
p_measurement_duration_seconds{} 0.012
# HELP p_measurement_timestamp_seconds Beginning of the newest measurement, since the Unix epoch.
# TYPE p_measurement_timestamp_seconds gauge
p_measurement_timestamp_seconds{} 1700000000.007
# HELP p_up Whether the newest measurement gave figures.
# TYPE p_up gauge
p_up{} 1
# HELP p_measurements_total Measurements with figures.
# TYPE p_measurements_total counter
p_measurements_total{} 1
# HELP p_failures_total Measurements that failed.
# TYPE p_failures_total counter
p_failures_total{} 0
# HELP p_host_cpu_ratio Of the machine.
# TYPE p_host_cpu_ratio gauge
p_host_cpu_ratio{host=\"h1\"} 0.1235
# HELP p_host_memory_used_bytes Of the machine.
# TYPE p_host_memory_used_bytes gauge
p_host_memory_used_bytes{host=\"h1\"} 10
# HELP p_host_memory_total_bytes Of the machine.
# TYPE p_host_memory_total_bytes gauge
p_host_memory_total_bytes{host=\"h1\"} 20
# HELP p_host_network_received_bytes_total Of the machine.
# TYPE p_host_network_received_bytes_total counter
p_host_network_received_bytes_total{host=\"h1\"} 30
# HELP p_host_network_sent_bytes_total Of the machine.
# TYPE p_host_network_sent_bytes_total counter
p_host_network_sent_bytes_total{host=\"h1\"} 40
# HELP p_graphite_connected Whether carbon is connected.
# TYPE p_graphite_connected gauge
p_graphite_connected 1
# HELP p_graphite_buffered_lines Lines waiting for carbon.
# TYPE p_graphite_buffered_lines gauge
p_graphite_buffered_lines 3
# HELP p_graphite_sent_lines_total Lines sent.
# TYPE p_graphite_sent_lines_total counter
p_graphite_sent_lines_total 4
# HELP p_graphite_dropped_lines_total Lines dropped, oldest first.
# TYPE p_graphite_dropped_lines_total counter
p_graphite_dropped_lines_total 5
# HELP p_json_dropped_lines_total Lines of JSON that were not read in time.
# TYPE p_json_dropped_lines_total counter
p_json_dropped_lines_total 0
";
}
