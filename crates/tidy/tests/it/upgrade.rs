//! Configurations and job documents of older versions (`testdata/upgrade/VERSION/configs`), as they were delivered: docs/upgrading.md says
//! that no key was removed or renamed. What old versions have written is in crates/rescaler/tests/it/upgrade.rs.

use std::path::{Path, PathBuf};

use crate::tree::root;

/// The folders of the versions.
fn versions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("testdata/upgrade")).unwrap();
    entries.map(|entry| entry.unwrap().path().join("configs")).collect()
}

fn accepted<T, E: std::error::Error>(path: &Path, loaded: Result<T, E>) -> T {
    loaded.unwrap_or_else(|error| {
        panic!(
            "{}: {error}{}",
            path.display(),
            error.source().map_or(String::new(), |source| format!(": {source}"))
        )
    })
}

/// Goal: a configuration of an older version is accepted.
#[test]
fn old_configurations_are_accepted() {
    for folder in versions() {
        let path = |name: &str| folder.join(format!("{name}.toml"));
        let drop_file = path("config-drop");
        drop(accepted(&drop_file, config_drop::Config::load(Some(&drop_file), None, None)));
        let agent = path("config-agent");
        let overrides = config_agent::Overrides::default();
        drop(accepted(&agent, config_agent::Config::load(Some(&agent), overrides)));
        let rescaler = path("rescaler");
        drop(accepted(&rescaler, rescaler::ConfigFile::load(&rescaler)));
        let probe = path("state-probe");
        let (written, problems) = accepted(&probe, state_probe::config::RawConfig::load(Some(&probe)));
        drop(accepted(&probe, written.check(problems)));
        let producer = path("event-producer");
        let (file, problems) = event_producer::ConfigFile::load(Some(&producer))
            .unwrap_or_else(|failure| panic!("{}: {failure:?}", producer.display()));
        drop(file.check_with(problems).unwrap_or_else(|error| panic!("{}: {error:#}", producer.display())));
    }
}

/// Goal: a job document of an older version is accepted.
#[test]
fn old_documents_are_accepted() {
    for folder in versions() {
        for name in ["nexmark", "psm"] {
            let path = folder.join(format!("jobs/{name}.toml"));
            let text = std::fs::read_to_string(&path).unwrap();
            let document = accepted(&path, job_config::JobDocument::parse(&text));
            assert_eq!((document.job().as_str(), document.generation()), (name, 1));
        }
    }
}
