//! Lists the experiments of a folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use service::with_causes;

use crate::experiment::{Experiment, Overrides};
use crate::time::describe_duration;

/// Returns the experiment files in a folder, by name. Files in subfolders belong to experiments and are not listed.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let is_toml = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|ending| ending == "toml");
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_toml).collect();
    files.sort();
    Ok(files)
}

/// Formats the experiments as a table; an invalid one is listed with the reason.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn table(folder: &Path) -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = terminal::width().and_then(|width| width.try_into().ok()) {
        table.set_width(width);
    }
    table.set_header(["experiment", "subject", "policies", "time"]);
    for file in files(folder)? {
        let row = match Experiment::load(&file, Overrides::default()) {
            Ok(experiment) => {
                let policies: Vec<&str> =
                    experiment.variants.iter().map(|variant| variant.policy.as_str()).collect();
                let time = describe_duration(experiment.total_duration());
                [experiment.name, experiment.description, policies.join(", "), time]
            }
            Err(error) => {
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                [name, with_causes(&error), String::new(), String::new()]
            }
        };
        table.add_row(row);
    }
    Ok(table.to_string())
}
