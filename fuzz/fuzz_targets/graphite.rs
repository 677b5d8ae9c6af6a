//! Any answer of graphite-web is refused with a short message, or gives finite points in the order of time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::any_answer::graphite;

fuzz_target!(|body: &[u8]| graphite(body));
