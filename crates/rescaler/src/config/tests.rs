//! The configuration as a whole: its example, its defaults, its refusals.

use super::*;

const EXAMPLE: &str = include_str!("../../../../configs/rescaler.toml");

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rescaler.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

/// Goal: the commented example holds exactly the defaults.
#[test]
fn the_example_states_the_defaults() {
    let example = serde_json::to_value(load(EXAMPLE).unwrap()).unwrap();
    // The example names the drop, as the installed services need it.
    let named = "job = \"nexmark\"\ndrop.url = \"http://127.0.0.1:8460\"";
    let defaults = serde_json::to_value(load(named).unwrap()).unwrap();
    assert_eq!(example, defaults);
}

/// Goal: a file that chooses neither policy nor placement gets what `run --flink` gets: ds2, or slo where there is a bound, and
/// drop and agent in this process; a drop that is named is used.
#[test]
fn defaults_are_those_of_a_bare_cluster() {
    let chosen = |text: &str| {
        let config = load(&format!("job = \"a\"\n{text}")).unwrap();
        (config.policy.name, config.placement.mode, config.placement.data)
    };
    let data = Some(PathBuf::from("run/rescaler/a"));
    assert_eq!(chosen(""), (PolicyName::Ds2, Mode::InProcess, data.clone()));
    assert_eq!(chosen("policy.slo.latency_bound_ms = 1.0"), (PolicyName::Slo, Mode::InProcess, data));
    assert_eq!(
        chosen("drop.url = \"http://h\"\npolicy.name = \"latency\""),
        (PolicyName::Latency, Mode::Drop, None)
    );
    assert_eq!(chosen("placement.mode = \"direct\"").1, Mode::Direct);
}

/// Goal: the configurations with which experiments run the rescaler are valid.
#[test]
fn configurations_of_experiments_are_valid() {
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/experiments");
    let mut paths = vec![experiments.join("calibration/slo-10s.toml")];
    let policies =
        std::fs::read_dir(experiments.join("policies")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(policies.filter(|path| path.extension().is_some_and(|ending| ending == "toml")));
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        Config::load(&path).unwrap_or_else(|error| panic!("{error:?}"));
    }
}

/// Goal: keys of the command line count more than the file's, are checked with it, and are named when they are wrong.
#[test]
fn keys_are_put_over_the_file() {
    let over = |above: &str| {
        let above: Table = toml::from_str(above).unwrap();
        Config::parse_over("job = \"a\"\npolicy.name = \"slo\"", Path::new("r.toml"), &above)
    };
    let config = over("policy.slo.latency_bound_ms = 5.0\nepoch.length_ms = 30000").unwrap();
    assert_eq!((config.latency_max_ms(), config.epoch_length().as_secs()), (Some(5.0), 30));
    for (above, named) in [
        ("epoch.length_ms = 1", "epoch.length_ms"),
        ("epoch.length_ms = \"x\"", "length_ms"),
        ("epoch.nonsense = 1", "nonsense"),
    ] {
        let message = over(above).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
}

/// Goal: every bad value is named with its key and what would be right, all at once.
#[test]
fn bad_values_are_named_together() {
    let bad = EXAMPLE
        .replace("# length_ms = 120000", "length_ms = 100")
        .replace("heap_fraction = 0.766", "heap_fraction = 1.5")
        .replace("utilization_target = 0.7", "utilization_target = 7.0")
        .replace("headroom_quantile = 0.95", "headroom_quantile = 95.0")
        .replace("time_zone = \"UTC\"", "time_zone = \"Mars\"")
        .replace("# quota_slots = 16", "quota_slots = 0")
        .replace("url = \"http://127.0.0.1:8081\"", "url = \"localhost\"");
    let message = load(&bad).unwrap_err().to_string();
    for key in [
        "epoch.length_ms",
        "policy.latency.heap_fraction",
        "policy.ds2.utilization_target",
        "policy.slo.headroom_quantile",
        "policy.time_zone",
        "limits.quota_slots",
        "flink.url",
        "rescaler.toml",
    ] {
        assert!(message.contains(key), "{message}");
    }
}

/// Goal: policy `slo` asks for its bound, and decides every 5 s unless the configuration says otherwise.
#[test]
fn slo_needs_a_bound_and_prefers_short_epochs() {
    let parse = |text: &str| Config::parse(text, Path::new("rescaler.toml"));
    let error = parse("job = \"a\"\npolicy.name = \"slo\"").unwrap_err().to_string();
    assert!(error.contains("policy.slo.latency_bound_ms"), "{error}");
    let bound = "job = \"a\"\npolicy.name = \"slo\"\npolicy.slo.latency_bound_ms = 2000.0\n";
    let config = parse(bound).unwrap();
    assert_eq!((config.epoch_length().as_secs(), config.latency_max_ms()), (5, Some(2000.0)));
    assert_eq!(parse(&format!("{bound}epoch.length_ms = 30000")).unwrap().epoch_length().as_secs(), 30);
    assert_eq!(parse("job = \"a\"").unwrap().epoch_length().as_secs(), 120);
}

/// Goal: the first epoch is short, never longer than the others, and long enough for rates.
#[test]
fn the_first_epoch_is_short() {
    let first = |text: &str| load(&format!("job = \"a\"\n[epoch]\n{text}")).unwrap().first_epoch_length();
    for (text, seconds) in [
        ("", 10),
        ("length_ms = 5000", 5),
        ("first_ms = 1000", 6),
        ("sample_interval_ms = 10000", 30),
        ("first_ms = 300000", 120),
    ] {
        assert_eq!(first(text), Duration::from_secs(seconds), "{text}");
    }
}

/// Goal: a misspelt key is refused and named.
#[test]
fn unknown_keys_are_refused() {
    let error = load(&EXAMPLE.replace("violations_needed", "violation_needed")).unwrap_err();
    assert!(error.to_string().contains("violation_needed"), "{error}");
}
