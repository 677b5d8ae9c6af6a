//! The configurations of the compose file, loaded by the programs' own loaders.

use std::path::{Path, PathBuf};

use super::{compose, read, tree};

/// The configurations with tokens, as the service `tokens` would have created them.
fn localised() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for name in ["publisher", "agent", "reader", "page"] {
        // Any text of a token's length; no two roles may share one.
        let token = format!("{name}-").repeat(8);
        secrets::write_new(&secrets.join(format!("{name}.token")), &token).unwrap();
    }
    let root = folder.path().to_owned();
    let localise = move |name: &str| {
        let text = read(&format!("configs/compose/{name}"));
        let path = root.join(name);
        std::fs::write(&path, text.replace("/secrets/", &format!("{}/", secrets.display()))).unwrap();
        path
    };
    (folder, localise)
}

fn checked<T, E: std::error::Error>(name: &str, loaded: Result<T, E>) -> T {
    loaded.unwrap_or_else(|error| {
        panic!("{name}: {error}{}", error.source().map_or(String::new(), |source| format!(": {source}")))
    })
}

/// Goal: every file in the folder is loaded by its program, and none is missing here.
#[test]
fn every_configuration_is_valid() {
    let (_folder, localise) = localised();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(tree().join("configs/compose")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".toml") {
            continue;
        }
        let path = localise(&name);
        match name.trim_end_matches(".toml").trim_end_matches("-psm") {
            "config-drop" => drop(checked(&name, config_drop::Config::load(Some(&path), None, None))),
            "config-agent" => {
                drop(checked(
                    &name,
                    config_agent::Config::load(Some(&path), config_agent::Overrides::default()),
                ));
            }
            "event-producer" => event_producer_is_valid(&path),
            "rescaler" => drop(checked(&name, rescaler::ConfigFile::load(&path))),
            "state-probe" => {
                let (written, problems) = checked(&name, state_probe::config::RawConfig::load(Some(&path)));
                drop(checked(&name, written.check(problems)));
            }
            "nexmark" | "psm" => {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(checked(&name, job_config::JobDocument::parse(&text)).generation(), 1, "{name}");
            }
            other => panic!("{other}: nothing here reads it"),
        }
        seen.push(name);
    }
    assert!(seen.len() >= 9, "only {seen:?} were found");
}

fn event_producer_is_valid(path: &Path) {
    let (file, problems) =
        event_producer::ConfigFile::load(Some(path)).unwrap_or_else(|failure| panic!("{failure:?}"));
    drop(file.check_with(problems).unwrap_or_else(|error| panic!("{}: {error:#}", path.display())));
}

/// Goal: the maximum that the drop's limits admit fits into half of its container's memory: documents, reports, and a
/// body on every connection.
#[test]
fn the_drop_fits_into_its_container() {
    let (_folder, localise) = localised();
    let path = localise("config-drop.toml");
    let limits = checked("config-drop.toml", config_drop::Config::load(Some(&path), None, None)).limits;
    let of_a_job = limits.document_bytes + limits.reports_kept * limits.report_bytes;
    let admitted = limits.jobs * of_a_job + limits.connections * limits.document_bytes;
    assert!(admitted <= 48 << 20, "{admitted} bytes");
    assert!(read("docker-compose.yml").contains("mem_limit: 96m"));
}

/// Goal: an agent has no publisher's token, and the rescaler no agent's: only the drop has all of them.
#[test]
fn each_party_holds_its_own_tokens() {
    let text = read("docker-compose.yml");
    let mut service = "";
    let mut seen = std::collections::BTreeMap::new();
    for line in text.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':') {
            service = line.trim().trim_end_matches(':');
        }
        if let Some(volume) = line.split(":/secrets").next().filter(|rest| rest.len() < line.len()) {
            seen.insert(service, volume.rsplit([' ', '"', '[']).next().unwrap());
        }
    }
    let expected = [
        ("config-agent", "agent-secrets"),
        ("config-agent-psm", "agent-secrets"),
        ("config-drop", "secrets"),
        ("first-document", "publisher-secrets"),
        ("first-document-psm", "publisher-secrets"),
        ("rescaler", "publisher-secrets"),
        ("rescaler-psm", "publisher-secrets"),
        ("tokens", "secrets"),
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

/// Goal: the same loaders detect a broken configuration.
#[test]
fn a_broken_configuration_is_found() {
    let (_folder, localise) = localised();
    let path = localise("config-drop.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("publisher_tokens", "publisher_token");
    std::fs::write(&path, text).unwrap();
    let error = config_drop::Config::load(Some(&path), None, None).unwrap_err();
    let chain = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(chain.contains("publisher_token"), "{chain}");
}

/// Goal: every address in a configuration is that of a service.
#[test]
fn every_address_is_a_services() {
    let services = compose().services;
    let address = regex::Regex::new(r#"(?:"|//)([a-z][a-z0-9-]*):([0-9]{2,5})"#).unwrap();
    let mut seen = 0;
    let mut folders = vec![tree().join("configs/compose")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for found in address.captures_iter(&text) {
                assert!(
                    services.contains_key(&found[1]),
                    "{}: there is no service {}",
                    path.display(),
                    &found[1]
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 25, "only {seen} addresses were found");
}
