//! Topics, and asking the broker whether it is there: both by the Kafka client library, without a JVM.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// How long one request to the broker may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// How long the broker may take to answer a question for its metadata; it is asked again.
const PROBE_DEADLINE: Duration = Duration::from_millis(500);

/// A topic could not be created or deleted.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// There is one of this name already, maybe with another number of partitions.
    #[error("topic {0} exists already")]
    Exists(String),
    /// There is none of this name.
    #[error("there is no topic {0}")]
    Unknown(String),
    /// The broker refused for another reason.
    #[error("the broker refused the request for topic {topic}: {code}")]
    Refused {
        /// The topic.
        topic: String,
        /// Kafka's own reason.
        code: RDKafkaErrorCode,
    },
    /// The broker did not answer, or the client could not be made.
    #[error("cannot ask the broker about topic {topic}")]
    Client {
        /// The topic.
        topic: String,
        /// What the library said.
        #[source]
        source: KafkaError,
    },
}

/// A client that keeps its complaints to itself: a broker that is not there yet is no news while it starts.
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

/// Asks a starting broker, again and again, for the cluster's metadata.
pub(crate) struct BrokerProbe {
    admin: std::sync::Arc<AdminClient<Silent>>,
}

impl BrokerProbe {
    pub(crate) fn new(bootstrap: &str) -> Result<Self, KafkaError> {
        Ok(Self { admin: std::sync::Arc::new(admin(bootstrap)?) })
    }

    /// Whether the broker answered and counts itself as a member of the cluster.
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
/// [`TopicError`]; above all [`TopicError::Exists`].
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
/// [`TopicError`]; above all [`TopicError::Unknown`].
pub async fn delete_topic(bootstrap: &str, name: &str) -> Result<(), TopicError> {
    let client_error = |source| TopicError::Client { topic: name.to_owned(), source };
    let admin = admin(bootstrap).map_err(client_error)?;
    let results = admin.delete_topics(&[name], &options()).await.map_err(client_error)?;
    answer(name, results)
}

fn options() -> AdminOptions {
    // The operation timeout makes the broker answer only after the topic can be used.
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
