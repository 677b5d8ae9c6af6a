//! The metrics of a vertex by the list of their names: which to query, the partitions of its sources, whether it has windows.

use std::collections::{BTreeMap, BTreeSet};

use crate::names;

/// Properties of a vertex by the list of its metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listing {
    /// The names to ask for, those of one subtask together.
    pub(super) wanted: Vec<String>,
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
        let mut wanted = names;
        wanted.retain(|name| names::is_wanted(name));
        wanted.sort_by_key(|name| names::subtask(name).map(|(subtask, _)| subtask));
        let Some(Partitions { of_subtask, all, topics }) = partitions else {
            return Self { wanted, is_windowed, ..Self::default() };
        };
        Self { wanted, is_windowed, partitions: of_subtask, source_partitions: Some(all), topics }
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
        let listing = Listing::new(names.map(str::to_owned).to_vec(), 2);
        let expected = ["0.numRecordsIn", "0.numRecordsOut", "1.numRecordsIn", "1.numRecordsOut"];
        assert_eq!(listing.wanted, expected);
    }
}
