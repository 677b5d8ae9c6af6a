//! The command `demo`; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    demo::main_with(&demo::Arguments::parse())
}
