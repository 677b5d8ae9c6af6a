//! Goal: the commented default file is the defaults, and a value that cannot be used is refused by its key.

use std::path::PathBuf;

use event_producer::ConfigFile;

fn default_file() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/event-producer.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_commented_file_says_what_the_defaults_are() {
    let file: ConfigFile = toml::from_str(&default_file()).unwrap();
    let (mut written, mut defaults) =
        (toml::Table::try_from(&file).unwrap(), toml::Table::try_from(ConfigFile::default()).unwrap());
    // The file spells out what the preset `standard` stands for.
    let (nexmark, preset) = (written.remove("nexmark").unwrap(), defaults.remove("nexmark").unwrap());
    assert_eq!(written, defaults);
    assert_eq!(nexmark["preset"], preset["preset"]);
    let settings = |text: &toml::Value| {
        text.clone().try_into::<generator::nexmark::NexmarkConfig>().unwrap().check().unwrap()
    };
    assert_eq!(settings(&nexmark), settings(&preset));
    file.check().unwrap();
}

#[test]
fn every_option_that_is_commented_out_is_known() {
    let text = default_file().replace("# events =", "events =").replace("# streams =", "streams =");
    let text = text
        .replace("# auction_length_ms", "auction_length_ms")
        .replace("# listen", "listen")
        .replace("# \"socket", "\"socket");
    assert!(!text.contains("\n# listen") && text.contains("\nlisten"));
    toml::from_str::<ConfigFile>(&text).unwrap().check().unwrap();
}

#[test]
fn unusable_values_are_refused_by_key() {
    let check = |text: &str, key: &str| {
        let message = match toml::from_str::<ConfigFile>(text) {
            Ok(file) => format!("{:#}", file.check().unwrap_err()),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(key), "{text}: {message}");
    };
    check("sed = 1", "unknown field `sed`");
    check("seed = -1", "seed");
    check("start_time = \"later\"", "\"later\" is neither");
    check("start_time = -5", "-5 ms is not between");
    check("events = 0", "events: 0 events");
    check("from_event = 9007199254740992", "from_event: 9007199254740992");
    check("shard = \"2/2\"", "\"2/2\" is not INDEX/COUNT");
    check("benchmark = \"ysb\"", "unknown variant `ysb`");
    check("benchmark = \"psm\"\n[psm]\nclick_probability = 1.5", "psm.click_probability: 1.5");
    check("benchmark = \"psm\"\n[psm]\nproducts = 0", "psm.products: 0");
    check("benchmark = \"psm\"\n[psm]\ncatalogue = \"none.csv\"", "psm.catalogue: could not read none.csv");
    check(
        "benchmark = \"psm\"\nstreams = [\"bid\"]",
        "streams: \"bid\" is not one of click, impression, search",
    );
    check("[profile]\nkind = \"trace\"\nfile = \"none.csv\"", "profile.file: could not read none.csv");
    check("streams = []", "streams:");
    check("streams = [\"bid\", \"bid\"]", "streams: \"bid\" is named twice");
    check("streams = [\"click\"]", "streams: \"click\" is not one of");
    check("[profile]\nkind = \"constant\"\nrate = -1", "profile.rate: -1");
    check("[profile]\nkind = \"constant\"\nrate = 1\nperiod_s = 1", "unknown field `period_s`");
    check("[profile]\nkind = \"jump\"", "unknown variant `jump`");
    check("[nexmark]\npersons = 0", "nexmark.persons: 0");
    check("[kafka]\nacks = \"2\"", "kafka.acks: \"2\"");
    check("[kafka]\nacks = \"1\"", "idempotence needs \"all\"");
    check("[kafka]\ncompression = \"zip\"", "kafka.compression");
    check("[kafka]\nmax_in_flight = 0", "kafka.max_in_flight: 0");
    check("[kafka]\nbootstrap_servers = \"\"", "kafka.bootstrap_servers");
    check("[report]\ninterval_ms = 1", "report.interval_ms: 1");
    check("[report]\nlisten = \"here\"", "report.listen: \"here\"");
}
