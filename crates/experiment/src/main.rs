//! The command `experiment`: runs and compares scaling experiments.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    experiment::main_with(&experiment::Arguments::parse())
}
