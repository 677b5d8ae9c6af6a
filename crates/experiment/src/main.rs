//! The command `experiment`; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    experiment::main_with(&experiment::Arguments::parse())
}
