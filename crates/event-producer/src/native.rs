//! What happens for every single record, past the convenience layer of rust-rdkafka.
//!
//! That layer looks up a topic by its name for each record, and makes a message object, counted by reference, of each
//! delivery report: half of a record's CPU time. Here a topic is a handle that is asked for once, a record's opaque is a
//! number, and the reports of a batch are read where librdkafka keeps them, by the thread that produces, so that a record's
//! memory is taken and given back by the same thread while it is still in the cache.
//!
//! Everything else (settings, metadata, errors, shutting down) is left to rust-rdkafka, whose client this wraps. All unsafe
//! code of the producer is in this file, but for one call of the system in `client_priority`. It rests on three facts of
//! librdkafka's documentation: its handles may be used by any thread; a topic and a queue keep their client alive until they
//! are destroyed; and a message of a delivery report is valid until its event is destroyed.
#![expect(unsafe_code, reason = "two calls per record, which the safe wrapper makes twice as expensive")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::bindings as sys;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::{RDKafkaEvent, RDKafkaQueue, RDKafkaTopic};

use crate::deliveries::Callbacks;

/// A record ready to be handed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: i64,
    pub(crate) payload: &'a [u8],
    /// Comes back with the report.
    pub(crate) opaque: usize,
}

/// What became of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// As it was given to [`NativeProducer::produce`].
    pub(crate) opaque: usize,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: i64,
    pub(crate) outcome: Result<(), RDKafkaErrorCode>,
}

/// A topic of one [`NativeProducer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic(pub(crate) usize);

/// A producer with handles of its topics.
pub(crate) struct NativeProducer {
    topics: Vec<NonNull<RDKafkaTopic>>,
    queue: NonNull<RDKafkaQueue>,
    producer: BaseProducer<Callbacks>,
}

// SAFETY: the pointers are handles of librdkafka, which may be used by any thread, and by several at a time.
unsafe impl Send for NativeProducer {}
// SAFETY: as above.
unsafe impl Sync for NativeProducer {}

impl NativeProducer {
    /// Takes over the delivery reports of a producer.
    ///
    /// # Errors
    /// Never in practice: if librdkafka has no queue for the client.
    pub(crate) fn new(producer: BaseProducer<Callbacks>) -> anyhow::Result<Self> {
        // SAFETY: the client lives as long as `producer`. The queue is given back in `drop`, before it.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let queue = NonNull::new(queue).context("the Kafka client has no queue of events")?;
        Ok(NativeProducer { topics: Vec::new(), queue, producer })
    }

    /// The client, for everything that does not happen per record.
    pub(crate) const fn producer(&self) -> &BaseProducer<Callbacks> {
        &self.producer
    }

    /// A handle for a topic, which need not exist yet.
    ///
    /// # Errors
    /// If librdkafka refuses the name.
    pub(crate) fn topic(&mut self, name: &str) -> anyhow::Result<Topic> {
        let name_z = CString::new(name)?;
        // SAFETY: client and name are valid; no configuration means that of the client. The topic is given back in `drop`.
        let topic = unsafe {
            sys::rd_kafka_topic_new(self.producer.client().native_ptr(), name_z.as_ptr(), null_mut())
        };
        let topic = NonNull::new(topic).ok_or_else(|| anyhow!("the Kafka client rejected topic {name}"))?;
        self.topics.push(topic);
        Ok(Topic(self.topics.len() - 1))
    }

    /// Puts a copy of the record into librdkafka's queue, without waiting.
    ///
    /// # Errors
    /// `QueueFull` if there is no room; other codes if the record can never be sent. There is no report of it then.
    #[inline]
    pub(crate) fn produce(&self, record: Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
        use sys::rd_kafka_vtype_t as tag;
        let topic = self.topics[record.topic.0];
        // SAFETY: every tag is followed by what librdkafka expects after it, in the types it expects: a topic handle, i32,
        // int, pointer and size_t, pointer, i64. The topic lives as long as `self`; the payload is copied before the call
        // returns (F_COPY), and the opaque is never followed.
        let code = unsafe {
            sys::rd_kafka_producev(
                self.producer.client().native_ptr(),
                tag::RD_KAFKA_VTYPE_RKT,
                topic.as_ptr(),
                tag::RD_KAFKA_VTYPE_PARTITION,
                record.partition,
                tag::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                tag::RD_KAFKA_VTYPE_VALUE,
                record.payload.as_ptr().cast::<c_void>(),
                record.payload.len(),
                tag::RD_KAFKA_VTYPE_OPAQUE,
                record.opaque as *mut c_void,
                tag::RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp_ms,
                tag::RD_KAFKA_VTYPE_END,
            )
        };
        outcome(code)
    }

    /// Waits for one event, at most for `limit`, and shows each delivery report in it to `take`. Errors and messages of
    /// the client go to its context. Returns whether there was an event.
    pub(crate) fn poll(&self, limit: Duration, take: impl FnMut(Report)) -> bool {
        let limit_ms = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue lives as long as `self`. The event is ours and destroyed by `Event`.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), limit_ms) };
        let Some(event) = NonNull::new(event).map(Event) else { return false };
        match event.kind() {
            sys::RD_KAFKA_EVENT_DR => event.reports().for_each(take),
            sys::RD_KAFKA_EVENT_ERROR => {
                let (error, reason) = event.error();
                self.producer.context().error(error, &reason);
            }
            sys::RD_KAFKA_EVENT_LOG => {
                if let Some((facility, message)) = event.log() {
                    self.producer.context().log(RDKafkaLogLevel::Info, &facility, &message);
                }
            }
            _ => {}
        }
        true
    }
}

impl Drop for NativeProducer {
    fn drop(&mut self) {
        for topic in &self.topics {
            // SAFETY: from rd_kafka_topic_new, and used by nobody any more.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
        // SAFETY: from rd_kafka_queue_get_main, and used by nobody any more. The client itself is dropped afterwards.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

fn outcome(code: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(code.into()) }
}

/// An event that is ours until it goes out of scope.
struct Event(NonNull<RDKafkaEvent>);

impl Event {
    fn kind(&self) -> c_int {
        // SAFETY: the event is valid.
        unsafe { sys::rd_kafka_event_type(self.0.as_ptr()) }
    }

    /// The reports of a `RD_KAFKA_EVENT_DR`.
    fn reports(&self) -> impl Iterator<Item = Report> {
        std::iter::from_fn(|| {
            // SAFETY: the event is valid, and so is a message of it until it is destroyed, if there is one more.
            let message = unsafe { sys::rd_kafka_event_message_next(self.0.as_ptr()).as_ref()? };
            // SAFETY: as above; the type of the timestamp need not be asked for.
            let timestamp_ms = unsafe { sys::rd_kafka_message_timestamp(message, null_mut()) };
            Some(Report { opaque: message._private as usize, timestamp_ms, outcome: outcome(message.err) })
        })
    }

    /// Code and reason of a `RD_KAFKA_EVENT_ERROR`.
    fn error(&self) -> (KafkaError, String) {
        // SAFETY: the event is valid, and so is its text until it is destroyed.
        unsafe {
            let code = sys::rd_kafka_event_error(self.0.as_ptr());
            (KafkaError::Global(code.into()), text(sys::rd_kafka_event_error_string(self.0.as_ptr())))
        }
    }

    /// Facility and text of a `RD_KAFKA_EVENT_LOG`.
    fn log(&self) -> Option<(String, String)> {
        let (mut facility, mut message, mut level) = (null::<c_char>(), null::<c_char>(), 0);
        // SAFETY: the event is valid, and so are its texts until it is destroyed.
        unsafe {
            let answer =
                sys::rd_kafka_event_log(self.0.as_ptr(), &raw mut facility, &raw mut message, &raw mut level);
            (answer == 0).then(|| (text(facility), text(message)))
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and no borrow of it is left.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// A text of librdkafka's; empty if there is none.
///
/// # Safety
/// `text` is null or points to a text that ends with a zero.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}
