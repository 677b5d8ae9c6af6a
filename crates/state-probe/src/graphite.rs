//! Output by Graphite's plaintext protocol: lines of `name value timestamp` over TCP.
//!
//! While carbon is unavailable, lines wait in a bounded buffer; when it is full the oldest are dropped and counted. A
//! line leaves the buffer when it has been written to the socket, because the protocol has no acknowledgements: lines
//! that carbon had not read when it died are lost. Carbon never sends data, so a disconnect is detected by reading.
//! Lines of a failed write are sent again, which is idempotent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::config::Graphite;
use crate::probe_state::{GraphiteCounts, ProbeState};

/// Number of lines per write.
const BATCH_LINES: usize = 500;

/// The line buffer. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    buffer: Mutex<Buffer>,
    /// Notifies of new lines.
    filled: Notify,
    state: Arc<ProbeState>,
}

#[derive(Debug)]
struct Buffer {
    lines: VecDeque<String>,
    lines_max: usize,
    /// Number of the first line in the buffer, counted from the start of the probe.
    first: u64,
    counts: GraphiteCounts,
}

impl Buffer {
    fn put(&mut self, line: String) {
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
            self.first += 1;
            self.counts.dropped += 1;
        }
        self.lines.push_back(line);
    }

    /// Returns the oldest lines as one text, and the number of the line after them.
    fn batch(&self) -> (String, u64) {
        let text: String = self.lines.iter().take(BATCH_LINES).map(String::as_str).collect();
        (text, self.first + self.lines.len().min(BATCH_LINES) as u64)
    }

    /// Removes sent lines: all before this number that have not been dropped meanwhile.
    fn sent_before(&mut self, number: u64) {
        let count = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let count = count.min(self.lines.len());
        self.lines.drain(..count);
        self.first += count as u64;
        self.counts.sent += count as u64;
    }
}

impl Lines {
    /// Creates an empty buffer.
    pub(crate) fn new(lines_max: usize, state: Arc<ProbeState>) -> Self {
        let counts = GraphiteCounts::default();
        let buffer = Mutex::new(Buffer { lines: VecDeque::new(), lines_max, first: 0, counts });
        let lines = Self { shared: Arc::new(Shared { buffer, filled: Notify::new(), state }) };
        lines.change(|_| ());
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, act: impl FnOnce(&mut Buffer)) {
        let mut buffer = self.lock();
        act(&mut buffer);
        buffer.counts.buffered = buffer.lines.len();
        self.shared.state.note_graphite(buffer.counts);
    }

    /// Adds one value; `at_ms` is in milliseconds since the Unix epoch.
    pub(crate) fn put(&self, series: &str, value: impl std::fmt::Display, at_ms: u64) {
        self.change(|buffer| buffer.put(format!("{series} {value} {}\n", at_ms / 1000)));
        self.shared.filled.notify_one();
    }

    /// Waits until the buffer is empty.
    pub(crate) async fn emptied(&self) {
        while !self.lock().lines.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends forever: connects, writes, reconnects.
    pub(crate) async fn send(self, config: Graphite, backoff: (Duration, Duration)) {
        let deadline = Duration::from_millis(config.timeout_ms);
        let (mut pause, mut failures) = (backoff.0, 0_u32);
        loop {
            let reason = match connect(&config.address, deadline).await {
                Ok(stream) => {
                    info!(
                        address = config.address,
                        buffered = self.lock().lines.len(),
                        "connected to carbon"
                    );
                    self.change(|buffer| buffer.counts.is_connected = true);
                    (pause, failures) = (backoff.0, 0);
                    self.converse(stream, deadline).await
                }
                Err(reason) => reason,
            };
            self.change(|buffer| buffer.counts.is_connected = false);
            // Logs the first failure only; further attempts are at debug level.
            let counts = self.lock().counts;
            if failures == 0 {
                let (address, buffered, dropped) = (&config.address, counts.buffered, counts.dropped);
                warn!(address, buffered, dropped, "carbon: {reason}; buffering lines");
            } else {
                debug!(address = config.address, failures, "carbon: {reason}");
            }
            failures = failures.saturating_add(1);
            sleep(pause.mul_f64(rand::random_range(0.75..=1.0))).await;
            pause = (pause * 2).min(backoff.1);
        }
    }

    /// Writes until the connection is lost; returns the reason.
    async fn converse(&self, mut stream: TcpStream, deadline: Duration) -> String {
        let (mut from_carbon, mut to_carbon) = stream.split();
        let mut nothing = [0; 64];
        loop {
            let (text, next) = self.lock().batch();
            let has_lines = async {
                if text.is_empty() {
                    self.shared.filled.notified().await;
                }
            };
            tokio::select! {
                biased;
                read = from_carbon.read(&mut nothing) => match read {
                    Ok(0) => return "the connection was closed".to_owned(),
                    Ok(_) => continue,
                    Err(error) => return error.to_string(),
                },
                () = has_lines => {}
            }
            match timeout(deadline, to_carbon.write_all(text.as_bytes())).await {
                Ok(Ok(())) => self.change(|buffer| buffer.sent_before(next)),
                Ok(Err(error)) => return error.to_string(),
                Err(_late) => return format!("accepts no data for {deadline:?}"),
            }
        }
    }
}

async fn connect(address: &str, deadline: Duration) -> Result<TcpStream, String> {
    match timeout(deadline, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("cannot connect: {error}")),
        Err(_late) => Err(format!("cannot connect within {deadline:?}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn lines(lines_max: usize) -> (Lines, Arc<ProbeState>) {
        let state = Arc::new(ProbeState::new(&[]));
        (Lines::new(lines_max, Arc::clone(&state)), state)
    }

    fn config(address: String) -> Graphite {
        Graphite { enabled: true, address, timeout_ms: 2000, ..Graphite::default() }
    }

    async fn read_lines(stream: TcpStream, count: usize) -> Vec<String> {
        let mut all = BufReader::new(stream).lines();
        let mut found = Vec::new();
        while found.len() < count {
            found.push(timeout(SOON, all.next_line()).await.unwrap().unwrap().unwrap());
        }
        found
    }

    #[test]
    fn the_oldest_lines_are_dropped_and_counted() {
        let (lines, state) = lines(3);
        (0..5).for_each(|value| lines.put("a.b", value, 7_999));
        assert_eq!(lines.lock().batch(), ("a.b 2 7\na.b 3 7\na.b 4 7\n".to_owned(), 5));
        let expected = GraphiteCounts { is_connected: false, buffered: 3, sent: 0, dropped: 2 };
        assert_eq!(state.graphite(), Some(expected));
    }

    /// Goal: lines dropped during a write are not removed twice.
    #[test]
    fn a_line_that_came_during_a_write_stays() {
        let (lines, _board) = lines(2);
        (0..2).for_each(|value| lines.put("a", value, 0));
        let (_, next) = lines.lock().batch();
        lines.put("a", 2, 0);
        lines.change(|buffer| buffer.sent_before(next));
        assert_eq!(lines.lock().batch().0, "a 2 0\n");
        let counts = lines.lock().counts;
        assert_eq!((counts.sent, counts.dropped, counts.buffered), (1, 1, 1));
    }

    /// Goal: across a start without carbon, its death and its return at the same address, every buffered line
    /// arrives, in order.
    #[tokio::test]
    async fn lines_wait_for_carbon() {
        let address = test_addresses::unused_address().unwrap();
        let (lines, state) = lines(100);
        let backoff = (Duration::from_millis(5), Duration::from_millis(20));
        let sender = tokio::spawn(lines.clone().send(config(address.to_string()), backoff));
        lines.put("a", 1, 1000);
        lines.put("a", 2, 2000);
        let carbon = TcpListener::bind(address).await.unwrap();
        let (stream, _) = timeout(SOON, carbon.accept()).await.unwrap().unwrap();
        // The stream ends with this call, as if carbon had died.
        assert_eq!(read_lines(stream, 2).await, ["a 1 1", "a 2 2"]);
        drop(carbon);
        let noticed = async {
            while state.graphite().unwrap().is_connected {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, noticed).await.expect("the end of carbon is noticed without a write");
        lines.put("a", 3, 3000);
        let carbon = TcpListener::bind(address).await.unwrap();
        let (stream, _) = timeout(SOON, carbon.accept()).await.unwrap().unwrap();
        lines.put("a", 4, 4000);
        assert_eq!(read_lines(stream, 2).await, ["a 3 3", "a 4 4"]);
        timeout(SOON, lines.emptied()).await.unwrap();
        sender.abort();
    }

    /// Goal: a carbon that accepts and reads nothing blocks nothing else: the buffer stays bounded, and dropped lines
    /// are counted.
    #[tokio::test]
    async fn a_frozen_carbon_costs_only_old_lines() {
        let carbon = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (lines, state) = lines(1000);
        let config = Graphite { timeout_ms: 50, ..config(carbon.local_addr().unwrap().to_string()) };
        let sender =
            tokio::spawn(lines.clone().send(config, (Duration::from_secs(60), Duration::from_secs(60))));
        let long = "x".repeat(10_000);
        let given_up = async {
            while state.graphite().unwrap().dropped == 0 {
                lines.put(&long, 1, 0);
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, given_up).await.unwrap();
        assert!(state.graphite().unwrap().buffered <= 1000);
        sender.abort();
    }
}
