//! The command `manual`; everything it does is in the library.

use std::path::PathBuf;

use clap::Parser;

/// Writes the man pages, shell completions and the list of options of all programs.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
struct Arguments {
    /// Output folder for DIR/man/man1, DIR/completions/{bash,zsh,fish} and DIR/options.md
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let written = manual::write(&Arguments::parse().folder)?;
    Ok(terminal::print(&format!("{} files", written.len()))?)
}
