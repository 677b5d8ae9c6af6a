//! A non-blocking connection for produce requests: unwritten bytes are buffered, and responses are read when
//! available.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;

use super::broker_stream::{BrokerStream, first_answer, frame, unframe};
use crate::core::Ticket;

/// Number of bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A batch within a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestPart {
    /// Slot of the partition in the producer.
    pub(crate) slot: usize,
    /// Identifies the sending of the batch.
    pub(crate) ticket: Ticket,
}

/// A request without a response yet.
#[derive(Debug)]
struct Asked {
    correlation: i32,
    at: Duration,
    parts: Vec<RequestPart>,
}

/// A connection to a broker.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    version: i16,
    client_id: StrBytes,
    correlation: i32,
    unwritten: BytesMut,
    unread: BytesMut,
    asked: VecDeque<Asked>,
    /// Throttling by the broker: no requests until then.
    pub(crate) quiet_until: Duration,
}

impl Connection {
    /// # Errors
    /// The socket cannot be set to non-blocking mode.
    pub(crate) fn new(broker_stream: BrokerStream, client_id: &str) -> io::Result<Connection> {
        let version = broker_stream.produce_version();
        let stream = broker_stream.into_stream();
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            version,
            client_id: StrBytes::from_string(client_id.to_owned()),
            correlation: 0,
            unwritten: BytesMut::new(),
            unread: BytesMut::new(),
            asked: VecDeque::new(),
            quiet_until: Duration::ZERO,
        })
    }

    /// Returns the descriptor to poll.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Returns the number of unanswered requests.
    pub(crate) fn in_flight(&self) -> usize {
        self.asked.len()
    }

    /// Returns when the oldest of them was sent.
    pub(crate) fn asked_since(&self) -> Option<Duration> {
        self.asked.front().map(|asked| asked.at)
    }

    /// Whether bytes are waiting to be written.
    pub(crate) fn wants_to_write(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Sends a request, as far as it can be written without blocking.
    ///
    /// # Errors
    /// The connection is unusable.
    pub(crate) fn ask(
        &mut self,
        request: &ProduceRequest,
        parts: Vec<RequestPart>,
        now: Duration,
    ) -> io::Result<()> {
        self.correlation = self.correlation.wrapping_add(1);
        frame(request, self.version, self.correlation, &self.client_id, &mut self.unwritten)?;
        self.asked.push_back(Asked { correlation: self.correlation, at: now, parts });
        self.write()
    }

    /// Writes buffered bytes without blocking.
    ///
    /// # Errors
    /// The connection is unusable.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            match self.stream.write(&self.unwritten) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.unwritten.advance(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads available responses, and passes each to `take` with the batches of its request.
    ///
    /// # Errors
    /// The connection is unusable.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Vec<RequestPart>, ProduceResponse)) -> io::Result<()> {
        loop {
            let begin = self.unread.len();
            self.unread.resize(begin + READ_BYTES, 0);
            let read = self.stream.read(&mut self.unread[begin..]);
            self.unread.truncate(begin + *read.as_ref().unwrap_or(&0));
            let count = match read {
                Ok(0) => {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the broker closed the connection"));
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            while let Some(bytes) = first_answer(&mut self.unread)? {
                let (correlation, response) = unframe::<ProduceRequest>(bytes, self.version)?;
                let asked = self.asked.pop_front().filter(|asked| asked.correlation == correlation);
                let asked = asked
                    .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "response without a request"))?;
                take(asked.parts, response);
            }
            if count < READ_BYTES {
                return Ok(());
            }
        }
    }
}
