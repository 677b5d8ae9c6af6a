//! Any bytes are either refused with an offset inside the record, or are exactly the record of the event they decode to.
#![no_main]

use events::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|record: &[u8]| {
    match Event::decode(record) {
        Ok(event) => {
            let mut encoded = Vec::new();
            event.encode(&mut encoded);
            assert_eq!(encoded, record);
        }
        Err(error) => assert!(error.offset() <= record.len()),
    }
});
