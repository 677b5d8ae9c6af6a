//! A blocking connection: one request at a time, waiting for its response.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::batch::Identity;

/// Size limit of a response, in bytes: metadata of about 100,000 partitions.
const LONGEST_ANSWER: usize = 16 << 20;
/// Supported versions of each request. Produce: record batches, and topics by name. Metadata: without topic creation.
const SPOKEN: [(ApiKey, i16, i16); 3] =
    [(ApiKey::Produce, 3, 9), (ApiKey::Metadata, 4, 9), (ApiKey::InitProducerId, 0, 4)];
/// The Java client's value without transactions.
const NO_TRANSACTION_MS: i32 = i32::MAX;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The connection failed.
    #[error("{address}: {source}")]
    Io {
        /// `host:port`.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// The broker does not support a request, or a version of it.
    #[error("{0}")]
    Unsuitable(String),
    /// The broker answered with an error.
    #[error("{0}")]
    Refused(ResponseError),
}

/// Brokers and leaders, from the metadata of one broker.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// Addresses by broker id.
    pub(crate) brokers: BTreeMap<i32, String>,
    /// Topics with partitions, by name.
    pub(crate) topics: BTreeMap<String, BTreeMap<i32, Leader>>,
}

/// The leader of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Id of the broker; `None` during an election.
    pub(crate) broker: Option<i32>,
    /// Increases with every new leader; -1 where unknown.
    pub(crate) epoch: i32,
}

/// A connection to a broker with known versions.
#[derive(Debug)]
pub(crate) struct BrokerStream {
    stream: TcpStream,
    address: String,
    client_id: StrBytes,
    versions: BTreeMap<i16, i16>,
    correlation: i32,
}

/// Appends a request with its length to `out`.
pub(crate) fn frame<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
    out: &mut BytesMut,
) -> io::Result<()> {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client_id.clone()));
    header.encode(out, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(out, version).map_err(io::Error::other)?;
    let length = (out.len() - begin - 4) as i32;
    out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Parses the response to a request of this version, without its length.
pub(crate) fn unframe<R: Request>(mut bytes: Bytes, version: i16) -> io::Result<(i32, R::Response)> {
    let broken = |error| io::Error::new(io::ErrorKind::InvalidData, format!("malformed response: {error}"));
    let header = ResponseHeader::decode(&mut bytes, R::Response::header_version(version)).map_err(broken)?;
    let response = R::Response::decode(&mut bytes, version).map_err(broken)?;
    Ok((header.correlation_id, response))
}

/// Parses the length of a response.
pub(crate) fn answer_bytes(length: [u8; 4]) -> io::Result<usize> {
    usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= LONGEST_ANSWER).ok_or_else(
        || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "invalid length of a response; check that this is a Kafka broker without TLS",
            )
        },
    )
}

impl BrokerStream {
    /// Connects and requests the versions, within about `limit`.
    pub(crate) fn begin(
        address: &str,
        client_id: &str,
        limit: Duration,
    ) -> Result<BrokerStream, RequestError> {
        let failed = |source| RequestError::Io { address: address.to_owned(), source };
        let stream = connect(address, limit).map_err(failed)?;
        let mut broker_stream = BrokerStream {
            stream,
            address: address.to_owned(),
            client_id: StrBytes::from_string(client_id.to_owned()),
            versions: BTreeMap::new(),
            correlation: 0,
        };
        let known = broker_stream.ask(&ApiVersionsRequest::default(), 0)?;
        refused(known.error_code)?;
        for (key, from, to) in SPOKEN {
            let name = format!("{key:?}");
            let of = known.api_keys.iter().find(|known| known.api_key == key as i16).ok_or_else(|| {
                RequestError::Unsuitable(format!("the broker at {address} does not support request {name}"))
            })?;
            let version = of.max_version.min(to);
            if version < of.min_version.max(from) {
                let (min, max) = (of.min_version, of.max_version);
                return Err(RequestError::Unsuitable(format!(
                    "the broker at {address} supports versions {min} to {max} of {name}, this client {from} to {to}"
                )));
            }
            broker_stream.versions.insert(key as i16, version);
        }
        Ok(broker_stream)
    }

    /// Returns the common version of a request.
    fn version<R: Request>(&self) -> i16 {
        self.versions.get(&R::KEY).copied().unwrap_or(R::VERSIONS.min)
    }

    /// Returns the version of produce requests.
    pub(crate) fn produce_version(&self) -> i16 {
        self.version::<ProduceRequest>()
    }

    /// Returns the connection.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, RequestError> {
        self.exchange(request, version)
            .map_err(|source| RequestError::Io { address: self.address.clone(), source })
    }

    fn exchange<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation += 1;
        let mut bytes = BytesMut::new();
        frame(request, version, self.correlation, &self.client_id, &mut bytes)?;
        self.stream.write_all(&bytes)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; answer_bytes(length)?];
        self.stream.read_exact(&mut answer)?;
        let (correlation, response) = unframe::<R>(answer.into(), version)?;
        if correlation == self.correlation {
            Ok(response)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "response to another request"))
        }
    }

    /// Requests brokers, and the partitions of these topics.
    pub(crate) fn cluster(&mut self, topics: &[String]) -> Result<Cluster, RequestError> {
        let asked = |name: &String| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(asked).collect()))
            .with_allow_auto_topic_creation(false);
        let response = self.ask(&request, self.version::<MetadataRequest>())?;
        let mut cluster = Cluster::default();
        for broker in &response.brokers {
            cluster.brokers.insert(broker.node_id.0, address(&broker.host, broker.port));
        }
        for topic in response.topics.iter().filter(|topic| topic.error_code.is_ok()) {
            let Some(name) = &topic.name else { continue };
            let leader = |broker: i32, epoch| Leader { broker: (broker >= 0).then_some(broker), epoch };
            let partitions = topic.partitions.iter();
            let leaders: BTreeMap<_, _> =
                partitions.map(|of| (of.partition_index, leader(of.leader_id.0, of.leader_epoch))).collect();
            if !leaders.is_empty() {
                cluster.topics.insert(name.to_string(), leaders);
            }
        }
        Ok(cluster)
    }

    /// Requests a producer id.
    pub(crate) fn producer_id(&mut self) -> Result<Identity, RequestError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(NO_TRANSACTION_MS)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let response = self.ask(&request, self.version::<InitProducerIdRequest>())?;
        refused(response.error_code)?;
        Ok(Identity { id: response.producer_id.0, epoch: response.producer_epoch })
    }
}

fn refused(code: i16) -> Result<(), RequestError> {
    code.err().map_or(Ok(()), |error| Err(RequestError::Refused(error)))
}

/// Formats an address.
fn address(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn connect(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in address.to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Removes the first response from these bytes, if it is complete.
pub(crate) fn first_answer(bytes: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = answer_bytes(*length)?;
    if bytes.len() < 4 + length {
        return Ok(None);
    }
    bytes.advance(4);
    Ok(Some(bytes.split_to(length).freeze()))
}
