//! Control requests to a testbed that runs in another process: add or stop a task manager.
//!
//! The testbed's process listens on a socket whose name is derived from its work folder, and answers only processes
//! of the same user (by the kernel's peer credentials). The socket is abstract: it needs no file, its length does not
//! depend on the folder's, and it disappears with the process. Request and response are one line of JSON each.
//!
//! Requests are idempotent: a name stands for one task manager, however often it is started.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use service::with_causes;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::testbed::Testbed;

/// Largest request and response, in bytes.
const LINE_BYTES: u64 = 16 << 10;
/// Timeout of a client's request line, and of its reading the response.
const LINE_DEADLINE: Duration = Duration::from_secs(10);
/// Concurrent requests; further ones wait in the kernel's queue.
const SERVED_AT_ONCE: usize = 32;

/// A control request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Ensure that this task manager runs.
    AddTaskManager {
        /// Its id; [`None`]: the next one.
        id: Option<String>,
        /// Whether to wait until it has registered.
        wait: bool,
    },
    /// Ensure that this task manager does not run.
    StopTaskManager {
        /// Its id.
        id: String,
    },
}

/// Response to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The task manager was started, or is starting.
    Started(String),
    /// It was already running.
    Runs(String),
    /// It was stopped.
    Stopped(String),
    /// It was not running.
    StoppedAlready(String),
    /// The request failed.
    Failed(String),
}

/// A request could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No process runs a testbed there, or it does not answer.
    #[error("no testbed answers in {}; start it with `testbed up`", work_dir.display())]
    NoAnswer {
        /// Path of the work folder.
        work_dir: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The response is not one of this version.
    #[error("unexpected answer from the testbed in {}", work_dir.display())]
    Unreadable {
        /// Path of the work folder.
        work_dir: PathBuf,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
}

/// Sends a request to the testbed of a work folder.
///
/// # Errors
/// [`RequestError`].
pub async fn ask(work_dir: &Path, request: &Request, deadline: Duration) -> Result<Answer, RequestError> {
    let no_answer = |source| RequestError::NoAnswer { work_dir: work_dir.to_owned(), source };
    let asked = async {
        let stream = StdStream::connect_addr(&address(work_dir)?)?;
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(stream)?;
        write_line(&mut stream, request).await?;
        read_line(&mut stream).await
    };
    let late = |_late| Err(io::ErrorKind::TimedOut.into());
    let line = timeout(deadline, asked).await.unwrap_or_else(late).map_err(no_answer)?;
    serde_json::from_str(&line)
        .map_err(|source| RequestError::Unreadable { work_dir: work_dir.to_owned(), source })
}

/// Returns the socket address of a work folder's testbed.
fn address(work_dir: &Path) -> io::Result<SocketAddr> {
    let canonical = work_dir.canonicalize()?;
    let digest = Sha256::digest(canonical.as_os_str().as_encoded_bytes());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    SocketAddr::from_abstract_name(format!("rescaler-testbed-{digest}"))
}

async fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut line).await?;
    if line.ends_with('\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Binds the socket of a work folder: from here on requests wait in the kernel's queue.
pub(crate) fn listen(work_dir: &Path) -> io::Result<StdListener> {
    let listener = StdListener::bind_addr(&address(work_dir)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers requests until the future is dropped.
pub(crate) async fn serve(testbed: &Testbed, listener: StdListener) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let mut served = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if served.len() < SERVED_AT_ONCE => match accepted {
                Ok((stream, _)) => served.push(answer(testbed, stream)),
                Err(error) => tracing::warn!(%error, "could not accept a request"),
            },
            Some(()) = served.next() => {}
        }
    }
}

async fn answer(testbed: &Testbed, mut stream: UnixStream) {
    let own = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
    if own.is_none() || stream.peer_cred().ok().map(|peer| peer.uid()) != own {
        tracing::warn!("ignored a request of another user");
        return;
    }
    let request = match timeout(LINE_DEADLINE, read_line(&mut stream)).await {
        Ok(Ok(line)) => serde_json::from_str::<Request>(&line),
        _ => return,
    };
    let answer = match request {
        // Runs to completion even if the client has disconnected.
        Ok(Request::AddTaskManager { id: Some(id), wait: false }) => {
            respond(&mut stream, &Answer::Started(id.clone())).await;
            if let Answer::Failed(problem) = add(testbed, Some(id)).await {
                tracing::error!("{problem}");
            }
            return;
        }
        Ok(Request::AddTaskManager { id, .. }) => add(testbed, id).await,
        Ok(Request::StopTaskManager { id }) => match testbed.retire_task_manager(&id).await {
            Ok(true) => Answer::Stopped(id),
            Ok(false) => Answer::StoppedAlready(id),
            Err(error) => Answer::Failed(with_causes(&error)),
        },
        Err(error) => Answer::Failed(format!("invalid request: {error}")),
    };
    respond(&mut stream, &answer).await;
}

async fn add(testbed: &Testbed, id: Option<String>) -> Answer {
    let added = match id {
        Some(id) => testbed.ensure_task_manager(&id).await.map(|started| (id, started)),
        None => testbed.start_task_manager().await.map(|id| (id, true)),
    };
    match added {
        Ok((id, true)) => Answer::Started(id),
        Ok((id, false)) => Answer::Runs(id),
        Err(error) => Answer::Failed(with_causes(&error)),
    }
}

async fn respond(stream: &mut UnixStream, answer: &Answer) {
    // A disconnected client is ignored.
    let _gone = timeout(LINE_DEADLINE, write_line(stream, answer)).await;
}
