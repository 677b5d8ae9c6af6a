//! What it costs to generate events: ours, encoded, against the crate `nexmark`, which only generates, and against a copy of a finished
//! record.

use std::hint::black_box;

use generator::Workload;

use crate::{alternate, per_item, workload};

const OURS: u64 = 2_000_000;
const OF_THE_CRATE: u64 = 200_000;

/// Generates and encodes our events on from this number; ns each.
fn ours(workload: &Workload, from: &mut u64) -> f64 {
    let (mut source, mut buffer) = (workload.source(), Vec::with_capacity(1024));
    let first = *from;
    *from += OURS;
    per_item(OURS, || {
        for number in first..first + OURS {
            buffer.clear();
            black_box(source.encode(number, &mut buffer));
            black_box(&buffer);
        }
    })
}

/// Copies finished records, which is the least that any generator can do; ns each.
fn copies(records: &[&[u8]]) -> f64 {
    let mut buffer = Vec::with_capacity(1024);
    per_item(OURS, || {
        for record in records.iter().cycle().take(OURS as usize) {
            buffer.clear();
            buffer.extend_from_slice(black_box(record));
            black_box(&buffer);
        }
    })
}

/// Compares them and prints the result.
pub(crate) fn generators(rounds: usize) {
    let workload = workload();
    let (mut their_from, mut our_from) = (0, 0);
    let theirs = || {
        let generator = nexmark::EventGenerator::default().with_offset(their_from);
        their_from += OF_THE_CRATE;
        per_item(OF_THE_CRATE, || {
            generator.take(OF_THE_CRATE as usize).for_each(|event| drop(black_box(event)));
        })
    };
    let recording = workload.record(0..20_000);
    let records: Vec<&[u8]> = recording.records().collect();
    let variants: [Box<dyn FnMut() -> f64 + '_>; 3] =
        [Box::new(theirs), Box::new(|| ours(&workload, &mut our_from)), Box::new(|| copies(&records))];
    let [theirs, ours, copies] = alternate(rounds, variants);
    println!("crate nexmark 0.2, generate only      {theirs:9.1} ns/event");
    println!(
        "ours, generate and encode             {ours:9.1} ns/event   {:6.1} times faster",
        theirs / ours
    );
    println!("a copy of a finished record           {copies:9.1} ns/event");
}
