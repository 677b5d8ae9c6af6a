//! Scripted brokers that follow Kafka's rules for idempotent producers, and inject faults.
//!
//! They share one log per partition, like in-sync replicas. Each listens on its own port; the leader of a partition
//! can be changed. Requests are handled with the crate `kafka-protocol`, by one thread per connection.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, Request, StrBytes, decode_request_header_from_buffer,
};
use kafka_protocol::records::{Compression, RecordBatchDecoder};

/// A fault of a batch, or of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Responds with this code without accepting the batch.
    Refuse(i16),
    /// Accepts it and responds with this code.
    TakeAndRefuse(i16),
    /// Accepts the request, and closes the connection after this many bytes of the response.
    CutAnswer(usize),
    /// Closes the connection after reading this many bytes of the request.
    CutRequest(usize),
    /// Moves the leadership of all partitions to another broker.
    MoveLeaders,
    /// Responds twice.
    AnswerTwice,
    /// Requests throttling, ms.
    Throttle(i32),
    /// Does not respond until the connection has ended.
    Hang,
    /// Forgets all but the last batch of each producer.
    Restart,
}

/// Last batches of a producer in a partition, as first and last sequence number.
#[derive(Debug, Default)]
struct Known {
    epoch: i16,
    batches: VecDeque<(i32, i32)>,
}

/// A partition: its records, and the state of its producers.
#[derive(Debug, Default)]
struct Log {
    values: Vec<(i64, Bytes)>,
    known: HashMap<i64, Known>,
}

#[derive(Debug, Default)]
struct BrokerState {
    logs: BTreeMap<(String, i32), Log>,
    leader: usize,
    leader_epoch: i32,
    /// Fault of each produce request in turn; none after the last.
    script: VecDeque<Option<Fault>>,
    requests: usize,
    producers: i64,
    versions: Vec<(ApiKey, i16, i16)>,
    producer_id_error: i16,
}

/// Brokers with the same partitions.
pub(crate) struct Cluster {
    state: Arc<Mutex<BrokerState>>,
    addresses: Vec<String>,
}

impl Cluster {
    /// Starts this many brokers, with topics and their partitions.
    pub(crate) fn start(brokers: usize, topics: &[(&str, i32)]) -> Cluster {
        let logs = topics.iter().flat_map(|(name, partitions)| {
            (0..*partitions).map(|partition| (((*name).to_owned(), partition), Log::default()))
        });
        let versions =
            vec![(ApiKey::Produce, 0, 12), (ApiKey::Metadata, 0, 12), (ApiKey::InitProducerId, 0, 5)];
        let state = BrokerState { logs: logs.collect(), versions, ..BrokerState::default() };
        let state = Arc::new(Mutex::new(state));
        let listeners: Vec<TcpListener> =
            (0..brokers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<String> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        for (id, listener) in listeners.into_iter().enumerate() {
            let (state, addresses) = (Arc::clone(&state), addresses.clone());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let connection =
                        Connection { id, state: Arc::clone(&state), addresses: addresses.clone() };
                    thread::spawn(move || connection.serve(stream.unwrap()));
                }
            });
        }
        Cluster { state, addresses }
    }

    fn with<T>(&self, change: impl FnOnce(&mut BrokerState) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        self.addresses.join(",")
    }

    /// Sets the faults of the next produce requests, in turn.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.with(|state| state.script = faults.into_iter().collect());
    }

    /// Sets the reported versions.
    pub(crate) fn versions(&self, versions: Vec<(ApiKey, i16, i16)>) {
        self.with(|state| state.versions = versions);
    }

    /// Sets the error code of requests for producer ids.
    pub(crate) fn refuse_producer_ids(&self, code: i16) {
        self.with(|state| state.producer_id_error = code);
    }

    /// Number of produce requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    /// Timestamps and values of a partition.
    pub(crate) fn values(&self, topic: &str, partition: i32) -> Vec<(i64, Bytes)> {
        self.with(|state| state.logs[&(topic.to_owned(), partition)].values.clone())
    }

    /// Deletes the last, acknowledged record of a partition.
    pub(crate) fn lose_last(&self, topic: &str, partition: i32) {
        self.with(|state| {
            let log = state.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
            log.values.pop();
            for known in log.known.values_mut() {
                known.batches.pop_back();
            }
        });
    }
}

struct Connection {
    id: usize,
    state: Arc<Mutex<BrokerState>>,
    addresses: Vec<String>,
}

/// The framed response of a request.
fn framed<R: Request>(response: &R::Response, version: i16, correlation: i32) -> BytesMut {
    let mut bytes = BytesMut::from(&[0; 4][..]);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut bytes, R::Response::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    let length = (bytes.len() - 4) as i32;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

impl Connection {
    fn serve(self, mut stream: TcpStream) {
        // Ends with the client's connection.
        while let Some(request) = self.read(&mut stream) {
            if self.answer(request, &mut stream).is_none() {
                break;
            }
        }
        let _gone = stream.shutdown(Shutdown::Both);
    }

    fn state<T>(&self, change: impl FnOnce(&mut BrokerState) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// The next request, unless the connection ends before.
    fn read(&self, stream: &mut TcpStream) -> Option<Bytes> {
        let mut begin = [0; 6];
        stream.read_exact(&mut begin).ok()?;
        let length = i32::from_be_bytes(begin[..4].try_into().unwrap()) as usize;
        let mut bytes = begin[4..].to_vec();
        bytes.resize(length, 0);
        if bytes[..2] == (ApiKey::Produce as i16).to_be_bytes() {
            let cut = self.state(|state| match state.script.front() {
                Some(Some(Fault::CutRequest(count))) => {
                    let count = *count;
                    state.requests += 1;
                    state.script.pop_front();
                    Some(count)
                }
                _ => None,
            });
            if let Some(count) = cut {
                let _gone = stream.read_exact(&mut bytes[2..(2 + count).min(length)]);
                return None;
            }
        }
        stream.read_exact(&mut bytes[2..]).ok()?;
        Some(bytes.into())
    }

    /// Responds to a request; `None` if the connection must end.
    fn answer(&self, mut request: Bytes, stream: &mut TcpStream) -> Option<()> {
        let header = decode_request_header_from_buffer(&mut request).unwrap();
        let (version, correlation) = (header.request_api_version, header.correlation_id);
        let bytes = match ApiKey::try_from(header.request_api_key).unwrap() {
            ApiKey::ApiVersions => framed::<ApiVersionsRequest>(&self.versions(), version, correlation),
            ApiKey::Metadata => {
                let request = MetadataRequest::decode(&mut request, version).unwrap();
                assert!(!request.allow_auto_topic_creation);
                framed::<MetadataRequest>(&self.metadata(), version, correlation)
            }
            ApiKey::InitProducerId => {
                framed::<InitProducerIdRequest>(&self.producer_id(), version, correlation)
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(&mut request, version).unwrap();
                assert_eq!((request.acks, request.transactional_id.is_some()), (-1, false));
                return self.produce(&request, version, correlation, stream);
            }
            other => panic!("a request of the kind {other:?}"),
        };
        stream.write_all(&bytes).ok()
    }

    fn versions(&self) -> ApiVersionsResponse {
        let version = |(key, min, max): &(ApiKey, i16, i16)| {
            ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
        };
        let known = self.state(|state| state.versions.iter().map(version).collect());
        ApiVersionsResponse::default().with_api_keys(known)
    }

    fn metadata(&self) -> MetadataResponse {
        let brokers = self.addresses.iter().enumerate().map(|(id, address)| {
            let (host, port) = address.rsplit_once(':').unwrap();
            MetadataResponseBroker::default()
                .with_node_id((id as i32).into())
                .with_host(StrBytes::from_string(host.to_owned()))
                .with_port(port.parse().unwrap())
        });
        self.state(|state| {
            let mut topics = BTreeMap::<&String, Vec<MetadataResponsePartition>>::new();
            for (topic, partition) in state.logs.keys() {
                let leader = MetadataResponsePartition::default()
                    .with_partition_index(*partition)
                    .with_leader_id((state.leader as i32).into())
                    .with_leader_epoch(state.leader_epoch);
                topics.entry(topic).or_default().push(leader);
            }
            let topic = |(name, partitions): (&String, _)| {
                MetadataResponseTopic::default()
                    .with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
                    .with_partitions(partitions)
            };
            let topics = topics.into_iter().map(topic).collect();
            MetadataResponse::default().with_brokers(brokers.collect()).with_topics(topics)
        })
    }

    fn producer_id(&self) -> InitProducerIdResponse {
        self.state(|state| {
            state.producers += 1;
            InitProducerIdResponse::default()
                .with_error_code(state.producer_id_error)
                .with_producer_id((1_000 + state.producers).into())
                .with_producer_epoch(0)
        })
    }

    fn produce(
        &self,
        request: &ProduceRequest,
        version: i16,
        correlation: i32,
        stream: &mut TcpStream,
    ) -> Option<()> {
        let brokers = self.addresses.len();
        let fault = self.state(|state| {
            state.requests += 1;
            let fault = state.script.pop_front().flatten();
            match fault {
                Some(Fault::MoveLeaders) => {
                    state.leader = (state.leader + 1) % brokers;
                    state.leader_epoch += 1;
                }
                Some(Fault::Restart) => {
                    for known in state.logs.values_mut().flat_map(|log| log.known.values_mut()) {
                        known.batches = known.batches.back().copied().into_iter().collect();
                    }
                }
                _ => {}
            }
            fault
        });
        let mut response = self.state(|state| self.append(state, request, fault));
        if let Some(Fault::Throttle(ms)) = fault {
            response = response.with_throttle_time_ms(ms);
        }
        let bytes = framed::<ProduceRequest>(&response, version, correlation);
        match fault {
            Some(Fault::CutAnswer(count)) => {
                let _gone = stream.write_all(&bytes[..count.min(bytes.len() - 1)]);
                None
            }
            Some(Fault::Hang) => {
                // Until the client disconnects.
                while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
                None
            }
            Some(Fault::AnswerTwice) => {
                stream.write_all(&bytes).ok()?;
                stream.write_all(&bytes).ok()
            }
            _ => stream.write_all(&bytes).ok(),
        }
    }

    fn append(
        &self,
        state: &mut BrokerState,
        request: &ProduceRequest,
        fault: Option<Fault>,
    ) -> ProduceResponse {
        let leads = state.leader == self.id;
        let mut topics = Vec::new();
        for topic in &request.topic_data {
            let mut partitions = Vec::new();
            for data in &topic.partition_data {
                let log = state.logs.get_mut(&(topic.name.to_string(), data.index)).unwrap();
                let code = match fault {
                    _ if !leads => 6,
                    Some(Fault::Refuse(code)) => code,
                    Some(Fault::TakeAndRefuse(code)) => match log.append(data.records.clone().unwrap()) {
                        0 => code,
                        refused => refused,
                    },
                    _ => log.append(data.records.clone().unwrap()),
                };
                partitions
                    .push(PartitionProduceResponse::default().with_index(data.index).with_error_code(code));
            }
            topics.push(
                TopicProduceResponse::default()
                    .with_name(topic.name.clone())
                    .with_partition_responses(partitions),
            );
        }
        ProduceResponse::default().with_responses(topics)
    }
}

impl Log {
    /// Appends a batch by the rules of `ProducerStateManager` and `ProducerAppendInfo`; returns the error code.
    fn append(&mut self, mut bytes: Bytes) -> i16 {
        let set = RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(unframe)).unwrap();
        assert!(!bytes.has_remaining());
        let (first, last) = (&set.records[0], &set.records[set.records.len() - 1]);
        let (batch, epoch) = ((first.sequence, last.sequence), first.producer_epoch);
        if let Some(known) = self.known.get(&first.producer_id) {
            if epoch < known.epoch {
                return 47;
            }
            if epoch == known.epoch && known.batches.contains(&batch) {
                return 0;
            }
            let expected =
                if epoch > known.epoch { Some(0) } else { known.batches.back().map(|(_, last)| last + 1) };
            if expected.is_some_and(|expected| expected != batch.0) {
                return 45;
            }
        }
        let known = self.known.entry(first.producer_id).or_default();
        if epoch > known.epoch {
            *known = Known { epoch, batches: VecDeque::new() };
        }
        known.batches.push_back(batch);
        if known.batches.len() > 5 {
            known.batches.pop_front();
        }
        self.values.extend(set.records.into_iter().map(|record| (record.timestamp, record.value.unwrap())));
        0
    }
}

fn unframe(bytes: &mut Bytes, compression: Compression) -> anyhow::Result<Bytes> {
    if compression == Compression::None {
        return Ok(bytes.clone());
    }
    let (mut out, mut at) = (Vec::new(), 7);
    loop {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        at += 4;
        if length == 0 {
            return Ok(out.into());
        }
        let block = &bytes[at..at + (length & 0x7fff_ffff) as usize];
        at += block.len();
        if length >> 31 == 1 {
            out.extend_from_slice(block);
        } else {
            out.extend(lz4_flex::block::decompress(block, 1 << 16)?);
        }
    }
}
