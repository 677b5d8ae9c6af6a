//! Packages of the Python package index, installed once by `pip` into environments outside the source tree.
//!
//! Layout of the cache: `python/NAME-DIGEST/`, one virtual environment each, with the digest of the requirements:
//! changed requirements get a new folder. An environment cannot be renamed, so its last file, `complete`, marks it as
//! complete; one without it is created again. A complete one needs neither `pip` nor the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::folder::remove_tree;
use crate::jars::{Fetch, FetchError};
use crate::java::find_python;
use crate::logs;
use crate::process::{Launcher, ProcessSpec};

/// Marker file of a complete environment.
const COMPLETE: &str = "complete";
/// Number of lines of pip's output in an error message.
const ERROR_LINES: usize = 12;

/// A set of packages: a name and the lines of a requirements file.
#[derive(Clone, Copy, Debug)]
pub struct PythonSet {
    /// Name for the folder and for messages.
    pub name: &'static str,
    /// `package==version`, one per line.
    pub requirements: &'static str,
}

impl PythonSet {
    fn folder_name(&self) -> String {
        let digest = Sha256::digest(self.requirements.as_bytes());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hex}", self.name)
    }
}

/// Returns the `python` of an environment with exactly these packages, installing them if missing.
///
/// # Errors
/// [`FetchError`]: no Python, no network, or a cache that cannot be written.
pub async fn provide_python(
    config: &crate::Config,
    set: PythonSet,
    launcher: &Launcher,
    progress: &crate::Progress<'_>,
) -> Result<PathBuf, FetchError> {
    let (cache_dir, deadline) = (config.cache_dir.as_path(), config.fetch_deadline);
    let fetch = Fetch { cache_dir, launcher, deadline, begin: Instant::now(), progress };
    fetch.provide_python(set).await
}

impl Fetch<'_> {
    /// Returns the `python` of an environment with exactly these packages.
    pub(crate) async fn provide_python(&self, set: PythonSet) -> Result<PathBuf, FetchError> {
        let all = self.cache_dir.join("python");
        let folder = all.join(set.folder_name());
        let python = folder.join("bin/python");
        if folder.join(COMPLETE).is_file() {
            return Ok(python);
        }
        let system = find_python()?;
        let cache_error = |source| FetchError::Cache { path: all.clone(), source };
        fs::create_dir_all(&all).map_err(cache_error)?;
        let _lock = self.lock(&all.join("lock"), set.name).await?;
        if folder.join(COMPLETE).is_file() {
            return Ok(python); // Another process has installed it meanwhile.
        }
        remove_tree(&folder).map_err(cache_error)?;
        (self.progress)(&format!("{}: installing the packages with pip (once)", set.name));
        let log = all.join(format!("{}.log", set.folder_name()));
        fs::write(&log, "").map_err(cache_error)?;
        self.run(ProcessSpec::new("venv", system, &log).args(["-m", "venv"]).arg(&folder), set, &log).await?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, set.requirements).map_err(cache_error)?;
        let pip = ProcessSpec::new("pip", &python, &log)
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--requirement"])
            .arg(requirements);
        self.run(pip, set, &log).await?;
        fs::write(folder.join(COMPLETE), "").map_err(cache_error)?;
        Ok(python)
    }

    async fn run(&self, program: ProcessSpec, set: PythonSet, log: &Path) -> Result<(), FetchError> {
        let process = self.launcher.launch(&program)?;
        let ended = timeout_at(self.begin + self.deadline, process.wait()).await;
        let status: ExitStatus = ended.map_err(|_late| self.late(set.name))?;
        if status.success() {
            return Ok(());
        }
        let tail = logs::tail(log, ERROR_LINES);
        Err(FetchError::Python { set: set.name, step: process.name().to_owned(), status, tail })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Goal: a complete environment is used without Python, lock or network; an incomplete one is not used.
    #[tokio::test]
    async fn only_a_whole_environment_is_used() {
        let cache = tempfile::tempdir().unwrap();
        let set = PythonSet { name: "none", requirements: "a package that does not exist" };
        let launcher = Launcher::new().unwrap();
        let fetch = Fetch {
            cache_dir: cache.path(),
            launcher: &launcher,
            // The first environment of a busy machine takes minutes.
            deadline: Duration::from_secs(600),
            begin: Instant::now(),
            progress: &|_| {},
        };
        let folder = cache.path().join("python").join(set.folder_name());
        fs::create_dir_all(&folder).unwrap();
        let error = fetch.provide_python(set).await.unwrap_err();
        assert!(matches!(error, FetchError::Python { .. } | FetchError::Missing(_)), "{error}");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(COMPLETE), "").unwrap();
        assert_eq!(fetch.provide_python(set).await.unwrap(), folder.join("bin/python"));
    }
}
