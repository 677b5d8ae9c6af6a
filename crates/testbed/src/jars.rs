//! Jars from Maven Central, downloaded once by `mvn` into a cache outside the source tree.
//!
//! Layout of the cache: `jars/NAME-DIGEST/*.jar`, with the digest of the pom file in this crate. A changed pom gets a
//! new folder; an existing folder is complete, because it is created by rename. A start that finds its folder does
//! not call `mvn`. Old folders are never removed.
//!
//! `mvn` checks the checksums (`--strict-checksums`) and uses its own local repository and configured servers.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use files::FileLock;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout};

use crate::folder::remove_tree;
use crate::java::{MissingProgram, find_java, find_maven};
use crate::logs::{self, Follower};
use crate::process::{LaunchError, Launcher, Process, ProcessSpec};
use crate::progress::Progress;

/// Interval of progress lines.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);
/// Retry interval of the lock while another process downloads.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);
/// Number of lines of Maven's output in an error message.
const ERROR_LINES: usize = 12;

/// A set of jars: a name and the pom file that lists them.
#[derive(Clone, Debug)]
pub(crate) struct JarSet {
    pub(crate) name: &'static str,
    pub(crate) pom: Cow<'static, str>,
}

impl JarSet {
    fn folder_name(&self) -> String {
        let digest = Sha256::digest(self.pom.as_bytes());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hex}", self.name)
    }
}

/// Why packages are neither cached nor downloaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// `java`, `mvn` or `python3` is missing.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The cache cannot be written.
    #[error("cannot use the cache folder {}", path.display())]
    Cache {
        /// Path of the cache folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// `mvn` could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// `mvn` failed.
    #[error("mvn could not download the jars of {set} ({status}); its output:\n{tail}")]
    Maven {
        /// Name of the set.
        set: &'static str,
        /// Exit status of `mvn`.
        status: ExitStatus,
        /// Its error lines, or else its last ones.
        tail: String,
    },
    /// Python failed to create the environment, or pip to install into it.
    #[error("could not install the Python packages of {set} ({step}: {status}); output:\n{tail}")]
    Python {
        /// Name of the set.
        set: &'static str,
        /// `venv` or `pip`.
        step: String,
        /// Exit status.
        status: ExitStatus,
        /// Its last lines.
        tail: String,
    },
    /// `mvn` or `pip`, or another process that downloads into the same cache, exceeded the timeout.
    #[error(
        "could not download the packages of {set} within {deadline:?}; raise fetch_deadline_s on a slow network"
    )]
    Late {
        /// Name of the set.
        set: &'static str,
        /// The timeout.
        deadline: Duration,
    },
}

/// Cache, launcher and timeout of a download.
pub(crate) struct Fetch<'a> {
    pub(crate) cache_dir: &'a Path,
    pub(crate) launcher: &'a Launcher,
    /// Timeout of all downloads, counted from `begin`.
    pub(crate) deadline: Duration,
    pub(crate) begin: Instant,
    pub(crate) progress: &'a Progress<'a>,
}

impl Fetch<'_> {
    /// Returns the folder of a set's jars, downloading them if missing.
    pub(crate) async fn provide(&self, set: JarSet) -> Result<PathBuf, FetchError> {
        let jars = self.cache_dir.join("jars");
        let folder = jars.join(set.folder_name());
        if folder.is_dir() {
            return Ok(folder);
        }
        let (mvn, _java) = (find_maven()?, find_java()?);
        let cache_error = |source| FetchError::Cache { path: jars.clone(), source };
        let end = self.begin + self.deadline;
        fs::create_dir_all(&jars).map_err(cache_error)?;
        // One lock for the whole cache: Maven's local repository does not support two writers either.
        let _lock = self.lock(&jars.join("lock"), set.name).await?;
        if folder.is_dir() {
            return Ok(folder); // Another process has downloaded it meanwhile.
        }
        let half_done = jars.join(format!(".{}", set.folder_name()));
        // A killed predecessor may have left one behind; the lock excludes concurrent use.
        remove_tree(&half_done).and_then(|()| fs::create_dir_all(&half_done)).map_err(cache_error)?;
        fs::write(half_done.join("pom.xml"), set.pom.as_bytes()).map_err(cache_error)?;
        self.run_maven(&mvn, &set, &half_done, end).await?;
        fs::rename(half_done.join("lib"), &folder).map_err(cache_error)?;
        remove_tree(&half_done).map_err(cache_error)?;
        Ok(folder)
    }

    /// Waits until no other process downloads into this part of the cache.
    pub(crate) async fn lock(&self, path: &Path, set: &'static str) -> Result<FileLock, FetchError> {
        let end = self.begin + self.deadline;
        let mut reported = false;
        loop {
            let lock = FileLock::try_acquire(path)
                .map_err(|source| FetchError::Cache { path: path.to_owned(), source })?;
            if let Some(lock) = lock {
                return Ok(lock);
            }
            if Instant::now() >= end {
                return Err(self.late(set));
            }
            if !reported {
                (self.progress)("waiting for another process that downloads");
                reported = true;
            }
            sleep(LOCK_INTERVAL).await;
        }
    }

    async fn run_maven(
        &self,
        mvn: &Path,
        set: &JarSet,
        folder: &Path,
        end: Instant,
    ) -> Result<(), FetchError> {
        (self.progress)(&format!("{}: downloading the jars with mvn (once)", set.name));
        let program = ProcessSpec::new("mvn", mvn, folder.join("mvn.log"))
            .args([
                "--batch-mode",
                "--strict-checksums",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
            ])
            .arg(format!("-DoutputDirectory={}", folder.join("lib").display()))
            .current_dir(folder);
        let process = self.launcher.launch(&program)?;
        let status = self.watch(&process, set, end).await?;
        if !status.success() {
            let tail = maven_complaint(&folder.join("mvn.log"));
            return Err(FetchError::Maven { set: set.name, status, tail });
        }
        let (jars, bytes) = size_of(&folder.join("lib"));
        (self.progress)(&format!("{}: {jars} jars, {} MB", set.name, bytes / 1_000_000));
        Ok(())
    }

    /// Waits for `mvn` and reports its progress every few seconds. Dropping the process at the timeout kills it.
    async fn watch(&self, process: &Process, set: &JarSet, end: Instant) -> Result<ExitStatus, FetchError> {
        let mut log = Follower::from_start(process.log_file().to_owned());
        let mut downloaded = Downloaded::default();
        loop {
            if let Ok(status) = timeout(PROGRESS_INTERVAL, process.wait()).await {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(self.late(set.name));
            }
            for line in log.new_lines().unwrap_or_default() {
                downloaded.count(&line);
            }
            (self.progress)(&format!(
                "{}: mvn has downloaded {} files ({:.0} MB) so far",
                set.name, downloaded.files, downloaded.megabytes
            ));
        }
    }

    pub(crate) fn late(&self, set: &'static str) -> FetchError {
        FetchError::Late { set, deadline: self.deadline }
    }
}

/// Number of files according to Maven's output: the jars, their poms, and Maven's plugins.
#[derive(Debug, Default)]
struct Downloaded {
    files: u32,
    megabytes: f64,
}

impl Downloaded {
    /// Counts a line such as `[INFO] Downloaded from central: https://host/a.jar (6.7 MB at 4.3 MB/s)`; ignores
    /// others.
    fn count(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once("Downloaded from ") else { return };
        let Some((_address, size)) = rest.split_once(" (") else { return };
        self.files += 1;
        let mut words = size.split(' ');
        let number = words.next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        let unit = match words.next() {
            Some("GB") => 1e3,
            Some("MB") => 1.0,
            Some("kB") => 1e-3,
            _ => 1e-6,
        };
        self.megabytes += number * unit;
    }
}

/// Returns Maven's error lines, or else its last lines.
fn maven_complaint(log: &Path) -> String {
    let text = logs::end_of(log).unwrap_or_default();
    let errors: Vec<&str> =
        text.lines().filter(|line| line.starts_with("[ERROR]")).take(ERROR_LINES).collect();
    if errors.is_empty() { logs::tail(log, ERROR_LINES) } else { errors.join("\n") }
}

fn size_of(folder: &Path) -> (usize, u64) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold((0, 0), |(count, bytes), entry| {
        (count + 1, bytes + entry.metadata().map_or(0, |metadata| metadata.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_downloads_are_counted() {
        let mut downloaded = Downloaded::default();
        for line in [
            "[INFO] Downloading from central: https://host/a.jar",
            "[INFO] Downloaded from central: https://host/a.pom (750 B at 30 kB/s)",
            "[INFO] Downloaded from central: https://host/a.jar (6.5 MB at 4.3 MB/s)",
            "[INFO] Downloaded from central: https://host/b.jar (500 kB at 4.3 MB/s)",
        ] {
            downloaded.count(line);
        }
        assert_eq!((downloaded.files, downloaded.megabytes.round()), (3, 7.0));
    }

    #[test]
    fn another_pom_is_another_folder() {
        let (one, two) =
            (JarSet { name: "kafka", pom: "a".into() }, JarSet { name: "kafka", pom: "b".into() });
        assert_ne!(one.folder_name(), two.folder_name());
        assert_eq!(one.folder_name().len(), "kafka-".len() + 16);
    }

    /// Goal: an existing folder needs neither `mvn` (the launcher would fail) nor a lock.
    #[tokio::test]
    async fn a_complete_folder_is_used_as_it_is() {
        let cache = tempfile::tempdir().unwrap();
        let set = JarSet { name: "kafka", pom: "a".into() };
        let folder = cache.path().join("jars").join(set.folder_name());
        fs::create_dir_all(&folder).unwrap();
        let launcher = Launcher::new().unwrap();
        let fetch = Fetch {
            cache_dir: cache.path(),
            launcher: &launcher,
            deadline: Duration::ZERO,
            begin: Instant::now(),
            progress: &|line| panic!("{line}"),
        };
        assert_eq!(fetch.provide(set.clone()).await.unwrap(), folder);
        assert_eq!(fs::read_dir(cache.path().join("jars")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_failed_maven_leaves_no_folder_and_tells_why() {
        let cache = tempfile::tempdir().unwrap();
        let set = JarSet { name: "broken", pom: "<project>".into() };
        let launcher = Launcher::new().unwrap();
        let fetch = Fetch {
            cache_dir: cache.path(),
            launcher: &launcher,
            deadline: Duration::from_secs(60),
            begin: Instant::now(),
            progress: &|_| {},
        };
        let error = fetch.provide(set.clone()).await.unwrap_err();
        assert!(matches!(error, FetchError::Maven { .. }), "{error}");
        assert!(error.to_string().contains("[ERROR]"), "{error}");
        assert!(!cache.path().join("jars").join(set.folder_name()).exists());
    }
}
