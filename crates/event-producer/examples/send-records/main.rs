//! Sends finished records into Kafka and tells the CPU time: the event producer's transports, and librdkafka by its own call for many
//! records, beside the clients in `benches/peers`. Used by `scripts/benchmark-producer.sh --peers`.
//!
//! `send-records batches|librdkafka|librdkafka-batch-call BROKERS TOPIC_PREFIX FILE`; the records of FILE (`event-producer generate
//! --format wire`) in turn, again and again. It prints `ready VERSION`; then for each line with a number of records it sends
//! so many, waits for their acknowledgements, and prints the CPU time of the process and the time elapsed, in seconds.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod batch_call;
mod records;

use std::io::{BufRead, stdin};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use event_producer::{ConfigFile, KafkaSection, ProducePath, Transport};
use nix::time::{ClockId, clock_gettime};

use batch_call::BatchCall;
use records::{Records, topics};

const LIMIT: Duration = Duration::from_secs(120);

/// A way into Kafka.
enum Way {
    Path(Box<ProducePath>),
    BatchCall(BatchCall),
}

impl Way {
    fn new(name: &str, brokers: &str, topics: &[String]) -> anyhow::Result<Way> {
        let transport = match name {
            "batches" => Transport::Batches,
            "librdkafka" => Transport::Librdkafka,
            "librdkafka-batch-call" => return Ok(Way::BatchCall(BatchCall::new(brokers, topics)?)),
            _ => bail!("{name} is none of batches, librdkafka, librdkafka-batch-call"),
        };
        // The defaults of the event producer, whose records are acknowledged by all replicas, idempotent and compressed with lz4.
        let settings =
            KafkaSection { transport, bootstrap_servers: brokers.to_owned(), ..ConfigFile::default().kafka };
        Ok(Way::Path(Box::new(ProducePath::new(&settings, topics)?)))
    }

    fn send(&mut self, records: &mut Records, count: usize) -> anyhow::Result<()> {
        match self {
            Way::Path(path) => path.produce(records.next(count), LIMIT),
            Way::BatchCall(call) => call.produce(records.next(count), LIMIT),
        }
    }
}

/// CPU time of all threads of this process so far.
fn cpu_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, brokers, prefix, file] = &arguments[..] else {
        bail!("usage: send-records batches|librdkafka|librdkafka-batch-call BROKERS TOPIC_PREFIX FILE");
    };
    let mut records = Records::read(file)?;
    let mut way = Way::new(way, brokers, &topics(prefix))?;
    println!("ready librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    for line in stdin().lock().lines() {
        let count: usize = line?.trim().parse()?;
        ensure!(count > 0, "no records");
        let (cpu, begin) = (cpu_time()?, Instant::now());
        way.send(&mut records, count)?;
        println!("{} {}", (cpu_time()? - cpu).as_secs_f64(), begin.elapsed().as_secs_f64());
    }
    Ok(())
}
