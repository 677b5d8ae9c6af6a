//! The drop's metrics, in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::board::Board;

/// Labels of a counted response: method, route and status. Their number is bounded by the routes.
pub(crate) type Answered = (String, String, u16);

/// Counters of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    requests: Arc<Mutex<BTreeMap<Answered, u64>>>,
}

impl Metrics {
    pub(crate) fn count(&self, answered: Answered) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(answered).or_default() += 1;
    }

    /// Renders the metrics page.
    pub(crate) fn page(&self, board: &Board) -> String {
        let mut page = String::from(
            "# HELP config_drop_requests_total Requests answered.\n# TYPE config_drop_requests_total counter\n",
        );
        for ((method, route, status), count) in
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let _ = writeln!(
                page,
                "config_drop_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
            );
        }
        page.push_str("# HELP config_drop_waiting_readers Readers that wait for a change.\n");
        page.push_str("# TYPE config_drop_waiting_readers gauge\n");
        let _ = writeln!(page, "config_drop_waiting_readers {}", board.waiting_readers());
        page.push_str("# HELP config_drop_generation Generation of the current document.\n");
        page.push_str("# TYPE config_drop_generation gauge\n");
        for (job, generation) in board.generations() {
            let _ = writeln!(page, "config_drop_generation{{job=\"{job}\"}} {generation}");
        }
        page
    }
}
