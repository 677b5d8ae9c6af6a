//! Blocking tasks, each in a thread of its own: connecting to a broker, and requesting the leaders.
//!
//! There is at most one request for the leaders at a time, and one connection attempt per broker.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::broker_stream::{BrokerStream, Cluster, RequestError};
use super::wake::{WakeReceiver, WakeSender, wake};

/// Result of a task.
#[derive(Debug)]
pub(crate) enum TaskResult {
    /// A connection to a broker.
    Connected(i32, Result<BrokerStream, RequestError>),
    /// Brokers and leaders.
    Cluster(Result<Cluster, RequestError>),
}

/// Starts tasks and collects their results.
#[derive(Debug)]
pub(crate) struct BackgroundTasks {
    client_id: String,
    limit: Duration,
    done: Sender<TaskResult>,
    results: Receiver<TaskResult>,
    wake: WakeSender,
    woken: WakeReceiver,
}

impl BackgroundTasks {
    /// # Errors
    /// No socket can be created.
    pub(crate) fn new(client_id: &str, limit: Duration) -> io::Result<BackgroundTasks> {
        let ((done, results), (wake, woken)) = (channel(), wake()?);
        Ok(BackgroundTasks { client_id: client_id.to_owned(), limit, done, results, wake, woken })
    }

    /// Returns the end that becomes readable when a result arrives.
    pub(crate) const fn woken(&self) -> &WakeReceiver {
        &self.woken
    }

    /// Returns the next result, if there is one.
    pub(crate) fn next(&self) -> Option<TaskResult> {
        self.results.try_recv().ok()
    }

    /// Connects to a broker.
    pub(crate) fn connect(&self, broker: i32, address: String) {
        let (client_id, limit) = (self.client_id.clone(), self.limit);
        self.send_out(
            move || TaskResult::Connected(broker, BrokerStream::begin(&address, &client_id, limit)),
            move |failed| TaskResult::Connected(broker, Err(failed)),
        );
    }

    /// Requests the leaders from the brokers, one after the other until one responds.
    pub(crate) fn cluster(&self, addresses: Vec<String>, topics: Vec<String>) {
        let (client_id, limit) = (self.client_id.clone(), self.limit);
        self.send_out(
            move || {
                let mut result = Err(RequestError::Unsuitable("no broker is known".to_owned()));
                for address in &addresses {
                    result = BrokerStream::begin(address, &client_id, limit)
                        .and_then(|mut broker_stream| broker_stream.cluster(&topics));
                    if result.is_ok() {
                        break;
                    }
                }
                TaskResult::Cluster(result)
            },
            |failed| TaskResult::Cluster(Err(failed)),
        );
    }

    fn send_out(
        &self,
        errand: impl FnOnce() -> TaskResult + Send + 'static,
        failed: impl Fn(RequestError) -> TaskResult,
    ) {
        let done = self.done.clone();
        let begun = self.wake.try_clone().and_then(|wake| {
            let body = move || {
                // The producer may have ended meanwhile.
                let _unwanted = done.send(errand());
                wake.wake();
            };
            thread::Builder::new().name("kafka-errand".to_owned()).spawn(body)
        });
        if let Err(source) = begun {
            let _heard = self.done.send(failed(RequestError::Io { address: "no thread".to_owned(), source }));
            self.wake.wake();
        }
    }
}
