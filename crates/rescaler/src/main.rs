//! The command `rescaler`; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    rescaler::main_with(rescaler::Arguments::parse())
}
