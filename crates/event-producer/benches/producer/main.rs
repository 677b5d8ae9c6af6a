//! What the generator, the codec and the way into Kafka cost: CPU time, not elapsed time, because the machine may be busy
//! with other things. The compared variants alternate within one process, and medians of the rounds are told.
//!
//! `cargo bench -p event-producer --bench producer` (or `scripts/benchmark-producer.sh`); `--rounds N` for other than 11,
//! `--only generators|encoding|produce` for one part.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its table and fails loudly"
)]

mod cpu;
mod generators;
mod produce;

use std::hint::black_box;

use events::{Bid, Event};
use generator::Workload;
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::ProfileConfig;

use cpu::process_ns;

const ROUNDS: usize = 11;

/// CPU time that `count` repetitions took, ns each.
fn per_item(count: u64, work: impl FnOnce()) -> f64 {
    let before = process_ns();
    work();
    (process_ns() - before) / count as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Alternates the variants and gives the median of each.
fn alternate<const N: usize>(rounds: usize, mut variants: [Box<dyn FnMut() -> f64 + '_>; N]) -> [f64; N] {
    let mut seen: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for variant in &mut variants {
        variant();
    }
    for _ in 0..rounds {
        for (seen, variant) in seen.iter_mut().zip(&mut variants) {
            seen.push(variant());
        }
    }
    seen.map(median)
}

fn workload() -> Workload {
    let generator = Nexmark::new(NexmarkConfig::default().check().unwrap(), 1);
    let schedule = ProfileConfig::Constant { rate: 1e6, duration_s: None }.check().unwrap();
    Workload::new(generator, schedule, 1_700_000_000_000, None)
}

fn encoding(rounds: usize) {
    const EVENTS: u64 = 53_000;
    const TIMES: u64 = 40;
    let recording = workload().record(0..EVENTS);
    let events: Vec<Event<'_>> = recording.events().map(Result::unwrap).collect();
    let bid = |event: &Event<'_>| if let Event::Bid(bid) = event { Some(*bid) } else { None };
    let bids: Vec<Bid> = events.iter().filter_map(bid).collect();
    let mut buffer = Vec::with_capacity(16 * 1024 * 1024);
    let encode_bids = || {
        per_item(bids.len() as u64 * TIMES, || {
            for _ in 0..TIMES {
                buffer.clear();
                bids.iter().for_each(|bid| bid.encode(&mut buffer));
                black_box(&buffer);
            }
        })
    };
    let mut mix_buffer = Vec::with_capacity(16 * 1024 * 1024);
    let encode_mix = || {
        per_item(EVENTS * TIMES, || {
            for _ in 0..TIMES {
                mix_buffer.clear();
                events.iter().for_each(|event| event.encode(&mut mix_buffer));
                black_box(&mix_buffer);
            }
        })
    };
    let decode_mix = || {
        per_item(EVENTS * TIMES, || {
            for _ in 0..TIMES {
                recording.records().for_each(|record| {
                    let _ = black_box(Event::decode(record));
                });
            }
        })
    };
    let [bid, mix, decode] =
        alternate(rounds, [Box::new(encode_bids), Box::new(encode_mix), Box::new(decode_mix)]);
    println!("encode a bid                          {bid:9.2} ns/event");
    println!("encode, mean over the NexMark mix     {mix:9.2} ns/event");
    println!("decode, mean over the NexMark mix     {decode:9.2} ns/event");
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after =
        |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let rounds = after("--rounds").map_or(ROUNDS, |number| number.parse().unwrap());
    println!("CPU time, medians of {rounds} alternating rounds");
    let wanted = |part: &str| after("--only").is_none_or(|only| only == part);
    if wanted("generators") {
        generators::generators(rounds);
    }
    if wanted("encoding") {
        encoding(rounds);
    }
    if wanted("produce") {
        produce::produce(rounds);
    }
}
