//! What every program is made of: configuration files, the log, shutdown, errors and exit codes.
//!
//! * [`settings`] loads a configuration and reports all its problems at once, in one wording.
//! * [`logging`] starts the log on standard error, one line per event.
//! * [`Shutdown`] waits for SIGINT and SIGTERM.
//! * [`with_causes`] formats an error with its causes in one line.
//! * [`fail`] ends a program with a message and its exit code.
//!
//! What a program does with its configuration, its command line and its HTTP interface are elsewhere: in the program, in
//! `terminal`, `http-server` and `http-client`.

mod causes;
mod exit;
pub mod logging;
pub mod settings;
mod shutdown;

pub use causes::with_causes;
pub use exit::{BAD_USAGE, fail, fail_with};
pub use settings::{ConfigError, Problems};
pub use shutdown::{Shutdown, ShutdownError};
