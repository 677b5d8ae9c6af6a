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
        .replace("\n# \"", "\n\"");
    assert!(
        !text.contains("\n# listen") && text.contains("\nlisten") && text.contains("\n\"sasl.password\"")
    );
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
    check("events = 0", "events = 0: ");
    check("from_event = 9007199254740992", "from_event = 9007199254740992");
    check("shard = \"2/2\"", "\"2/2\" is not INDEX/COUNT");
    check("benchmark = \"ysb\"", "unknown variant `ysb`");
    check(
        "benchmark = \"psm\"\n[psm]\nclick_probability = 1.5",
        "psm.click_probability = 1.5: give a number from 0 to 1",
    );
    check("benchmark = \"psm\"\n[psm]\nproducts = 0", "psm.products = 0");
    check("benchmark = \"psm\"\n[psm]\ncatalogue = \"none.csv\"", "psm.catalogue: could not read none.csv");
    check(
        "benchmark = \"psm\"\nstreams = [\"bid\"]",
        "streams: \"bid\" is not one of click, impression, search",
    );
    check("[profile]\nkind = \"trace\"\nfile = \"none.csv\"", "profile.file: could not read none.csv");
    check("streams = []", "streams:");
    check("streams = [\"bid\", \"bid\"]", "streams: \"bid\" is named twice");
    check("streams = [\"click\"]", "streams: \"click\" is not one of");
    check("[profile]\nkind = \"constant\"\nrate = -1", "profile.rate = -1");
    check("[profile]\nkind = \"constant\"\nrate = 1\nperiod_s = 1", "unknown field `period_s`");
    check("[profile]\nkind = \"jump\"", "unknown variant `jump`");
    check("[nexmark]\npersons = 0", "nexmark.persons = 0");
    check("[kafka]\nacks = \"2\"", "kafka.acks = \"2\"");
    check("[kafka]\nacks = \"1\"", "conflicts with idempotence, which needs \"all\"");
    check("[kafka]\ncompression = \"zip\"", "kafka.compression");
    check("[kafka]\nmax_in_flight = 0", "kafka.max_in_flight = 0");
    check("[kafka.batches]\nbatch_kib = 1000", "kafka.batches.batch_kib = 1000");
    check("[kafka.batches]\nrequests_in_flight = 6", "kafka.batches.requests_in_flight = 6");
    check("[kafka]\nbootstrap_servers = \"\"", "kafka.bootstrap_servers");
    check("[report]\ninterval_ms = 1", "report.interval_ms = 1");
    check("[report]\nlisten = \"here\"", "report.listen = \"here\"");
}

/// What the program says to a configuration, and its exit code.
fn checked(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("producer.toml");
    std::fs::write(&path, text).unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_event-producer"));
    let output = program.args(["run", "--check-config", "--config"]).arg(&path).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Goal: every bad key is named at once, of every section.
#[test]
fn all_bad_keys_are_named_at_once() {
    let text = "events = 0\nbenchmark = \"psm\"\nstreams = [\"click\", \"click\", \"bid\"]\n[psm]\nproducts = 0\nowners = 0\n\
                [profile]\nkind = \"ramp\"\nfrom = -1\nto = 5\nover_s = 0\n[kafka]\nacks = \"2\"\nqueue_kib = 0\n\
                [kafka.properties]\n\"linger.msec\" = \"1\"\n[report]\ninterval_ms = 1\nlisten = \"here\"";
    let message = toml::from_str::<ConfigFile>(text).unwrap().check().unwrap_err().to_string();
    for key in [
        "events = 0",
        "psm.products = 0",
        "psm.owners = 0",
        "profile.from = -1",
        "profile.over_s = 0",
        "kafka.acks = \"2\"",
        "kafka.queue_kib = 0",
        "kafka.properties.linger.msec",
        "report.interval_ms = 1",
        "report.listen = \"here\"",
    ] {
        assert!(message.contains(key), "no {key} in {message}");
    }
    let streams = "streams = [\"bid\", \"bid\", \"click\"]";
    let message = toml::from_str::<ConfigFile>(streams).unwrap().check().unwrap_err().to_string();
    assert!(
        message.contains("\"bid\" is named twice") && message.contains("\"click\" is not one of"),
        "{message}"
    );
}

/// Goal: a trace that cannot be used is refused with its file, its line and what to do.
#[test]
fn a_bad_trace_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("load.csv");
    let text = format!("[profile]\nkind = \"trace\"\nfile = {:?}", trace.to_str().unwrap());
    let file: ConfigFile = toml::from_str(&text).unwrap();
    std::fs::write(&trace, "second,rate\n1700000000,10\n1700000060,20\n").unwrap();
    let message = file.check().unwrap_err().to_string();
    for part in ["profile.file", "load.csv", "line 2", "subtract the first one"] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::write(&trace, "second,rate\n0,10\n60,20\n\n").unwrap();
    file.check().unwrap();
}

/// Goal: what is no regular file is refused in the place of each file that is read.
#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in ["/dev/zero", fifo.to_str().unwrap(), "/tmp"] {
        for (key, text) in [
            ("psm.catalogue", format!("benchmark = \"psm\"\n[psm]\ncatalogue = {path:?}")),
            ("profile.file", format!("[profile]\nkind = \"trace\"\nfile = {path:?}")),
        ] {
            let message = toml::from_str::<ConfigFile>(&text).unwrap().check().unwrap_err().to_string();
            assert!(message.contains(key) && message.contains("name a regular file"), "{message}");
        }
        // A configuration may come from a pipe, whose writer is waited for.
        assert!(path == fifo.to_str().unwrap() || ConfigFile::load(Some(path.as_ref())).is_err(), "{path}");
    }
}

/// Goal: no message of a configuration shows a property that may be a secret, whatever is wrong with it.
#[test]
fn no_message_shows_a_secret() {
    for text in [
        "[kafka.properties]\n\"sasl.passwrd\"=\"hunter2\"",
        "[kafka.properties]\n\"sasl.passwrd\"=\"hunter2",
        "[kafka.properties]\n\"sasl.jaas.config\"=\"org.x.PlainLoginModule required username=u password=hunter2;\"",
        "[kafka]\nbootstrap_servers = \"u:hunter2@host:9092\"",
        "[kafka]\nproperties = { \"sasl.password\" = \"hunter2\", \"socket.timeout.ms\" = \"soon\" }",
        "[kafka.properties]\n\"security.protocol\"=\"SASL_SSL\"\n\"sasl.password\"=\"hunter2\"",
    ] {
        let (code, message) = checked(text);
        assert_eq!(code, Some(2), "{message}");
        assert!(!message.contains("hunter2") && message.contains("producer.toml"), "{message}");
    }
    // What the client refuses only when it is made is refused by the check, too.
    let (code, message) = checked("[kafka.properties]\n\"enable.idempotence\"=\"true\"\n\"acks\"=\"1\"");
    assert_eq!(code, Some(2), "{message}");
    let works = "[kafka.properties]\n\"security.protocol\"=\"SASL_PLAINTEXT\"\n\"sasl.mechanisms\"=\"PLAIN\"\n\
                 \"sasl.username\"=\"ann\"\n\"sasl.password\"=\"hunter2\"";
    let (code, message) = checked(works);
    assert!(code == Some(0) && message.contains("the configuration is valid"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

/// Goal: the effective configuration in the log has the properties that are harmless, and no others.
#[test]
fn the_log_hides_secret_properties() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("producer.toml");
    let text = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\nconnect_timeout_ms = 1\n[kafka.properties]\n\
                \"socket.timeout.ms\" = \"31234\"\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\
                \"sasl.username\" = \"ann\"\n\"sasl.password\" = \"hunter2\"";
    std::fs::write(&path, text).unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_event-producer"));
    let output = program.env("RUST_LOG", "debug").args(["run", "--config"]).arg(&path).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("effective configuration") && log.contains("31234"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
