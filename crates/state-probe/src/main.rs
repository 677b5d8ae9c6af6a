//! The command `state-probe`; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    state_probe::cli::main_with(state_probe::Arguments::parse())
}
