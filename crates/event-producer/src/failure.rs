//! Why the program ends without success, and the exit code for it.

use std::process::ExitCode;

/// The two ways to fail that a caller can tell apart by the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Bad usage or configuration: exit code 2. The message names the file, the key and what would be right.
    Config(anyhow::Error),
    /// Anything else: exit code 1.
    Run(anyhow::Error),
}

impl Failure {
    /// The chain of errors, outermost first.
    pub const fn error(&self) -> &anyhow::Error {
        match self {
            Failure::Config(error) | Failure::Run(error) => error,
        }
    }

    /// 2 or 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Config(_) => ExitCode::from(2),
            Failure::Run(_) => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Run(error)
    }
}
