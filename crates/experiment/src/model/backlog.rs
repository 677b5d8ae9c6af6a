//! The backlog of a recorded run, from the records that arrived and those that were read.
//!
//! Flink's `pendingRecords` does not serve for this: it lags behind a rise of the load by a second or two, and is missing while tasks
//! start, which is when the backlog is largest. Totals have neither fault, but a total of what was read misses the records between
//! the last reading of tasks and their end, and counts records twice that are read again. Hence:
//!
//! ```text
//! backlog(t) = arrived(t − lag − age) − read(t) − unread        not below 0; at rows with counters of the tasks that run
//!            = arrived(t) − read(r) − rate(r)·(stop − r) − unread     at the end of a change; r: the last such row before its stop
//! lag        how much older than the freshest counters of its execution the counters of a row are, by the clock of the tasks
//! age        how far the freshest counters are behind, in seconds
//! unread     constant between two changes: median of arrived(t − lag − age) − read(t) − pendingRecords(t) while the job keeps up
//! ```

use std::iter;

use super::recording::Recording;
use crate::changes::ParallelismChange;
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

/// What is known at a row of the records that were read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Number of changes that had ended when the tasks that report it started.
    life: usize,
    /// When it was counted, in seconds since the load began, but for the age of the freshest counters.
    counted_s: f64,
    /// Records that were read since the load began.
    read: f64,
}

impl Recording {
    /// Returns the backlog at each row with counters of the tasks that run, and at the end of each change, in the order of time.
    pub(crate) fn backlogs(&self) -> Vec<Backlog> {
        let age_s = self.counter_age_s().unwrap_or(0.0);
        let readings = self.readings();
        let difference = |reading: Reading| self.arrived(reading.counted_s - age_s) - reading.read;
        let unread = self.unread(&readings, difference);
        let known = || iter::zip(&self.rows, &readings).filter_map(|(row, reading)| Some((row, (*reading)?)));
        let at_row = |(row, reading): (&Row, Reading)| {
            self.backlog(row, row.at_s, difference(reading) - unread[reading.life])
        };
        let at_end = |change: &ParallelismChange| {
            let stop_s = change.ended_s - change.outage_s;
            let (row, reading) = known().take_while(|(row, _)| row.at_s <= stop_s).last()?;
            let unseen_s = (stop_s - (reading.counted_s - age_s)).max(0.0);
            let read = reading.read + row.get(Column::ProcessedPerS).unwrap_or(0.0) * unseen_s;
            Some(self.backlog(
                row,
                change.ended_s,
                self.arrived(change.ended_s) - read - unread[reading.life],
            ))
        };
        let mut backlogs: Vec<Backlog> = known().map(at_row).collect();
        backlogs.extend(self.changes.iter().filter_map(at_end));
        backlogs.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        backlogs
    }

    fn backlog(&self, row: &Row, at_s: f64, records: f64) -> Backlog {
        let arrives_per_s = row.get(Column::InputPerS);
        let arrives_per_s = arrives_per_s.unwrap_or_else(|| self.arrived(at_s) - self.arrived(at_s - 1.0));
        Backlog { at_s, is_warm_up: row.is_warm_up, records: records.max(0.0), arrives_per_s }
    }

    /// Returns how far the freshest counters of records read are behind those of the producer, in seconds: what arrived and neither was
    /// seen as read nor waits, over the rate, before any change.
    pub(crate) fn counter_age_s(&self) -> Option<f64> {
        let at_rest = self.at_rest_s();
        let age = |(row, reading): (&Row, Option<Reading>)| {
            let reading = reading.filter(|reading| reading.life == 0 && at_rest.contains(&row.at_s))?;
            let behind = self.arrived(reading.counted_s) - reading.read - row.get(Column::BacklogRecords)?;
            Some(behind / row.get(Column::InputPerS).filter(|per_s| *per_s > 0.0)?)
        };
        let ages = iter::zip(&self.rows, self.readings()).filter_map(age);
        Spread::from_values(ages).map(|spread| spread.median).filter(|age_s| (0.0..=30.0).contains(age_s))
    }

    fn at_rest_s(&self) -> Vec<f64> {
        self.at_rest().into_iter().map(|row| row.at_s).collect()
    }

    /// Returns what is known at each row.
    fn readings(&self) -> Vec<Option<Reading>> {
        // A total that is larger than a later one is none: just after a change Flink can report old and new tasks at once.
        let mut totals: Vec<Option<f64>> = self.rows.iter().map(|row| row.get(Column::ReadTotal)).collect();
        let mut least = f64::INFINITY;
        for total in totals.iter_mut().rev() {
            *total = total.filter(|total| *total <= least);
            least = total.unwrap_or(least);
        }
        let mut newest: Option<f64> = None;
        let mut life = 0;
        let read = iter::zip(&self.rows, totals).map(|(row, total)| {
            let ended = self.changes.iter().filter(|change| change.ended_s <= row.at_s).count();
            // The total stands still until the tasks of the next life have been read.
            let is_known = total.is_some() && (total != newest || ended == life);
            newest = total.or(newest);
            life = if is_known { ended } else { life };
            total.filter(|_| is_known).map(|read| Reading { life, counted_s: row.at_s, read })
        });
        let mut readings: Vec<Option<Reading>> = read.collect();
        // The tasks' clock of each life, relative to that of the rows, by its freshest counters.
        let mut began_s = vec![f64::INFINITY; self.changes.len() + 1];
        for (row, reading) in iter::zip(&self.rows, &readings) {
            if let Some((lived_s, reading)) = row.get(Column::SourcesLivedS).zip(*reading) {
                began_s[reading.life] = began_s[reading.life].min(row.at_s - lived_s);
            }
        }
        for (row, reading) in iter::zip(&self.rows, &mut readings) {
            if let Some((lived_s, reading)) = row.get(Column::SourcesLivedS).zip(reading.as_mut()) {
                reading.counted_s = began_s[reading.life] + lived_s;
            }
        }
        readings
    }

    /// Returns by life how much more arrived than was read or waited: as measured while the job kept up, else when the backlog was
    /// known last, else as in the life before.
    fn unread(&self, readings: &[Option<Reading>], difference: impl Fn(Reading) -> f64) -> Vec<f64> {
        let at_rest = self.at_rest_s();
        let mut all = Vec::new();
        for life in 0..=self.changes.len() {
            let known = iter::zip(&self.rows, readings).filter_map(|(row, reading)| {
                let reading = reading.filter(|reading| reading.life == life)?;
                Some((row.at_s, difference(reading) - row.get(Column::BacklogRecords)?))
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

    /// Goal: counters that are older than others of the same tasks are compared with what had arrived by then.
    #[test]
    fn old_counters_are_no_backlog() {
        // Each fourth report is a second old: the tasks started 3 s before the load.
        let at = |s: u32| {
            let lag_s = f64::from(u8::from(s.is_multiple_of(4)));
            let counted_s = f64::from(s) - lag_s;
            row(f64::from(s), 1000.0 * f64::from(s), Some(1000.0 * counted_s), Some(0.0))
                .with(Column::SourcesLivedS, counted_s + 3.0)
        };
        let recording = Recording { rows: (1..=30).map(at).collect(), ..Recording::default() };
        assert!(records(&recording).iter().all(|(_, records)| *records == 0.0), "{:?}", records(&recording));
    }

    /// Goal: at the end of a change waits what waited at its stop, plus what arrived; what the stopped tasks read unseen is no backlog
    /// once the job keeps up again; a total that is too high is none.
    #[test]
    fn a_start_shows_what_arrived_meanwhile() {
        let change =
            ParallelismChange { began_s: 3.0, ended_s: 5.0, outage_s: 1.6, ..ParallelismChange::default() };
        let mut rows = vec![
            row(1.0, 1000.0, None, None),
            row(2.0, 2000.0, Some(1900.0), Some(100.0)),
            row(3.0, 3000.0, Some(2900.0), Some(100.0)).with(Column::ProcessedPerS, 1000.0),
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
        assert_eq!(found[..3], [(2.0, 100.0), (3.0, 100.0), (5.0, 1700.0)]);
        assert_eq!(found[3..5], [(7.0, 2200.0), (8.0, 0.0)]);
    }
}
