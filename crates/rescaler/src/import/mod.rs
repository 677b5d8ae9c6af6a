//! `rescaler import-config`: the configuration of the research prototype that this project follows, in our form.
//!
//! Nothing is dropped silently: each old key gets a line that says what became of it. `docs/migration.md` is the guide.

mod convert;
mod files;
mod keys;
mod load;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::{Timestamp, Unit};
use thiserror::Error;

use files::NewFile;

/// What can be said to `import-config`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Old files of the job, the producer and the rescaler (its variables as YAML), in any order.
    #[arg(value_name = "OLD.yaml", required = true)]
    old: Vec<PathBuf>,
    /// Output folder; by default standard output. Existing files are not overwritten.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Only print what each key would become.
    #[arg(long)]
    dry_run: bool,
}

/// Why old files cannot be taken over.
#[derive(Debug, Error)]
pub(crate) enum ImportError {
    /// A file cannot be read.
    #[error("{file}: cannot be read")]
    Read {
        /// The file.
        file: String,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file is no configuration.
    #[error("{file}: larger than {bytes} bytes, the limit of a configuration")]
    TooLarge {
        /// The file.
        file: String,
        /// The bound.
        bytes: u64,
    },
    /// There is nothing in a file.
    #[error("{file}: has no keys")]
    Empty {
        /// The file.
        file: String,
    },
    /// Not YAML, or more of YAML than old files have.
    #[error("{file}:{line}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Values that cannot be used, all of them.
    #[error("{}", problems.join("; "))]
    Values {
        /// Place and remedy of each.
        problems: Vec<String>,
    },
    /// Our own reader does not accept what was made of the old values.
    #[error("the converted {} is invalid", file.display())]
    Refused {
        /// The file that would have been written.
        file: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An example of ours is broken.
    #[error("cannot edit an example configuration")]
    Template(#[source] toml_edit::TomlError),
    /// Nothing is overwritten.
    #[error("{} exists; use another --output folder, or remove it", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
}

/// The new files, what became of each key, and a summary.
#[derive(Debug)]
struct Imported {
    files: Vec<NewFile>,
    remarks: Vec<String>,
}

/// Converts old files. The first text is for standard output, the second one for standard error.
///
/// # Errors
/// See [`ImportError`]; also a file that cannot be written.
pub(crate) fn run(import: &Import) -> anyhow::Result<(String, String)> {
    let entries = import.old.iter().map(|path| yaml::read(path)).collect::<Result<Vec<_>, _>>()?;
    let now = Timestamp::now().round(Unit::Second).context("cannot use the system's time")?;
    let imported = convert(&entries, now)?;
    let mut output = String::new();
    match &import.output {
        Some(folder) => {
            // Before the first is written, so that it is all or nothing.
            for file in &imported.files {
                let path = folder.join(&file.name);
                if path.exists() {
                    return Err(ImportError::Exists { file: path }.into());
                }
            }
            for file in &imported.files {
                let path = folder.join(&file.name);
                let done = if import.dry_run { "would write" } else { "wrote" };
                if !import.dry_run {
                    save(&path, &file.text)?;
                }
                writeln!(output, "{done} {}", path.display())?;
            }
        }
        None if import.dry_run => {
            for file in &imported.files {
                writeln!(output, "would print {}", file.name.display())?;
            }
        }
        None => {
            for file in &imported.files {
                writeln!(output, "# ==== {} ====\n{}", file.name.display(), file.text)?;
            }
        }
    }
    Ok((output.trim_end().to_owned(), imported.remarks.join("\n")))
}

fn convert(entries: &[Vec<yaml::Entry>], now: Timestamp) -> Result<Imported, ImportError> {
    let mut taken = convert::convert(entries);
    let firsts = entries.iter().filter_map(|file| file.first());
    let names: Vec<_> = firsts.map(|entry| entry.file.rsplit('/').next().unwrap_or_default()).collect();
    let files = files::write(&mut taken, &format!("imported from {}", names.join(", ")), now)?;
    let mut remarks = taken.remarks;
    remarks.push(format!("{} keys, {} of them not converted", remarks.len(), taken.unknown));
    Ok(Imported { files, remarks })
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the folder {}", folder.display()))?;
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}
