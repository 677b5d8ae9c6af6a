//! What `rescaler import-config` makes of an old producer's file is accepted by the producer.
//!
//! Here, because no other crate knows both programs.

use std::path::Path;

use clap::Parser as _;

/// Goal: the file that was made is one that the producer would run with.
#[test]
fn the_producer_accepts_its_imported_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/import/producer.yaml");
    let words =
        ["rescaler", "import-config", old.to_str().unwrap(), "--output", folder.path().to_str().unwrap()];
    let _ = rescaler::main_with(rescaler::Arguments::parse_from(words));
    let made = folder.path().join("event-producer.toml");
    let (file, problems) = event_producer::ConfigFile::load(Some(&made)).unwrap();
    file.check_with(problems).unwrap();
    let text = std::fs::read_to_string(made).unwrap();
    assert!(text.contains("kind = \"thesis\"") && text.contains("maximum = 10400.0"), "{text}");
}
