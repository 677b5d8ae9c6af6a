//! Renders the page that Prometheus reads; pure functions.
//!
//! A source whose newest sample failed has no values and is only marked as down: a stale value would look like a
//! fresh one.

use std::fmt::Write as _;

use crate::board::{Board, Standing};

/// Name, type and help of a source's metrics; durations are in seconds, by convention.
const FIGURES: [(&str, &str); 5] = [
    ("size_bytes", "Size of one copy; source flink: of what a restore reads."),
    ("size_with_replicas_bytes", "Size of all copies."),
    ("files", "Regular files."),
    ("folders", "Folders, the one that was asked for included."),
    ("checkpointed_bytes", "What the newest checkpoint itself has written."),
];

/// Renders the whole page; every series has the prefix.
pub(crate) fn page(prefix: &str, board: &Board) -> String {
    let mut page = Page { prefix, text: String::new() };
    page.sources(&board.standings());
    page.host(board);
    if let Some(graphite) = board.graphite() {
        let connected = u64::from(graphite.is_connected);
        page.single("graphite_connected", "gauge", "Whether carbon is connected.", connected);
        page.single(
            "graphite_buffered_lines",
            "gauge",
            "Lines that wait for carbon.",
            graphite.buffered as u64,
        );
        page.single("graphite_sent_lines_total", "counter", "Lines sent.", graphite.sent);
        page.single(
            "graphite_dropped_lines_total",
            "counter",
            "Lines given up, oldest first.",
            graphite.dropped,
        );
    }
    let help = "Lines of JSON that nobody took in time.";
    page.single("json_dropped_lines_total", "counter", help, board.lines_dropped());
    page.text
}

struct Page<'a> {
    prefix: &'a str,
    text: String,
}

impl Page<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let prefix = self.prefix;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {prefix}_{name} {help}\n# TYPE {prefix}_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{}_{name}{labels} {value}", self.prefix);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, "", value);
    }

    fn sources(&mut self, standings: &[Standing]) {
        let all: Vec<(String, &Standing)> =
            standings.iter().map(|standing| (labels(standing), standing)).collect();
        let fresh: Vec<_> = all
            .iter()
            .filter_map(|(labels, standing)| Some((labels, standing.newest.as_ref()?.1.as_ref().ok()?)))
            .collect();
        for (figure, help) in FIGURES {
            self.head(figure, "gauge", help);
            for (labels, sample) in &fresh {
                if let Some((_, value)) = sample.known().find(|(name, _)| *name == figure) {
                    self.line(figure, labels, value);
                }
            }
        }
        self.head("look_duration_seconds", "gauge", "How long the newest look took.");
        for (labels, sample) in &fresh {
            self.line("look_duration_seconds", labels, seconds(sample.duration_ms));
        }
        self.head("look_timestamp_seconds", "gauge", "When the newest look began, since the Unix epoch.");
        for (labels, sample) in &fresh {
            self.line("look_timestamp_seconds", labels, seconds(sample.at_ms));
        }
        self.head("up", "gauge", "Whether the newest look gave figures.");
        for (labels, standing) in all.iter().filter(|(_, standing)| standing.newest.is_some()) {
            self.line("up", labels, u8::from(standing.newest.as_ref().is_some_and(|(_, look)| look.is_ok())));
        }
        self.head("looks_total", "counter", "Looks that gave figures.");
        all.iter().for_each(|(labels, standing)| self.line("looks_total", labels, standing.samples));
        self.head("failures_total", "counter", "Looks that failed.");
        all.iter().for_each(|(labels, standing)| self.line("failures_total", labels, standing.failures));
    }

    fn host(&mut self, board: &Board) {
        let Some(host) = board.host() else { return };
        let labels = format!("{{host=\"{}\"}}", escaped(&host.host));
        for (figure, value) in host.known() {
            let is_total = figure.starts_with("network_");
            let (name, kind) = match is_total {
                true => (format!("host_{figure}_total"), "counter"),
                false => (format!("host_{figure}"), "gauge"),
            };
            self.head(&name, kind, "Of the machine.");
            self.line(&name, &labels, value);
        }
    }
}

fn labels(standing: &Standing) -> String {
    let (job, name, source) = (escaped(&standing.job), escaped(&standing.name), standing.kind);
    format!("{{job=\"{job}\",name=\"{name}\",source=\"{source}\"}}")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WrittenSource;
    use crate::sample::{Figures, Kind, Sample};

    fn sample(size_bytes: u64) -> Sample {
        let figures = Figures { size_bytes, files: Some(2), ..Figures::default() };
        let (name, job) = ("a".to_owned(), "my \"job\"".to_owned());
        Sample { name, source: Kind::Local, job, figures, at_ms: 1_700_000_000_007, duration_ms: 12 }
    }

    /// Goal: values are present while the newest sample is good, absent after a failure, and present again later;
    /// counters continue.
    #[test]
    fn a_failed_look_takes_its_figures_along() {
        let written = WrittenSource {
            kind: Some(Kind::Local),
            name: Some("a".to_owned()),
            path: Some("/x".to_owned()),
            ..WrittenSource::default()
        };
        let board = Board::new(&[written.check("my \"job\"", 1000).unwrap()]);
        let labels = r#"{job="my \"job\"",name="a",source="local"}"#;
        assert!(!page("p", &board).contains("p_up{"), "nothing is known before the first look");

        assert!(board.note("a", Ok(sample(77))).is_none());
        let good = page("p", &board);
        for line in [
            format!("p_size_bytes{labels} 77"),
            format!("p_files{labels} 2"),
            format!("p_up{labels} 1"),
            format!("p_look_duration_seconds{labels} 0.012"),
            format!("p_look_timestamp_seconds{labels} 1700000000.007"),
        ] {
            assert!(good.lines().any(|found| found == line), "{line} is missing in\n{good}");
        }
        assert!(!good.contains("p_folders{"), "what is not known is not there:\n{good}");

        assert!(board.note("a", Err("down".to_owned())).unwrap().is_ok());
        let bad = page("p", &board);
        assert!(!bad.contains("p_size_bytes{") && bad.contains(&format!("p_up{labels} 0")), "{bad}");
        board.note("a", Ok(sample(78)));
        let again = page("p", &board);
        assert!(again.contains(&format!("p_size_bytes{labels} 78")), "{again}");
        assert!(again.contains(&format!("p_failures_total{labels} 1")), "{again}");
    }
}
