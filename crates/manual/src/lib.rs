//! Man pages, shell completions and `docs/options.md`, made from the very command lines that the programs parse, so that they cannot drift.
//!
//! A program of its own, run once at installation: the others stay free of code that only a packager needs.

mod options;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

pub use options::page as options;

/// Shells for which completions are written.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// The command line of each program, under its name.
pub fn programs() -> Vec<Command> {
    let commands = [
        ("config-agent", config_agent::Args::command()),
        ("config-drop", config_drop::Args::command()),
        ("event-producer", event_producer::Arguments::command()),
        ("rescaler", rescaler::Arguments::command()),
        ("state-probe", state_probe::Arguments::command()),
        ("testbed", testbed::cli::Arguments::command()),
    ];
    commands.into_iter().map(|(name, command)| command.name(name).bin_name(name)).collect()
}

/// Writes `man/man1/*.1`, `completions/{bash,zsh,fish}/*` and `options.md` into `folder` and returns what was written.
///
/// # Errors
///
/// A folder that could not be made, or a file that could not be written; the message names it.
pub fn write(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for program in programs() {
        written.extend(write_pages(&program, &folder.join("man/man1"))?);
        written.extend(write_completions(&program, &folder.join("completions"))?);
    }
    let file = folder.join("options.md");
    fs::write(&file, options(&programs())).with_context(|| format!("could not write {}", file.display()))?;
    written.push(file);
    Ok(written)
}

/// One page for the program and one for each of its commands.
fn write_pages(program: &Command, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    make(folder)?;
    clap_mangen::generate_to(program.clone(), folder).with_context(|| {
        format!("could not write the man pages of {} to {}", program.get_name(), folder.display())
    })?;
    let prefix = program.get_name();
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let pages = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(pages
        .filter(|page| page.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect())
}

fn write_completions(program: &Command, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for shell in SHELLS {
        let folder = folder.join(shell.to_string());
        make(&folder)?;
        let file = clap_complete::generate_to(shell, &mut program.clone(), program.get_name(), &folder)
            .with_context(|| format!("could not write {shell} completions to {}", folder.display()))?;
        written.push(file);
    }
    Ok(written)
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))
}
