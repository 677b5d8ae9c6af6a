//! Shortens a report that is too long for its drop.
//!
//! The fields that the publisher needs (generation, sequence, state, running generation) are never omitted.
//! Information for people is omitted in this order: vertices that no rescale has changed, the oldest rescales, all
//! observations, and finally the text.

use super::{Observed, ObservedRescale, Report};

/// Number of characters kept of a message when everything else is omitted.
const MESSAGE_CHARS: usize = 200;

impl Report {
    /// Returns the length of the JSON form, in bytes.
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    /// Returns the report shortened as far as needed for `most_bytes`, or as far as possible.
    pub fn shrunk(&self, most_bytes: usize) -> Self {
        let mut report = self.clone();
        let fits = |report: &Self| report.bytes() <= most_bytes;
        if fits(&report) {
            return report;
        }
        if let Some(observed) = &mut report.observed {
            observed.leave_out_what_is_unchanged();
        }
        while !fits(&report) && report.observed.as_mut().is_some_and(Observed::leave_out_a_rescale) {}
        if !fits(&report) {
            report.observed = None;
        }
        if !fits(&report) {
            report.savepoint = None;
            report.message = report.message.as_deref().map(cut);
        }
        report
    }
}

impl Observed {
    fn leave_out_what_is_unchanged(&mut self) {
        for rescale in &mut self.rescales {
            rescale.vertices.retain(|_, widths| !(widths[0] == widths[1] && widths[1] == widths[2]));
        }
        if !self.rescales.is_empty() {
            let changed = |rescale: &ObservedRescale, name: &String| rescale.vertices.contains_key(name);
            let rescales = &self.rescales;
            self.parallelism.retain(|name, _| rescales.iter().any(|rescale| changed(rescale, name)));
        }
    }

    /// Omits the oldest rescale; returns whether there was one.
    fn leave_out_a_rescale(&mut self) -> bool {
        self.rescales.pop().is_some()
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ChangeState;
    use jiff::Timestamp;

    /// Seventy vertices with names of fifty characters, and eight rescales that each widened one vertex.
    fn long() -> Report {
        let name = |index: usize| format!("{index:02}-{}", "x".repeat(47));
        let rescale = |number: usize| ObservedRescale {
            at: Timestamp::UNIX_EPOCH,
            duration_ms: Some(700),
            outcome: Some("COMPLETED".to_owned()),
            cause: Some("UPDATE_REQUIREMENT".to_owned()),
            vertices: (0..70)
                .map(|index| (name(index), [Some(1), Some(1), Some(if index == number { 2 } else { 1 })]))
                .collect(),
        };
        Report {
            generation: 2,
            sequence: 4,
            at: Timestamp::UNIX_EPOCH,
            state: ChangeState::RolledBack,
            flink_job_id: Some("0".repeat(32)),
            savepoint: Some("s".repeat(300)),
            message: Some("ä".repeat(1_000)),
            previous_state_ms: Some(7),
            running_generation: Some(1),
            observed: Some(Observed {
                parallelism: (0..70).map(|index| (name(index), 1)).collect::<BTreeMap<_, _>>(),
                task_managers: Some(3),
                rescales: (0..8).map(rescale).collect(),
            }),
        }
    }

    /// Goal: for any limit, the report is within it or minimal, no more is omitted than needed, and the fields that
    /// the publisher needs are present.
    #[test]
    fn a_report_shrinks_until_it_fits() {
        let whole = long();
        assert!(whole.bytes() > 40_000, "{}", whole.bytes());
        assert_eq!(whole.shrunk(whole.bytes()), whole);
        let bare = whole.shrunk(0);
        assert!(bare.bytes() < 1_000, "{}", bare.bytes());
        let mut before = 0;
        for most_bytes in (0..whole.bytes() + 100).step_by(97) {
            let report = whole.shrunk(most_bytes);
            assert!(report.bytes() <= most_bytes || report == bare, "{most_bytes}: {}", report.bytes());
            assert!(report.bytes() >= before, "{most_bytes}");
            before = report.bytes();
            let needed = |report: &Report| {
                (report.generation, report.sequence, report.at, report.state, report.running_generation)
            };
            assert_eq!(needed(&report), needed(&whole));
            assert_eq!(report.check(), Ok(()));
        }
    }

    /// Goal: vertices that no rescale changed are omitted first, and all rescales stay; then the oldest rescales are
    /// omitted.
    #[test]
    fn the_least_useful_goes_first() {
        let seen = |most_bytes| long().shrunk(most_bytes).observed.unwrap_or_default();
        let first = seen(16 << 10);
        assert_eq!((first.rescales.len(), first.parallelism.len()), (8, 8));
        assert!(first.rescales.iter().all(|rescale| rescale.vertices.len() == 1));
        let then = seen(4_000);
        assert!((1..8).contains(&then.rescales.len()), "{}", then.rescales.len());
        assert_eq!(then.rescales[..], first.rescales[..then.rescales.len()]);
    }
}
