//! Reads the event producer's metrics page once per second.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use http_client::{Access, Client, ClientSettings};
use url::Url;

use crate::row::{Column, Row};

/// Timeout of a request; a slower page leaves the second's values unknown.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Size limit; the page has about thirty lines.
const BODY_MAX_BYTES: usize = 1 << 16;

/// Reads the page and converts counters to rates.
#[derive(Debug)]
pub(crate) struct ProducerPage {
    client: Client,
    url: Url,
    before: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Time of the page's refresh, in seconds since the load began, by the producer's clock.
    elapsed_s: f64,
    due: f64,
    emitted: f64,
}

impl ProducerPage {
    /// Creates a reader of the page at this address, `host:port`.
    ///
    /// # Errors
    /// The HTTP client cannot be created.
    pub(crate) fn new(address: &str) -> anyhow::Result<Self> {
        let settings =
            ClientSettings { connect_timeout: TIMEOUT, timeout: TIMEOUT, max_body_bytes: BODY_MAX_BYTES };
        let client =
            Client::new(settings, &Access::default(), false).context("cannot make an HTTP client")?;
        let url = format!("http://{address}/metrics").parse().context("the producer's address")?;
        Ok(Self { client, url, before: None })
    }

    /// Adds the producer's current values. Without a response they stay unknown.
    pub(crate) async fn note(&mut self, row: &mut Row) {
        let Some(text) = self.read().await else { return };
        note(&figures(&text), &mut self.before, row);
    }

    async fn read(&self) -> Option<String> {
        let answer = self.client.send(http_client::get(&self.url).ok()?).await.ok()?;
        answer.status.is_success().then_some(answer.body).and_then(|body| String::from_utf8(body).ok())
    }
}

/// Parses a page in the Prometheus text format into values by name with labels.
fn figures(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect()
}

fn note(page: &BTreeMap<&str, f64>, before: &mut Option<Reading>, row: &mut Row) {
    let of = |name: &str| page.get(name).copied();
    let counters =
        ["due_total", "emitted_total", "elapsed_seconds"].map(|name| of(&format!("event_producer_{name}")));
    let [Some(due), Some(emitted), Some(elapsed_s)] = counters else { return };
    // The page is refreshed once per second. Between two refreshes it is unchanged, and nothing new follows from it.
    let is_new = before.is_none_or(|before| elapsed_s > before.elapsed_s);
    let emitted_before = before.map_or(0.0, |before| before.emitted);
    if let Some(before) = before.filter(|_| is_new) {
        let seconds = elapsed_s - before.elapsed_s;
        row.set(Column::OfferedPerS, Some((due - before.due) / seconds));
        row.set(Column::EmittedPerS, Some((emitted - before.emitted) / seconds));
    }
    if is_new {
        *before = Some(Reading { elapsed_s, due, emitted });
    }
    row.set(Column::ProducerElapsedS, Some(elapsed_s));
    row.set(Column::DueTotal, Some(due));
    row.set(Column::EmittedTotal, Some(emitted));
    row.set(Column::AckedTotal, of("event_producer_acked_total"));
    // For an interval without an event the page shows zeros, which are not measurements.
    if is_new && emitted > emitted_before {
        let p99 = |name: &str| of(&format!("event_producer_{name}_seconds{{quantile=\"0.99\"}}"));
        row.set(Column::ScheduleDelayP99Ms, p99("schedule_delay").map(|s| s * 1000.0));
        row.set(Column::AckFromIntendedP99Ms, p99("ack_latency_from_intended").map(|s| s * 1000.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(elapsed_s: u32, due: u32, emitted: u32) -> String {
        format!(
            "# HELP event_producer_due_total Records due.\nevent_producer_due_total {due}\n\
             event_producer_emitted_total {emitted}\nevent_producer_elapsed_seconds {elapsed_s}\n\
             event_producer_acked_total 7\nevent_producer_schedule_delay_seconds{{quantile=\"0.99\"}} 0.0025\n"
        )
    }

    /// Goal: rates are differences between two refreshes of the page, by its clock; values without a refresh or
    /// without an event are unknown; an empty page leaves everything unknown.
    #[test]
    fn counters_become_rates() {
        let mut before = None;
        let mut read = |text: &str| {
            let mut row = Row::default();
            note(&figures(text), &mut before, &mut row);
            [Column::DueTotal, Column::OfferedPerS, Column::EmittedPerS, Column::ScheduleDelayP99Ms]
                .map(|figure| row.get(figure))
        };
        assert_eq!(read(&page(1, 100, 90)), [Some(100.0), None, None, Some(2.5)]);
        assert_eq!(read(&page(1, 100, 90)), [Some(100.0), None, None, None]);
        assert_eq!(read(&page(3, 500, 290)), [Some(500.0), Some(200.0), Some(100.0), Some(2.5)]);
        assert_eq!(read("nonsense"), [None; 4]);
        assert_eq!(read(&page(4, 600, 290)), [Some(600.0), Some(100.0), Some(0.0), None]);
    }
}
