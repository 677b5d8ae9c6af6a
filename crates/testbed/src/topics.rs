//! Topics, and the broker's readiness check: both by the Kafka client library, without a JVM.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Timeout of one request to the broker.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// Timeout of one metadata request; it is retried.
const PROBE_DEADLINE: Duration = Duration::from_millis(500);

/// A topic could not be created or deleted.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A topic of this name already exists, possibly with another number of partitions.
    #[error("topic {0} already exists")]
    Exists(String),
    /// There is no topic of this name.
    #[error("topic {0} does not exist")]
    Unknown(String),
    /// The broker returned another error.
    #[error("the broker refused the request for topic {topic}: {code}")]
    Refused {
        /// Name of the topic.
        topic: String,
        /// Kafka's error code.
        code: RDKafkaErrorCode,
    },
    /// The broker did not answer, or the client could not be created.
    #[error("request to the broker for topic {topic} failed")]
    Client {
        /// Name of the topic.
        topic: String,
        /// The library's error.
        #[source]
        source: KafkaError,
    },
}

/// A client without log output: failed connections are expected while the broker starts.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

fn admin(bootstrap: &str) -> Result<AdminClient<Silent>, KafkaError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "200");
    config.create_with_context(Silent)
}

/// Polls a starting broker for the cluster's metadata.
pub(crate) struct BrokerProbe {
    admin: std::sync::Arc<AdminClient<Silent>>,
}

impl BrokerProbe {
    pub(crate) fn new(bootstrap: &str) -> Result<Self, KafkaError> {
        Ok(Self { admin: std::sync::Arc::new(admin(bootstrap)?) })
    }

    /// Whether the broker answered and lists itself as a member of the cluster.
    pub(crate) async fn answers(&self) -> bool {
        let admin = std::sync::Arc::clone(&self.admin);
        let ask = move || {
            let metadata = admin.inner().fetch_metadata(None, PROBE_DEADLINE);
            metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
        };
        tokio::task::spawn_blocking(ask).await.unwrap_or(false)
    }
}

/// Creates a topic with one replica.
///
/// # Errors
/// [`TopicError`]; mainly [`TopicError::Exists`].
pub async fn create_topic(bootstrap: &str, name: &str, partitions: u16) -> Result<(), TopicError> {
    let client_error = |source| TopicError::Client { topic: name.to_owned(), source };
    let admin = admin(bootstrap).map_err(client_error)?;
    let topic = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &options()).await.map_err(client_error)?;
    answer(name, results)
}

/// Deletes a topic with its records.
///
/// # Errors
/// [`TopicError`]; mainly [`TopicError::Unknown`].
pub async fn delete_topic(bootstrap: &str, name: &str) -> Result<(), TopicError> {
    let client_error = |source| TopicError::Client { topic: name.to_owned(), source };
    let admin = admin(bootstrap).map_err(client_error)?;
    let results = admin.delete_topics(&[name], &options()).await.map_err(client_error)?;
    answer(name, results)
}

fn options() -> AdminOptions {
    // With an operation timeout the broker answers only once the topic is usable.
    AdminOptions::new().request_timeout(Some(REQUEST_DEADLINE)).operation_timeout(Some(REQUEST_DEADLINE))
}

fn answer(name: &str, results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), TopicError> {
    let refusal = results.into_iter().find_map(Result::err);
    match refusal {
        None => Ok(()),
        Some((topic, RDKafkaErrorCode::TopicAlreadyExists)) => Err(TopicError::Exists(topic)),
        Some((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => Err(TopicError::Unknown(name.to_owned())),
        Some((topic, code)) => Err(TopicError::Refused { topic, code }),
    }
}
