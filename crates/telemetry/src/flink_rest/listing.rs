//! The metrics of a vertex by the list of their names: which to query, the partitions of its sources, whether it has windows.

use std::collections::{BTreeMap, BTreeSet};

use flink::MetricQuery;

use crate::names;
use crate::sample::{Subtask, Vertex};

/// Interval of listing a vertex until its list is settled, in milliseconds: metrics appear some time after the start of a task.
const UNSETTLED_AGE_MAX_MS: i64 = 5_000;

/// For how long a list must have been the same until it is settled, in milliseconds: twice the interval at which Flink renews its metrics
/// (`metrics.fetcher.update-interval`, 10 s).
const SETTLED_AFTER_MS: i64 = 20_000;

/// Interval of listing a settled source, in milliseconds: it may discover partitions.
const SOURCE_AGE_MAX_MS: i64 = 60_000;

/// Interval of listing any other settled vertex, in milliseconds. Its list does not change before the next start of its tasks. With
/// hundreds of names per subtask it is the largest response of all.
const AGE_MAX_MS: i64 = 600_000;

/// Properties of a vertex by the list of its metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listing {
    /// The names to ask for, those of one subtask together.
    pub(super) wanted: MetricQuery,
    /// Whether the same number of them is listed for each subtask, and at least one.
    is_even: bool,
    /// Whether some operator has metrics that only windows have.
    pub(super) is_windowed: bool,
    /// Partitions by subtask; empty where the sources do not name them, or not every subtask has metrics yet.
    pub(super) partitions: Vec<u32>,
    /// Partitions, each once, however many subtasks name it.
    pub(super) source_partitions: Option<u32>,
    /// The same by topic, where they are Kafka's.
    pub(super) topics: BTreeMap<String, BTreeSet<i32>>,
}

/// The partitions of a vertex.
struct Partitions {
    of_subtask: Vec<u32>,
    all: u32,
    topics: BTreeMap<String, BTreeSet<i32>>,
}

impl Listing {
    /// Reads the list of a vertex with so many subtasks.
    pub(super) fn new(names: Vec<String>, parallelism: usize) -> Self {
        let is_windowed = names
            .iter()
            .filter_map(|name| names::subtask(name))
            .any(|(_, rest)| names::is_window_metric(rest));
        let partitions = partitions(&names, parallelism);
        let wanted = wanted(names);
        let is_even = is_even(&wanted, parallelism);
        let wanted = MetricQuery::new(&wanted);
        let Some(Partitions { of_subtask, all, topics }) = partitions else {
            return Self { wanted, is_even, is_windowed, ..Self::default() };
        };
        Self { wanted, is_even, is_windowed, partitions: of_subtask, source_partitions: Some(all), topics }
    }

    /// Adds to a vertex what its list says.
    pub(super) fn describe(&self, vertex: Vertex) -> Vertex {
        Vertex {
            is_windowed: self.is_windowed,
            source_partitions: self.source_partitions,
            topics: self.topics.clone(),
            ..vertex
        }
    }
}

/// Returns the names that are used, those of one subtask together. Flink's smoothed shares of time are not used of a subtask that counts
/// all its time.
fn wanted(mut names: Vec<String>) -> Vec<String> {
    let subtask = |name: &String| names::subtask(name).map(|(subtask, _)| subtask);
    names.retain(|name| names::is_wanted(name));
    names.sort_by_key(subtask);
    let counts_time = |of_subtask: &[String]| {
        of_subtask.iter().filter(|name| names::is_counted_time(name)).count() == names::KINDS_OF_TIME
    };
    let of_subtasks = names.chunk_by(|a, b| subtask(a) == subtask(b));
    let counted: BTreeSet<_> =
        of_subtasks.filter(|names| counts_time(names)).filter_map(|names| subtask(&names[0])).collect();
    let is_replaced = |name: &String| {
        names::is_smoothed_time(name) && subtask(name).is_some_and(|subtask| counted.contains(&subtask))
    };
    names.retain(|name| !is_replaced(name));
    names
}

/// Whether each of so many subtasks has the same number of these names, which are ordered by subtask, and at least one.
fn is_even(wanted: &[String], parallelism: usize) -> bool {
    let subtask = |name: &String| names::subtask(name).map(|(subtask, _)| subtask);
    let counts: Vec<usize> = wanted.chunk_by(|a, b| subtask(a) == subtask(b)).map(<[String]>::len).collect();
    !counts.is_empty() && counts.len() == parallelism && counts.iter().all(|count| *count == counts[0])
}

/// What is known of the metrics of a vertex in one life of its tasks.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) listing: Listing,
    at_ms: i64,
    /// Since when the list has been the same, in milliseconds since the Unix epoch.
    unchanged_since_ms: i64,
    /// Whether its subtasks, when last read, had the counters that make readings between two samples unnecessary.
    is_counted: bool,
}

impl Listed {
    /// A list at this time, in milliseconds since the Unix epoch, after an earlier one of the same life.
    pub(super) fn new(listing: Listing, at_ms: i64, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.listing == listing);
        Self {
            unchanged_since_ms: same.map_or(at_ms, |before| before.unchanged_since_ms),
            is_counted: before.is_some_and(|before| before.is_counted),
            listing,
            at_ms,
        }
    }

    /// Whether the vertex has to be listed again at this time.
    pub(super) fn is_due(&self, is_source: bool, now_ms: i64) -> bool {
        let is_settled = self.listing.is_even && self.at_ms - self.unchanged_since_ms >= SETTLED_AFTER_MS;
        let age_max_ms = match (is_settled, is_source) {
            (false, _) => UNSETTLED_AGE_MAX_MS,
            (true, true) => SOURCE_AGE_MAX_MS,
            (true, false) => AGE_MAX_MS,
        };
        now_ms - self.at_ms >= age_max_ms
    }

    /// Notes what was read of the vertex, and how many of the names had a value. A missing one unsettles the list.
    pub(super) fn note(&mut self, vertex: &Vertex, answered: usize) {
        if answered < self.listing.wanted.len() {
            self.unchanged_since_ms = self.at_ms;
        }
        self.is_counted = !vertex.subtasks.is_empty() && vertex.subtasks.iter().all(Subtask::only_counts);
    }

    /// Whether a snapshot needs nothing of the vertex between the first and the last sample of an epoch: it is no source, whose backlog
    /// and arrivals are series, and its figures are differences of counters, not means or extremes of what was read.
    pub(super) fn may_rest(&self, vertex: &Vertex) -> bool {
        self.is_counted && !vertex.is_source()
    }
}

/// Returns the partitions of each subtask, and of all subtasks together. A subtask without listed metrics may read unknown partitions, so
/// all are unknown.
fn partitions(names: &[String], parallelism: usize) -> Option<Partitions> {
    let mut all = BTreeSet::new();
    let mut of_subtask = vec![BTreeSet::new(); parallelism];
    let mut is_listed = vec![false; parallelism];
    for (subtask, rest) in names.iter().filter_map(|name| names::subtask(name)) {
        let Some(is_listed) = is_listed.get_mut(subtask) else { continue };
        *is_listed = true;
        if let Some(partition) = names::partition(rest) {
            all.insert(partition);
            of_subtask[subtask].insert(partition);
        }
    }
    if all.is_empty() || !is_listed.iter().all(|is_listed| *is_listed) {
        return None;
    }
    let count = |set: &BTreeSet<&str>| u32::try_from(set.len()).unwrap_or(u32::MAX);
    let mut topics = BTreeMap::<String, BTreeSet<i32>>::new();
    for (topic, partition) in all.iter().filter_map(|group| names::kafka_partition(group)) {
        topics.entry(topic.to_owned()).or_default().insert(partition);
    }
    Some(Partitions { of_subtask: of_subtask.iter().map(count).collect(), all: count(&all), topics })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(subtask: usize, topic: &str, partition: u32) -> [String; 2] {
        ["currentOffset", "committedOffset"].map(|metric| {
            let group = "Source__orders.KafkaSourceReader";
            format!("{subtask}.{group}.topic.{topic}.partition.{partition}.{metric}")
        })
    }

    fn listing(names: &[&[String]], parallelism: usize) -> Listing {
        let of_task = (0..parallelism).map(|subtask| format!("{subtask}.numRecordsIn"));
        Listing::new(of_task.chain(names.iter().flat_map(|names| names.to_vec())).collect(), parallelism)
    }

    /// Goal: partitions of several topics are counted once each over all subtasks, and a subtask without any has none.
    #[test]
    fn partitions_are_counted_once() {
        let names = [
            kafka(0, "orders", 0),
            kafka(0, "orders", 2),
            kafka(1, "orders", 1),
            kafka(1, "eu_orders", 1),
            kafka(2, "orders", 1),
        ];
        let names: Vec<&[String]> = names.iter().map(<[String; 2]>::as_slice).collect();
        let listing = listing(&names, 4);
        assert_eq!(listing.source_partitions, Some(4));
        assert_eq!(listing.partitions, [2, 2, 1, 0]);
        let topic = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.iter().copied().collect());
        assert_eq!(listing.topics, BTreeMap::from([topic("eu_orders", &[1]), topic("orders", &[0, 1, 2])]));
    }

    /// Goal: a number of partitions that may be too small is none: a source without such metrics, or a subtask that is not there yet.
    #[test]
    fn partitions_may_be_unknown() {
        assert_eq!(listing(&[], 2).source_partitions, None);
        let only_first = Listing::new(kafka(0, "orders", 0).to_vec(), 2);
        assert_eq!((only_first.source_partitions, only_first.partitions.len()), (None, 0));
        // A name that only looks like it, and an index of an earlier life.
        let strange = ["0.x.topic.a.partition.b.currentOffset".to_owned(), "7.numRecordsIn".to_owned()];
        assert_eq!(listing(&[&strange], 1).source_partitions, None);
    }

    /// Goal: Pulsar's partitions count as well, whichever consumer reads them.
    #[test]
    fn pulsar_names_its_partitions_too() {
        let pulsar = |subtask: u32, partition: u32| {
            let topic = "persistent_//public/default/orders-partition";
            format!("{subtask}.Source__p.PulsarConsumer.{topic}-{partition}.c{subtask}.numMsgsReceived")
        };
        let listing = listing(&[&[pulsar(0, 0), pulsar(1, 0), pulsar(1, 1)]], 2);
        assert_eq!((listing.source_partitions, listing.partitions), (Some(2), vec![1, 2]));
    }

    /// Goal: windows are told by the counter that only they have; a task without it has none.
    #[test]
    fn windows_have_late_records() {
        let late = "0.TumblingEventTimeWindows.numLateRecordsDropped".to_owned();
        assert!(listing(&[&[late]], 1).is_windowed);
        assert!(!listing(&[&["0.map.numLateRecordsDroppedTwice".to_owned()]], 1).is_windowed);
    }

    /// Goal: the names of one subtask stand together, so that they are asked for together.
    #[test]
    fn names_are_grouped_by_subtask() {
        let names = ["1.numRecordsIn", "0.numRecordsIn", "1.numRecordsOut", "0.other", "0.numRecordsOut"];
        let expected = ["0.numRecordsIn", "0.numRecordsOut", "1.numRecordsIn", "1.numRecordsOut"];
        assert_eq!(wanted(names.map(str::to_owned).to_vec()), expected);
    }

    /// Goal: a smoothed share of time is asked for only of a subtask that does not count all three kinds of time.
    #[test]
    fn counters_replace_smoothed_shares() {
        let counted = ["Busy", "Idle", "BackPressured"].map(|kind| format!("accumulate{kind}TimeMs"));
        let smoothed = ["busy", "idle", "backPressured"].map(|kind| format!("{kind}TimeMsPerSecond"));
        let of = |subtask: u32, names: &[String]| {
            names.iter().map(|name| format!("{subtask}.{name}")).collect::<Vec<_>>()
        };
        let listed = [of(0, &counted), of(0, &smoothed), of(1, &counted[1..]), of(1, &smoothed)].concat();
        let expected = [of(0, &counted), of(1, &counted[1..]), of(1, &smoothed)].concat();
        assert_eq!(wanted(listed), expected);
    }

    fn of_subtasks(counts: &[usize]) -> Listing {
        let names = ["numRecordsIn", "numRecordsOut", "accumulateBusyTimeMs"];
        let of = |(subtask, count): (usize, &usize)| {
            names[..*count].iter().map(|name| format!("{subtask}.{name}")).collect::<Vec<_>>()
        };
        Listing::new(counts.iter().enumerate().flat_map(of).collect(), counts.len())
    }

    /// Goal: a list is made again every few seconds until it has been the same for a while and covers all subtasks alike; then rarely, of a
    /// source more often; and a name without a value begins it anew.
    #[test]
    fn a_settled_list_is_rarely_made_again() {
        let mut listed = Listed::new(of_subtasks(&[3, 3]), 0, None);
        for at_ms in [5_000, 10_000, 15_000, 20_000] {
            assert!(!listed.is_due(false, at_ms - 1) && listed.is_due(false, at_ms), "{at_ms}");
            listed = Listed::new(of_subtasks(&[3, 3]), at_ms, Some(&listed));
        }
        assert!(!listed.is_due(false, 619_999) && listed.is_due(false, 620_000));
        assert!(!listed.is_due(true, 79_999) && listed.is_due(true, 80_000));
        listed.note(&Vertex::default(), 5);
        assert!(listed.is_due(false, 25_000));
        let changed = Listed::new(of_subtasks(&[2, 2]), 25_000, Some(&listed));
        assert_eq!(changed.unchanged_since_ms, 25_000);
        for uneven in [&[3, 2][..], &[3, 0], &[0, 3], &[0, 0]] {
            let first = Listed::new(of_subtasks(uneven), 0, None);
            let later = Listed::new(of_subtasks(uneven), 60_000, Some(&first));
            assert!(later.is_due(false, 65_000), "{uneven:?}");
        }
    }

    /// Goal: only an operator with all its counters, without figures of the newest values and without a backlog may be left out between two
    /// samples.
    #[test]
    fn only_counted_operators_rest() {
        let counted = Subtask {
            records_in: Some(1.0),
            records_out: Some(1.0),
            busy_ms: Some(1.0),
            idle_ms: Some(1.0),
            backpressured_ms: Some(1.0),
            ..Subtask::default()
        };
        let rests = |inputs: usize, subtasks: &[Subtask]| {
            let inputs = vec![crate::sample::Input::default(); inputs];
            let vertex = Vertex { inputs, subtasks: subtasks.to_vec(), ..Vertex::default() };
            let mut listed = Listed::new(Listing::default(), 0, None);
            listed.note(&vertex, 0);
            listed.may_rest(&vertex)
        };
        assert!(rests(1, &[counted.clone(), counted.clone()]));
        assert!(rests(1, &[counted.clone(), Subtask { is_finished: true, ..Subtask::default() }]));
        assert!(!rests(0, std::slice::from_ref(&counted)) && !rests(1, &[]));
        let newest = BTreeMap::from([("latency".to_owned(), 1.0)]);
        for other in [
            Subtask { idle_ms: None, ..counted.clone() },
            Subtask { records_in: None, ..counted.clone() },
            Subtask { maxima: newest.clone(), ..counted.clone() },
            Subtask { means: newest, ..counted.clone() },
            Subtask { pending_records: Some(1.0), ..counted.clone() },
        ] {
            assert!(!rests(1, &[counted.clone(), other.clone()]), "{other:?}");
        }
    }
}
