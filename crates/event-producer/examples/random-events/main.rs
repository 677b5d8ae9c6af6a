//! Random events to standard output, in the forms of `event-producer generate`, for the check of the decoders against each
//! other (`scripts/check-wire.sh`).

mod random;

use std::io::{self, BufWriter};

use clap::{Parser, ValueEnum};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An object a line
    Json,
    /// Each record preceded by its length (u32, little-endian)
    Wire,
}

/// Random events of all kinds, with any integer and any Unicode string. Deterministic.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of events
    #[arg(long)]
    events: u64,
    /// Output format
    #[arg(long, value_enum)]
    format: Format,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    random::write(arguments.events, arguments.format == Format::Json, BufWriter::new(io::stdout().lock()))
}
