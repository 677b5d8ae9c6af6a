//! Serves a scenario file as a program, until it gets a signal: for benchmarks and for looking at a situation by hand. Prints the URL.
//!
//! `cargo run -p flink-stand-in --example serve -- testdata/scenarios/run-quiet-job/scenario.json`
#![expect(clippy::print_stdout, reason = "it prints its address")]

use std::error::Error;
use std::path::Path;

use flink_stand_in::{Pace, Scenario, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: serve SCENARIO.json")?;
    let server = Server::start(Scenario::load(Path::new(&path))?, Pace::Real).await?;
    println!("{}", server.url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
