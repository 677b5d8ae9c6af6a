//! The backlog of a recorded run, from the records that arrived and those that were read.
//!
//! Flink's `pendingRecords` does not serve for this: it lags behind a rise of the load by a second or two, and is missing while tasks
//! start, which is when the backlog is largest. Totals have neither fault, but a total of what was read misses the records between
//! the last reading of tasks and their end, and counts records twice that are read again. Hence:
//!
//! ```text
//! backlog(t) = arrived(t − age) − read(t) − unread        not below 0
//! age        how far the counter of records read is behind, in seconds
//! unread     constant between two changes: median of arrived(t − age) − read(t) − pendingRecords(t) while the job keeps up
//! ```

use std::iter;

use super::recording::Recording;
use crate::row::{Column, Row};
use crate::spread::Spread;

/// The records that wait at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backlog {
    pub(crate) at_s: f64,
    pub(crate) is_warm_up: bool,
    pub(crate) records: f64,
    /// Arrivals, in records per second.
    pub(crate) arrives_per_s: f64,
}

/// What a row says of all records since the load began.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Number of changes that had ended when its tasks started.
    life: usize,
    /// Records that had arrived when the counters were read, less those that were read.
    difference: f64,
}

impl Recording {
    /// Returns the backlog at each row from the first on that shows what was read.
    pub(crate) fn backlogs(&self) -> Vec<Backlog> {
        let age_s = self.counter_age_s().unwrap_or(0.0);
        let readings = self.readings(age_s);
        let unread = self.unread(&readings);
        let mut backlogs = Vec::new();
        let mut before = (0.0, 0.0);
        for (row, reading) in iter::zip(&self.rows, readings) {
            let arrived = self.arrived(row.at_s);
            let per_s = (arrived - before.1).max(0.0) / (row.at_s - before.0).max(f64::EPSILON);
            before = (row.at_s, arrived);
            let Some(reading) = reading else { continue };
            backlogs.push(Backlog {
                at_s: row.at_s,
                is_warm_up: row.is_warm_up,
                records: (reading.difference - unread[reading.life]).max(0.0),
                arrives_per_s: row.get(Column::InputPerS).unwrap_or(per_s),
            });
        }
        backlogs
    }

    /// Returns how far the counters of records read are behind those of the producer, in seconds: what arrived and neither was seen as
    /// read nor waits, over the rate, before any change.
    pub(crate) fn counter_age_s(&self) -> Option<f64> {
        let age = |row: &Row| {
            let behind = row.get(Column::AckedTotal)?
                - row.get(Column::ReadTotal)?
                - row.get(Column::BacklogRecords)?;
            Some(behind / row.get(Column::InputPerS).filter(|per_s| *per_s > 0.0)?)
        };
        let first_s = self.changes.first().map_or(f64::INFINITY, |change| change.began_s);
        let ages = self.at_rest().into_iter().filter(|row| row.at_s < first_s).filter_map(age);
        Spread::from_values(ages).map(|spread| spread.median).filter(|age_s| (0.0..=30.0).contains(age_s))
    }

    /// Returns what each row says; a row without counters says what the row before said of reading.
    fn readings(&self, age_s: f64) -> Vec<Option<Reading>> {
        // A total that is larger than a later one was too high: just after a change Flink can report old and new tasks at once.
        let mut totals: Vec<Option<f64>> = self.rows.iter().map(|row| row.get(Column::ReadTotal)).collect();
        let mut least = f64::INFINITY;
        for total in totals.iter_mut().rev().flatten() {
            least = least.min(*total);
            *total = least;
        }
        let mut newest: Option<f64> = None;
        let mut life = 0;
        let read = iter::zip(&self.rows, totals).map(|(row, total)| {
            // The total stands still until the tasks of the next life have been read.
            if total.is_some() && total != newest {
                life = self.changes.iter().filter(|change| change.ended_s <= row.at_s).count();
            }
            newest = total.or(newest);
            newest.map(|read| Reading { life, difference: self.arrived(row.at_s - age_s) - read })
        });
        read.collect()
    }

    /// Returns by life how much more arrived than was read or waited: as measured while the job kept up, else when the backlog was
    /// known last, else as in the life before.
    fn unread(&self, readings: &[Option<Reading>]) -> Vec<f64> {
        let at_rest: Vec<f64> = self.at_rest().into_iter().map(|row| row.at_s).collect();
        let mut all = Vec::new();
        for life in 0..=self.changes.len() {
            let known = iter::zip(&self.rows, readings).filter_map(|(row, reading)| {
                let reading = reading.filter(|reading| reading.life == life)?;
                Some((row.at_s, reading.difference - row.get(Column::BacklogRecords)?))
            });
            let known: Vec<(f64, f64)> = known.collect();
            let rest = known.iter().filter(|(at_s, _)| at_rest.contains(at_s)).map(|(_, unread)| *unread);
            let measured = Spread::from_values(rest).map(|spread| spread.median);
            let last = known.last().map(|(_, unread)| *unread);
            all.push(measured.or(last).or(all.last().copied()).unwrap_or(0.0));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::ParallelismChange;
    use crate::row::JobState;

    /// A row at a second: arrived, read, waiting.
    fn row(at_s: f64, arrived: f64, read: Option<f64>, waiting: Option<f64>) -> Row {
        let mut row = Row { at_s, job: JobState::Running, ..Row::default() }
            .with(Column::AckedTotal, arrived)
            .with(Column::InputPerS, 1000.0);
        row.set(Column::ReadTotal, read);
        row.set(Column::BacklogRecords, waiting);
        row
    }

    fn records(recording: &Recording) -> Vec<(f64, f64)> {
        recording.backlogs().iter().map(|backlog| (backlog.at_s, backlog.records)).collect()
    }

    /// Goal: a job that keeps up has no backlog although its counters are late, and a rise shows before `pendingRecords` shows it.
    #[test]
    fn a_rise_is_seen_although_pending_records_lag() {
        let mut rows: Vec<Row> = (1..=20)
            .map(f64::from)
            .map(|s| row(s, 1000.0 * s, Some(1000.0 * (s - 0.5)), Some(0.0)))
            .collect();
        rows.push(row(21.0, 23_000.0, Some(20_500.0), Some(0.0)));
        rows.push(row(22.0, 26_000.0, Some(21_500.0), Some(1500.0)));
        let found = records(&Recording { rows, ..Recording::default() });
        assert_eq!(found[..2], [(1.0, 0.0), (2.0, 0.0)]);
        assert_eq!(found[19..], [(20.0, 0.0), (21.0, 1000.0), (22.0, 3000.0)]);
    }

    /// Goal: while a job starts, its backlog is what waited before, plus what arrived; what the stopped tasks read unseen is no backlog
    /// once the job keeps up again; a total that is too high is none.
    #[test]
    fn a_start_shows_what_arrived_meanwhile() {
        let change = ParallelismChange { began_s: 3.0, ended_s: 5.0, ..ParallelismChange::default() };
        let mut rows = vec![
            row(1.0, 1000.0, None, None),
            row(2.0, 2000.0, Some(1900.0), Some(100.0)),
            row(3.0, 3000.0, Some(2900.0), Some(100.0)),
            // 400 more are read before the stop.
            row(4.0, 4000.0, None, None),
            row(5.5, 5500.0, Some(2900.0), None),
            row(6.0, 6000.0, Some(90_000.0), None),
            row(7.0, 7000.0, Some(2900.0 + 1500.0), Some(0.0)),
        ];
        let later = (8..=40).map(f64::from).map(|s| row(s, 1000.0 * s, Some(1000.0 * s - 400.0), Some(0.0)));
        rows.extend(later);
        let recording = Recording { rows, changes: vec![change], ..Recording::default() };
        let found = records(&recording);
        assert_eq!(found[..4], [(2.0, 100.0), (3.0, 100.0), (4.0, 1100.0), (5.5, 2600.0)]);
        assert_eq!(found[5..7], [(7.0, 2200.0), (8.0, 0.0)]);
    }
}
