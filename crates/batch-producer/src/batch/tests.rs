//! Goal: another implementation of the format decodes every value, timestamp and number, for values of all lengths
//! and timestamps in any order, compressed or not.

use kafka_protocol::records::{Compression, RecordBatchDecoder};
use proptest::prelude::*;

use super::*;

const IDENTITY: Identity = Identity { id: 1 << 40, epoch: 7 };

/// Decodes an lz4 frame by the format's specification.
fn unframe(bytes: &mut Bytes, compression: Compression) -> anyhow::Result<Bytes> {
    if compression == Compression::None {
        return Ok(bytes.clone());
    }
    assert_eq!(compression, Compression::Lz4);
    // The checksum of the descriptor is that of https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md: xxh32 of 0x60 0x40.
    assert_eq!(bytes[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    let (mut out, mut at) = (Vec::new(), 7);
    loop {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        at += 4;
        if length == 0 {
            assert_eq!(at, bytes.len());
            return Ok(out.into());
        }
        let block = &bytes[at..at + (length & 0x7fff_ffff) as usize];
        at += block.len();
        if length >> 31 == 1 {
            out.extend_from_slice(block);
        } else {
            out.extend(lz4_flex::block::decompress(block, 1 << 16).unwrap());
        }
    }
}

fn open(records: &[(i64, Vec<u8>)]) -> OpenBatch {
    let mut open = OpenBatch::new(true);
    for (timestamp, value) in records {
        let length = open.append(Duration::ZERO, 0, |out| {
            out.extend_from_slice(value);
            *timestamp
        });
        assert_eq!(length, value.len());
    }
    open
}

fn read(mut bytes: Bytes) -> Vec<(i64, Vec<u8>)> {
    let set = RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(unframe)).unwrap();
    let mut found = Vec::new();
    for (offset, record) in (0_i64..).zip(set.records) {
        assert_eq!((record.offset, record.producer_id, record.producer_epoch), (offset, IDENTITY.id, 7));
        assert_eq!((record.sequence, record.key, record.headers.len()), (100 + offset as i32, None, 0));
        found.push((record.timestamp, record.value.unwrap().to_vec()));
    }
    found
}

proptest! {
    #[test]
    fn a_batch_is_read_as_it_was_written(
        records in prop::collection::vec(
            (1_700_000_000_000_i64..1_700_000_100_000, prop::collection::vec(0_u8..4, 0..300)), 1..200),
        compress in any::<bool>(),
    ) {
        let mut open = open(&records);
        let mut sealed = open.seal(compress);
        prop_assert!(open.is_empty() && open.bytes() == 0);
        prop_assert_eq!(sealed.records(), records.len() as u64);
        prop_assert_eq!(sealed.groups.iter().map(|group| group.records).sum::<u64>(), records.len() as u64);
        // Stamped twice, as after an increment of the epoch.
        sealed.stamp(Identity { id: 3, epoch: 1 }, 9);
        sealed.stamp(IDENTITY, 100);
        prop_assert_eq!(read(sealed.bytes()), records);
    }
}

/// Goal: values around every length at which a varint grows, and incompressible values, are encoded correctly.
#[test]
fn lengths_at_which_numbers_grow() {
    let noise = |length: usize| {
        (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect::<Vec<u8>>()
    };
    let lengths =
        [0, 1, 50, 55, 56, 57, 58, 62, 63, 64, 65, 8_180, 8_191, 8_192, 8_193, 3, 70_000, 200_000, 2];
    let records: Vec<(i64, Vec<u8>)> = (0..)
        .zip(lengths)
        .map(|(n, length)| (if n % 2 == 0 { n << 40 } else { -n }, noise(length)))
        .collect();
    for compress in [false, true] {
        let mut sealed = open(&records).seal(compress);
        sealed.stamp(IDENTITY, 100);
        assert_eq!(read(sealed.bytes()), records);
    }
    let repeated = vec![(5, vec![b'x'; 1_000_000])];
    let mut sealed = open(&repeated).seal(true);
    sealed.stamp(IDENTITY, 100);
    assert!(sealed.length() < 10_000, "{}", sealed.length());
    assert_eq!(read(sealed.bytes()), repeated);
}

#[test]
fn groups_are_told_apart_by_what_is_asked_for() {
    for (by_timestamp, expected) in [(true, 4), (false, 2)] {
        let mut open = OpenBatch::new(by_timestamp);
        for (timestamp, handed_us) in [(1, 10), (1, 10), (2, 10), (2, 11), (3, 11)] {
            open.append(Duration::ZERO, handed_us, |_| timestamp);
        }
        assert_eq!(open.seal(false).groups.len(), expected);
    }
}

/// Goal: the largest sequence number is followed by 0, as in Kafka (`DefaultRecordBatch.incrementSequence`).
#[test]
fn sequence_numbers_begin_anew() {
    assert_eq!(sequence_after(0, 5), 5);
    assert_eq!(sequence_after(i32::MAX - 4, 5), 0);
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
}
