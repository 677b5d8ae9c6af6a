//! The command `state-probe`: measures the size of a Flink job's state.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    state_probe::cli::main_with(state_probe::Arguments::parse())
}
