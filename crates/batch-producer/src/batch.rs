//! Encoder of Kafka's record batch, format v2 (`docs/protocol` of Apache Kafka, "Record Batch"): records are appended
//! in place, and the header is filled in when the batch is closed.
//!
//! Not supported: keys, headers, log-append times, transactions, control batches.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// Size of the batch header, in bytes.
const HEADER_BYTES: usize = 61;
/// Offset of the length field; the bytes it counts follow.
const LENGTH_AT: usize = 8;
const LENGTH_FROM: usize = 12;
/// Offset of the checksum; the bytes it covers follow.
const CHECKSUM_AT: usize = 17;
const CHECKSUM_FROM: usize = 21;
/// Offset of producer id, epoch and first sequence number.
const PRODUCER_AT: usize = 43;
/// Compression type lz4 in the attributes.
const LZ4: i16 = 3;
/// Maximum size of the bytes before a record's value: length, attributes, two deltas, no key, length of the value.
const HEAD_BYTES: usize = 5 + 1 + 10 + 5 + 1 + 5;

/// Consecutively appended records with the same timestamp and hand-over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordGroup {
    /// Timestamp, ms since the epoch; of the first record where timestamps are not distinguished.
    pub timestamp_ms: i64,
    /// Hand-over time, in the caller's own clock.
    pub handed_us: u64,
    /// Number of records.
    pub records: u64,
}

/// Identity of a producer at the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// A batch to which records are appended.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    records: Vec<u8>,
    count: i32,
    first_ms: i64,
    last_ms: i64,
    /// Size of the bytes before the last value, the estimate for the next one.
    head_bytes: usize,
    groups: Vec<RecordGroup>,
    since: Duration,
    by_timestamp: bool,
}

/// The bytes before a record's value.
struct Head {
    bytes: [u8; HEAD_BYTES],
    length: usize,
}

#[inline]
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
const fn varint_bytes(value: i64) -> usize {
    (70 - (zigzag(value) | 1).leading_zeros() as usize) / 7
}

impl Head {
    #[inline]
    fn new(timestamp_delta: i64, offset_delta: i64, value_bytes: usize) -> Head {
        let value_length = value_bytes as i64;
        // Attributes, no key and no headers take one byte each.
        let behind_length = 3
            + varint_bytes(timestamp_delta)
            + varint_bytes(offset_delta)
            + varint_bytes(value_length)
            + value_bytes;
        let mut head = Head { bytes: [0; HEAD_BYTES], length: 0 };
        head.varint(behind_length as i64);
        head.byte(0);
        head.varint(timestamp_delta);
        head.varint(offset_delta);
        head.byte(1);
        head.varint(value_length);
        head
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    #[inline]
    fn varint(&mut self, value: i64) {
        let mut rest = zigzag(value);
        while rest >= 0x80 {
            self.byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.byte(rest as u8);
    }
}

impl OpenBatch {
    pub(crate) const fn new(by_timestamp: bool) -> OpenBatch {
        OpenBatch {
            records: Vec::new(),
            count: 0,
            first_ms: 0,
            last_ms: 0,
            head_bytes: 8,
            groups: Vec::new(),
            since: Duration::ZERO,
            by_timestamp,
        }
    }

    /// Appends a record: `write` appends its value to the given bytes and returns its timestamp. Returns the length
    /// of the value. `handed_us` is returned with the acknowledgement.
    #[inline]
    pub(crate) fn append(
        &mut self,
        now: Duration,
        handed_us: u64,
        write: impl FnOnce(&mut Vec<u8>) -> i64,
    ) -> usize {
        let begin = self.records.len();
        let mut value_at = begin + self.head_bytes;
        self.records.resize(value_at, 0);
        let timestamp_ms = write(&mut self.records);
        let value_bytes = self.records.len() - value_at;
        if self.count == 0 {
            (self.first_ms, self.last_ms, self.since) = (timestamp_ms, timestamp_ms, now);
        }
        let head = Head::new(timestamp_ms.wrapping_sub(self.first_ms), i64::from(self.count), value_bytes);
        if head.length != self.head_bytes {
            self.head_bytes = head.length;
            self.records.resize(self.records.len().max(begin + head.length + value_bytes), 0);
            self.records.copy_within(value_at..value_at + value_bytes, begin + head.length);
            value_at = begin + head.length;
            self.records.truncate(value_at + value_bytes);
        }
        self.records[begin..value_at].copy_from_slice(&head.bytes[..head.length]);
        self.records.push(0);
        self.count += 1;
        self.last_ms = self.last_ms.max(timestamp_ms);
        self.count_record(timestamp_ms, handed_us);
        value_bytes
    }

    #[inline]
    fn count_record(&mut self, timestamp_ms: i64, handed_us: u64) {
        match self.groups.last_mut() {
            Some(group)
                if group.handed_us == handed_us
                    && (group.timestamp_ms == timestamp_ms || !self.by_timestamp) =>
            {
                group.records += 1;
            }
            _ => self.groups.push(RecordGroup { timestamp_ms, handed_us, records: 1 }),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the size of the records, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.records.len()
    }

    /// Returns when the first record was appended.
    pub(crate) const fn since(&self) -> Duration {
        self.since
    }

    /// Closes the batch, and starts a new one.
    pub(crate) fn seal(&mut self, compress: bool) -> SealedBatch {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.records.len() / if compress { 2 } else { 1 });
        bytes.resize(HEADER_BYTES, 0);
        let compressed = compress && lz4::frame(&self.records, &mut bytes);
        if !compressed {
            bytes.extend_from_slice(&self.records);
        }
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(12, &(-1_i32).to_be_bytes()); // The leader's epoch is filled in by the broker.
        put(16, &[2]); // The format.
        put(21, &if compressed { LZ4 } else { 0 }.to_be_bytes());
        put(23, &(self.count - 1).to_be_bytes());
        put(27, &self.first_ms.to_be_bytes());
        put(35, &self.last_ms.to_be_bytes());
        put(57, &self.count.to_be_bytes());
        let length = (bytes.len() - LENGTH_FROM) as i32;
        bytes[LENGTH_AT..LENGTH_FROM].copy_from_slice(&length.to_be_bytes());
        let sealed = SealedBatch {
            bytes: bytes.into(),
            count: self.count,
            groups: std::mem::take(&mut self.groups),
            since: self.since,
        };
        self.records.clear();
        self.count = 0;
        sealed
    }
}

/// A complete batch without its producer's identity.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    bytes: Bytes,
    pub(crate) count: i32,
    pub(crate) groups: Vec<RecordGroup>,
    /// When the first record was appended.
    pub(crate) since: Duration,
}

impl SealedBatch {
    /// Sets the producer's identity and the sequence number of the first record.
    pub(crate) fn stamp(&mut self, identity: Identity, sequence: i32) {
        // Copied only if an earlier request still shares the bytes.
        let mut bytes = std::mem::take(&mut self.bytes)
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(PRODUCER_AT, &identity.id.to_be_bytes());
        put(PRODUCER_AT + 8, &identity.epoch.to_be_bytes());
        put(PRODUCER_AT + 10, &sequence.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[CHECKSUM_FROM..]);
        bytes[CHECKSUM_AT..CHECKSUM_FROM].copy_from_slice(&checksum.to_be_bytes());
        self.bytes = bytes.freeze();
    }

    /// Returns the bytes to send.
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Returns its length, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the number of records.
    pub(crate) fn records(&self) -> u64 {
        self.count as u64
    }
}

/// Returns the sequence number after `count` records that begin with `sequence`; the largest number is followed by 0.
pub(crate) const fn sequence_after(sequence: i32, count: i32) -> i32 {
    (sequence as u32).wrapping_add(count as u32) as i32 & i32::MAX
}

/// The lz4 frame format, built around the crate's block compression: independent blocks without checksums, as Kafka's
/// own client writes them. The crate's frame writer allocates its buffers for each batch.
mod lz4 {
    use lz4_flex::block::{compress_into, get_maximum_output_size};

    /// Magic number; version 1 with independent blocks; blocks of at most 64 KiB; checksum of these two bytes.
    const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    /// Block size, in bytes. Below 2^16, so that the compressor's table has 16-bit entries and stays in the cache.
    const BLOCK_BYTES: usize = 65_000;
    /// Flag of an uncompressed block.
    const PLAIN: u32 = 1 << 31;

    /// Appends the frame of `records` to `out`; returns `false` and appends nothing if it would not be shorter.
    pub(super) fn frame(records: &[u8], out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        out.extend_from_slice(&HEADER);
        for block in records.chunks(BLOCK_BYTES) {
            append(block, out);
        }
        out.extend_from_slice(&[0; 4]);
        let shorter = out.len() - begin < records.len();
        if !shorter {
            out.truncate(begin);
        }
        shorter
    }

    fn append(block: &[u8], out: &mut Vec<u8>) {
        let length_at = out.len();
        let begin = length_at + 4;
        out.resize(begin + get_maximum_output_size(block.len()), 0);
        let length = match compress_into(block, &mut out[begin..]) {
            Ok(bytes) if bytes < block.len() => {
                out.truncate(begin + bytes);
                bytes as u32
            }
            _ => {
                out.truncate(begin);
                out.extend_from_slice(block);
                block.len() as u32 | PLAIN
            }
        };
        out[length_at..begin].copy_from_slice(&length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
