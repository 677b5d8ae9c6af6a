//! Goal: what stands in Kafka after a run is exactly the stream that the generator makes of the same seed and start time:
//! every record in its topic and partition, in the order of the numbers, with its timestamp, by either transport. Against the broker that
//! librdkafka simulates, which speaks the protocol over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use events::{Event, Kind};
use generator::Workload;
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::ProfileConfig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, Timestamp};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

/// Each is held to the same.
const TRANSPORTS: [&str; 2] = ["librdkafka", "batches"];
const DEADLINE: Duration = Duration::from_secs(30);
const KINDS: [Kind; 4] = [Kind::Person, Kind::Item, Kind::Auction, Kind::Bid];

type Broker = MockCluster<'static, DefaultProducerContext>;

fn broker(topics: &[(Kind, i32)]) -> Broker {
    let broker = MockCluster::new(1).unwrap();
    for (kind, partitions) in topics {
        broker.create_topic(kind.topic(), *partitions, 1).unwrap();
    }
    broker
}

fn producer(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_event-producer"));
    command.args(["--bootstrap-servers", &broker.bootstrap_servers(), "--output", "json"]).args(arguments);
    command
}

fn totals(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; standard error:\n{errors}"))
}

fn consumer(broker: &Broker) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap_servers()).set("group.id", "test").create().unwrap()
}

/// Payload and timestamp of the first `count` records of a partition.
fn partition(broker: &Broker, kind: Kind, partition: i32, count: usize) -> Vec<(Vec<u8>, i64)> {
    let consumer = consumer(broker);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(kind.topic(), partition, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let start = Instant::now();
    let mut records = Vec::new();
    while records.len() < count {
        assert!(
            start.elapsed() < DEADLINE,
            "{} of {count} records of {} {partition}",
            records.len(),
            kind.topic()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let Timestamp::CreateTime(timestamp) = message.timestamp() else { panic!("no CreateTime") };
            records.push((message.payload().unwrap().to_vec(), timestamp));
        }
    }
    let (_, end) = consumer.fetch_watermarks(kind.topic(), partition, DEADLINE).unwrap();
    assert_eq!(end, count as i64, "records in {} {partition}", kind.topic());
    records
}

#[test]
fn a_run_writes_exactly_the_stream() {
    TRANSPORTS.into_iter().for_each(a_run_writes_exactly_the_stream_by);
}

fn a_run_writes_exactly_the_stream_by(transport: &str) {
    const EVENTS: u64 = 5_300;
    let topics = [(Kind::Person, 1), (Kind::Item, 2), (Kind::Auction, 3), (Kind::Bid, 4)];
    let broker = broker(&topics);
    let start_ms = 1_700_000_000_000;
    let arguments =
        ["--seed", "7", "--events", "5300", "--start-time", "1700000000000", "--steps", "20000:0.1,100000:9"];
    let output = producer(&broker, &arguments).args(["--transport", transport]).output().unwrap();
    let fallback = String::from_utf8_lossy(&output.stderr).contains("cannot use transport");
    assert!(!fallback, "{}", String::from_utf8_lossy(&output.stderr));
    let totals = totals(&output);
    assert_eq!(output.status.code(), Some(0), "{totals}");
    for (key, value) in
        [("emitted", EVENTS), ("acked", EVENTS), ("due", EVENTS), ("failed", 0), ("next_event", EVENTS)]
    {
        assert_eq!(totals[key], value, "{key} in {totals}");
    }

    let steps: ProfileConfig =
        toml::from_str("kind='steps'\nsteps=[{rate=20000,duration_s=0.1},{rate=100000,duration_s=9}]")
            .unwrap();
    let generator = Nexmark::new(NexmarkConfig::default().check().unwrap(), 7);
    let workload = Workload::new(generator, steps.check().unwrap(), start_ms, Some(EVENTS));
    let recording = workload.record(0..EVENTS);
    assert_eq!(totals["bytes"], recording.records().map(<[u8]>::len).sum::<usize>());
    for (kind, partitions) in topics {
        for number in 0..partitions {
            let expected: Vec<(Vec<u8>, i64)> = (0_u64..)
                .zip(recording.records())
                .filter(|(n, _)| workload.kind(*n) == kind && n % partitions as u64 == number as u64)
                .map(|(_, record)| (record.to_vec(), Event::decode(record).unwrap().timestamp()))
                .collect();
            assert_eq!(
                partition(&broker, kind, number, expected.len()),
                expected,
                "{} {number}",
                kind.topic()
            );
        }
    }
}

#[test]
fn selected_streams_keep_their_numbers_and_a_run_can_be_continued() {
    let broker = broker(&[(Kind::Bid, 1)]);
    let fixed = ["--streams", "bid", "--max", "--start-time", "5"];
    // One transport goes on where the other has stopped.
    let bounds = [["--from", "0", "--events", "1000"], ["--from", "1000", "--events", "1120"]];
    for (bounds, transport) in bounds.into_iter().zip(TRANSPORTS) {
        let output =
            producer(&broker, &fixed).args(bounds).args(["--transport", transport]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", totals(&output));
    }
    let generator = Nexmark::new(NexmarkConfig::default().check().unwrap(), 1);
    let profile = ProfileConfig::Constant { rate: 1_000.0, duration_s: None }.check().unwrap();
    let recording = Workload::new(generator, profile, 5, None).record(0..2_120);
    let bids = recording.records().filter(|record| Event::decode(record).unwrap().kind() == Kind::Bid);
    let expected: Vec<Vec<u8>> = bids.map(<[u8]>::to_vec).collect();
    let found = partition(&broker, Kind::Bid, 0, 40 * 46);
    assert!(found.iter().map(|(payload, _)| payload).eq(&expected));
}

#[test]
fn two_shards_write_together_what_one_producer_writes() {
    let run = |shards: &[&str], transport: &str| {
        let broker = broker(&[(Kind::Click, 3), (Kind::Impression, 2), (Kind::Search, 4)]);
        let fixed = ["--benchmark", "psm", "--max", "--start-time", "5", "--events", "3000"];
        let mut emitted = 0;
        for shard in shards {
            let output = producer(&broker, &fixed)
                .args(["--shard", shard, "--transport", transport])
                .output()
                .unwrap();
            let totals = totals(&output);
            assert_eq!(output.status.code(), Some(0), "{totals}");
            emitted += totals["emitted"].as_u64().unwrap();
        }
        assert_eq!(emitted, 3_000);
        let (_, all) = consumer(&broker).fetch_watermarks(Kind::Search.topic(), 3, DEADLINE).unwrap();
        assert!(all > 300, "{all} of about 375 searches");
        partition(&broker, Kind::Search, 3, all as usize)
    };
    let whole = run(&["0/1"], "librdkafka");
    for transport in TRANSPORTS {
        assert!(run(&["1/2", "0/2"], transport) == whole, "{transport}");
    }
}

/// A producer at work, which is ended with the test, also with one that fails.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(Some(command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()))
    }

    /// Reads standard error until a line contains the text.
    fn await_line(&mut self, text: &str) -> String {
        let lines = BufReader::new(self.0.as_mut().unwrap().stderr.take().unwrap()).lines();
        let line = lines.map(Result::unwrap).find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no line with {text:?}"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.as_ref().unwrap().id() as i32), signal).unwrap();
    }

    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_signal_ends_the_run_with_everything_acknowledged() {
    for (signal, transport) in [(Signal::SIGTERM, TRANSPORTS[0]), (Signal::SIGINT, TRANSPORTS[1])] {
        let broker = broker(&KINDS.map(|kind| (kind, 2)));
        let arguments = ["--rate", "5000", "--transport", transport];
        let mut running = Running::start(&mut producer(&broker, &arguments));
        running.await_line(" emitting ");
        running.signal(signal);
        let output = running.output();
        let totals = totals(&output);
        assert_eq!(output.status.code(), Some(0), "{totals}");
        assert_eq!((&totals["acked"], &totals["in_flight"]), (&totals["emitted"], &Value::from(0)));
    }
}

/// The body of a page, of a server that closes the connection.
fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn the_metrics_page_follows_the_run() {
    let broker = broker(&KINDS.map(|kind| (kind, 2)));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("producer.toml");
    std::fs::write(&config, "[report]\ninterval_ms = 20\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let arguments = ["--rate", "5000", "--config", config.to_str().unwrap()];
    let mut running = Running::start(&mut producer(&broker, &arguments));
    let line = running.await_line("metrics page");
    let address = line.rsplit('=').next().unwrap().to_owned();
    assert_eq!(page(&address, "/healthz"), "ok\n");
    let start = Instant::now();
    let acked = |metrics: &str| {
        let line = metrics.lines().find(|line| line.starts_with("event_producer_acked_total "));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let mut metrics = page(&address, "/metrics");
    while acked(&metrics) < 500 {
        assert!(start.elapsed() < DEADLINE, "{metrics}");
        metrics = page(&address, "/metrics");
    }
    for name in ["due_total", "emitted_total", "failed_total 0", "bytes_total", "in_flight"] {
        assert!(metrics.contains(&format!("\nevent_producer_{name}")), "{name} in {metrics}");
    }
    assert!(metrics.contains("event_producer_schedule_delay_seconds{quantile=\"0.99\"}"), "{metrics}");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.output().status.code(), Some(0));
}

#[test]
fn a_full_queue_is_waited_for_and_nothing_is_lost() {
    for (bound, waits) in [
        ("[kafka]\nmax_in_flight = 50\n", true),
        ("[kafka]\ntransport = \"batches\"\nmax_in_flight = 50\n", true),
        ("[kafka]\ntransport = \"batches\"\nqueue_kib = 1\n", true),
        ("[kafka.properties]\n\"queue.buffering.max.messages\" = \"50\"\n", false),
    ] {
        let broker = broker(&KINDS.map(|kind| (kind, 2)));
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("producer.toml");
        std::fs::write(&config, bound).unwrap();
        let arguments = ["--events", "2000", "--max", "--config", config.to_str().unwrap()];
        let output = producer(&broker, &arguments).output().unwrap();
        let totals = totals(&output);
        assert_eq!(output.status.code(), Some(0), "{totals}");
        assert_eq!((&totals["emitted"], &totals["acked"]), (&2_000.into(), &2_000.into()), "{bound}");
        assert_eq!(totals["queue_waits"].as_u64().unwrap() > 0, waits, "{bound}: {totals}");
    }
}

#[test]
fn a_client_that_has_failed_for_good_ends_the_run() {
    let broker = broker(&KINDS.map(|kind| (kind, 1)));
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED; 100];
    broker.request_errors(RDKafkaApiKey::InitProducerId, &refused);
    for transport in TRANSPORTS {
        let output = producer(&broker, &["--rate", "1000", "--transport", transport]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("event-producer: fatal error of the Kafka client: "), "{message}");
    }
}

#[test]
fn a_missing_topic_is_named_with_the_command_that_creates_it() {
    let broker = broker(&[(Kind::Person, 1), (Kind::Item, 1), (Kind::Bid, 1)]);
    for transport in TRANSPORTS {
        let output = producer(&broker, &["--events", "10", "--transport", transport]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = format!(
            "topic auctionEvents missing on {0}; create with: event-producer topics create --bootstrap-servers {0}",
            broker.bootstrap_servers()
        );
        assert!(message.contains(&expected), "{message}");
    }
}

/// Goal: with a prefix, every record goes to the topic of the prefixed name, and a missing one is named in full.
#[test]
fn a_prefix_stands_before_every_topic() {
    let broker = MockCluster::new(1).unwrap();
    for kind in [Kind::Auction, Kind::Bid] {
        broker.create_topic(kind.topic(), 1, 1).unwrap();
        broker.create_topic(&format!("mine.{}", kind.topic()), 1, 1).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("producer.toml");
    let run = |prefix: &str| {
        let text = format!("streams = [\"bid\", \"auction\"]\n[kafka]\ntopic_prefix = \"{prefix}\"\n");
        std::fs::write(&config, text).unwrap();
        let arguments = ["--events", "530", "--max", "--config", config.to_str().unwrap()];
        producer(&broker, &arguments).output().unwrap()
    };
    assert_eq!(totals(&run("mine."))["acked"], 490);
    let records = |topic: &str| consumer(&broker).fetch_watermarks(topic, 0, DEADLINE).unwrap().1;
    assert_eq!((records("mine.auctionEvents"), records("mine.bidEvents")), (30, 460));
    assert_eq!((records("auctionEvents"), records("bidEvents")), (0, 0));

    let message = String::from_utf8(run("other.").stderr).unwrap();
    let parts = ["other.bidEvents", "other.auctionEvents missing on", " --topic-prefix other."];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    let bad = run("a b");
    assert!(
        bad.status.code() == Some(2) && String::from_utf8_lossy(&bad.stderr).contains("kafka.topic_prefix")
    );
}

#[test]
fn an_unreachable_broker_is_named_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("producer.toml");
    std::fs::write(&config, "[kafka]\nconnect_timeout_ms = 2000\n").unwrap();
    for transport in TRANSPORTS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_event-producer"));
        command
            .args(["--bootstrap-servers", "127.0.0.1:1", "--transport", transport, "--config"])
            .arg(&config);
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = "event-producer: no Kafka broker at 127.0.0.1:1 within 2000 ms: ";
        assert!(message.contains(expected) && message.contains("Connection refused"), "{message}");
        assert!(!message.contains('\u{1b}'), "colours only for people: {message}");
    }
}

#[test]
fn topics_of_an_unreachable_broker_are_refused_with_the_cause() {
    for action in ["create", "delete", "describe"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_event-producer"));
        let arguments = ["topics", action, "--bootstrap-servers", "127.0.0.1:1", "--timeout", "1"];
        let output = command.args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = "event-producer: no Kafka broker at 127.0.0.1:1 within 1000 ms: ";
        assert!(message.contains(expected) && message.contains("Connection refused"), "{message}");
    }
}

#[test]
fn records_that_cannot_be_delivered_are_counted_and_end_in_failure() {
    let broker = broker(&KINDS.map(|kind| (kind, 1)));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("producer.toml");
    std::fs::write(
        &config,
        "[nexmark]\ndescription_bytes = 5000\n[kafka.properties]\n\"message.max.bytes\" = \"2000\"\n",
    )
    .unwrap();
    let output = producer(&broker, &["--events", "530", "--max", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    let totals = totals(&output);
    assert_eq!(output.status.code(), Some(1), "{totals}");
    assert_eq!(
        (&totals["emitted"], &totals["acked"], &totals["failed"]),
        (&530.into(), &500.into(), &30.into())
    );
    assert!(totals["first_failure"].as_str().unwrap().contains("MessageSizeTooLarge"), "{totals}");
}

/// Goal: what batches cannot do is carried by librdkafka, and the log says why.
#[test]
fn librdkafka_carries_what_batches_cannot() {
    let broker = broker(&KINDS.map(|kind| (kind, 2)));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("producer.toml");
    for (settings, reason) in [
        ("compression = \"gzip\"\n", "gzip"),
        ("acks = \"1\"\nidempotence = false\n", "always idempotent"),
        ("[kafka.properties]\n\"socket.timeout.ms\" = \"9000\"\n", "kafka.properties.socket.timeout.ms"),
    ] {
        std::fs::write(&config, format!("[kafka]\ntransport = \"batches\"\n{settings}")).unwrap();
        let arguments = ["--events", "53", "--max", "--config", config.to_str().unwrap()];
        let output = producer(&broker, &arguments).output().unwrap();
        assert_eq!(totals(&output)["acked"], 53);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let line =
            log.lines().find(|line| line.contains("using librdkafka")).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains(reason), "{line}");
    }
}
