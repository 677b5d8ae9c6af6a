//! Tests of the configuration: the commented example file, and rejected values.

use super::*;

const DEFAULT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/config-agent.toml");

/// Goal: the commented file is valid, and the values it shows are the defaults.
#[test]
fn the_commented_file_has_the_defaults() {
    let shown = Config::load(Some(Path::new(DEFAULT_FILE)), Overrides::default()).unwrap();
    let text = std::fs::read_to_string(DEFAULT_FILE).unwrap();
    let required = ["job =", "data =", "url =", "jar ="];
    let kept =
        text.lines().filter(|line| line.starts_with('[') || required.iter().any(|key| line.starts_with(key)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, kept.collect::<Vec<_>>().join("\n")).unwrap();
    let default = Config::load(Some(&path), Overrides::default()).unwrap();
    assert_eq!(format!("{shown:?}"), format!("{default:?}"));
}

/// Goal: all mistakes are reported at once, each with the file, the key and the remedy.
#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    let cases: [(&str, &[&str]); 9] = [
        ("[direct]\nlisten = \"0.0.0.0:8460\"\ndata = \"d\"", &["direct.listen", "tokens", "direct.config"]),
        ("[direct]\ndata = \"d\"\n[drop]\nurl = \"http://x\"", &["drop.url", "remove"]),
        (
            "[direct]\nconfig = \"/nonexistent.toml\"\ndata = \"d\"",
            &["direct.config", "/nonexistent.toml", "direct.data"],
        ),
        ("", &["job: missing; set it to", "--data", "drop.url", "flink.url", "flink.jar"]),
        ("speed = 3", &["speed"]),
        (
            "[drop]\nfreshness_max_s = 89",
            &[
                "drop.freshness_max_s = 89: it needs drop.public_keys",
                "drop.wait_ms = 45000; give at least twice",
            ],
        ),
        ("[flink]\nspeed = 3", &["speed"]),
        (
            "job = \"No Name\"\n[drop]\nurl = \"localhost\"",
            &["not a job name", "drop.url = \"localhost\": write it as http://host:port"],
        ),
        (
            "[deadlines]\nrunning_ms = 0\n[flink]\npoll_ms = 99999999",
            &["deadlines.running_ms = 0: give a number from 1 to", "flink.poll_ms = 99999999: give"],
        ),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, text).unwrap();
        let error = Config::load(Some(&path), Overrides::default()).unwrap_err();
        let message = format!("{:#}", anyhow::Error::from(error));
        assert!(message.contains("agent.toml"), "{message}");
        expected.iter().for_each(|part| assert!(message.contains(part), "{text:?} gave {message:?}"));
    }
}
