//! The command `demo`: shows an automatic rescale under load on this machine.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    demo::main_with(&demo::Arguments::parse())
}
