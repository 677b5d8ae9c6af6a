//! Any requests, separated by a line `---`, get answers in the drop's own form, and store nothing but valid documents.
#![no_main]

use std::time::Duration;

use config_drop::{DocumentRegistry, Limits, router};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/config-drop/tests/it/any_request.rs"]
mod any_request;

/// Requests of one input.
const REQUESTS: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    // In memory where the system has such a folder: each input has a registry of its own.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let limits = Limits { wait: Duration::from_millis(1), ..Limits::default() };
    let registry = DocumentRegistry::open(folder.path(), &limits).unwrap();
    let mut router = router(registry.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut rest = Some(bytes);
    for _ in 0..REQUESTS {
        let Some(all) = rest else { break };
        let end = all.windows(5).position(|five| five == b"\n---\n");
        let request = &all[..end.unwrap_or(all.len())];
        rest = end.map(|end| &all[end + 5..]);
        runtime.block_on(any_request::check(&mut router, &registry, request));
    }
});
