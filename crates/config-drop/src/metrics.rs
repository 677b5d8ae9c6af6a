//! The drop's metrics, in the Prometheus text format.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http_server::MetricsPage;

use crate::registry::DocumentRegistry;

/// Labels of a counted response: method, route and status. Their number is bounded by the routes.
pub(crate) type RequestLabels = (String, String, u16);

/// Counters of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    requests: Arc<Mutex<BTreeMap<RequestLabels, u64>>>,
}

impl Metrics {
    pub(crate) fn count(&self, answered: RequestLabels) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(answered).or_default() += 1;
    }

    /// Builds the metrics page.
    pub(crate) fn page(&self, registry: &DocumentRegistry) -> MetricsPage {
        let mut page = MetricsPage::default();
        let mut requests = page.counter("config_drop_requests_total", "Requests answered.");
        for ((method, route, status), count) in
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let labels = [("method", method.as_str()), ("route", route), ("status", &status.to_string())];
            requests.add(&labels, *count);
        }
        page.gauge("config_drop_waiting_readers", "Readers that wait for a change.")
            .add(&[], registry.waiting_readers());
        let mut generations = page.gauge("config_drop_generation", "Generation of the current document.");
        for (job, generation) in registry.generations() {
            generations.add(&[("job", job.as_str())], generation);
        }
        page
    }
}
