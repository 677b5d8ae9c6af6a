//! Any header of a Whisper file is refused, or describes archives that lie in the file without overlap, finest first. The first eight
//! bytes are the length of the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whisper::Header;

/// Bytes of a point: time and value.
const POINT_BYTES: u64 = 12;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, head)) = bytes.split_first_chunk() else { return };
    let file_bytes = u64::from_be_bytes(*length);
    let Ok(header) = Header::parse(head, file_bytes) else { return };
    assert!(!header.archives.is_empty() && (0.0..=1.0).contains(&header.x_files_factor));
    let mut end = 0;
    for archive in &header.archives {
        assert!(archive.offset >= end && archive.points > 0 && archive.seconds_per_point > 0);
        end = archive.offset + POINT_BYTES * u64::from(archive.points);
    }
    assert!(end <= file_bytes);
    assert!(header.archives.is_sorted_by_key(|archive| archive.seconds_per_point));
    assert!(header.archives.is_sorted_by_key(|archive| archive.retention_s()));
});
