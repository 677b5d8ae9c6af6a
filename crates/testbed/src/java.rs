//! Locates `java`, `mvn`, `python3` and `prometheus`, and builds the command line of a Java service.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::folder::WorkFolder;
use crate::process::ProcessSpec;

/// A required system program is missing; the message names its package.
#[derive(Debug, thiserror::Error)]
pub enum MissingProgram {
    /// Java is missing.
    #[error(
        "java is neither in $JAVA_HOME/bin nor in $PATH: install a JDK 17 (Debian package openjdk-17-jdk-headless)"
    )]
    Java,
    /// Maven is missing.
    #[error(
        "mvn is not in $PATH, but jars have to be downloaded: install Maven 3.8 or newer (Debian package maven)"
    )]
    Maven,
    /// Python is missing.
    #[error(
        "python3 is not in $PATH: install Python 3.9 or newer with venv (Debian packages python3 and python3-venv)"
    )]
    Python,
    /// Prometheus is missing.
    #[error(
        "prometheus is not in $PATH: install it (Debian package prometheus), or set stores.prometheus to false"
    )]
    Prometheus,
}

/// Finds the `java` of `$JAVA_HOME`, or else of `$PATH`.
pub(crate) fn find_java() -> Result<PathBuf, MissingProgram> {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    find("java", home.into_iter().chain(search_path())).ok_or(MissingProgram::Java)
}

/// Finds the `mvn` of `$PATH`.
pub(crate) fn find_maven() -> Result<PathBuf, MissingProgram> {
    find("mvn", search_path()).ok_or(MissingProgram::Maven)
}

/// Finds the `prometheus` of `$PATH`.
pub(crate) fn find_prometheus() -> Result<PathBuf, MissingProgram> {
    find("prometheus", search_path()).ok_or(MissingProgram::Prometheus)
}

/// Finds the `python3` of `$PATH`.
pub(crate) fn find_python() -> Result<PathBuf, MissingProgram> {
    find("python3", search_path()).ok_or(MissingProgram::Python)
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn find(name: &str, mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// Builds a service's `java` command up to the class path, with logging, and with an exit on memory exhaustion. Main
/// class and arguments are added by the caller.
pub(crate) fn service(
    name: &str,
    java: &Path,
    folder: &WorkFolder,
    class_path: OsString,
    options: &[String],
) -> ProcessSpec {
    let log_file = folder.log_of(name);
    let logging = folder.conf().join("log4j.properties");
    ProcessSpec::new(name, java, &log_file)
        .args(options)
        .arg("-XX:+ExitOnOutOfMemoryError")
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("-cp")
        .arg(class_path)
}

/// Builds the class path of all jars in these folders.
pub(crate) fn jars_of(folders: &[&Path]) -> OsString {
    let all: Vec<OsString> = folders.iter().map(|folder| folder.join("*").into_os_string()).collect();
    all.join(std::ffi::OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_with_the_program_wins() {
        let temp = tempfile::tempdir().unwrap();
        let (empty, full) = (temp.path().join("empty"), temp.path().join("full"));
        std::fs::create_dir_all(&empty).unwrap();
        std::fs::create_dir_all(&full).unwrap();
        std::fs::write(full.join("java"), "").unwrap();
        assert_eq!(find("java", [empty.clone(), full.clone()].into_iter()), Some(full.join("java")));
        assert_eq!(find("java", [empty].into_iter()), None);
    }
}
