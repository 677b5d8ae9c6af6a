//! Errors of taking a sample.

use std::path::PathBuf;

use flink::JobState;
use thiserror::Error;

/// Why no sample could be taken.
#[derive(Debug, Error)]
pub enum SampleError {
    /// No job of that name runs.
    #[error("no job named {job:?} runs on {url}")]
    NoJob {
        /// The name that was looked for.
        job: String,
        /// The cluster.
        url: String,
    },
    /// Several jobs of that name run; which one is meant cannot be known.
    #[error("several jobs named {job:?} run on {url}; select one by id: {}", ids.join(", "))]
    Ambiguous {
        /// The name that was looked for.
        job: String,
        /// Their ids.
        ids: Vec<String>,
        /// The cluster.
        url: String,
    },
    /// The job is there, but not all of its tasks run.
    #[error("job {job:?} is {state:?} and not all of its tasks run")]
    NotRunning {
        /// The name that was looked for.
        job: String,
        /// Its state.
        state: JobState,
    },
    /// A batch job, whose scheduler chooses the parallelism of each vertex when its input is known.
    #[error("job {job:?} is a batch job, which Flink scales itself; only streaming jobs are supported")]
    Batch {
        /// The name that was looked for.
        job: String,
    },
    /// Flink did not answer, or not as expected.
    #[error("could not read Flink's REST interface")]
    Flink(#[from] flink::Error),
    /// The store of metrics did not answer, or not as expected.
    #[error("could not read metrics from {store}")]
    Store {
        /// Where they were looked for.
        store: String,
        /// What went wrong.
        #[source]
        source: StoreError,
    },
    /// The store answers, and has nothing recent of the job.
    #[error(
        "{store} has no metrics of job {job:?} for the last {lookback_s} s ({series} series matched a pattern)"
    )]
    NoMetrics {
        /// Where they were looked for.
        store: String,
        /// The name that was looked for.
        job: String,
        /// How far back was looked, in seconds.
        lookback_s: u64,
        /// How many series matched a pattern, of whatever job.
        series: usize,
    },
}

/// Why a store could not be read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The HTTP client could not be made.
    #[error("cannot set up access")]
    Setup(#[source] http_client::SetupError),
    /// No answer: refused, reset, name unknown, or not within the timeout.
    #[error("no answer")]
    NoAnswer(#[source] http_client::Failure),
    /// An answer with an error status.
    #[error("it answered {status}: {message}")]
    Status {
        /// The HTTP status code.
        status: u16,
        /// The beginning of the answer.
        message: String,
    },
    /// The answer is larger than allowed.
    #[error("it answered more than {limit_bytes} bytes; narrow the query, or raise max_body_bytes")]
    TooLarge {
        /// The bound that was exceeded.
        limit_bytes: usize,
    },
    /// The answer is not what such a store answers.
    #[error("unexpected answer; check that the URL is that of such a store")]
    Unreadable(#[source] serde_json::Error),
    /// The store understood the question and refused it.
    #[error("it rejected the query: {0}")]
    Refused(String),
    /// There are more series than may be read.
    #[error("more than {limit} series; narrow the patterns, or raise max_series")]
    TooMany {
        /// The bound that was exceeded.
        limit: usize,
    },
    /// The store answers with a part of the series only.
    #[error("it returned only a part of the series ({why}); repair the part that does not answer")]
    Partial {
        /// What the store says.
        why: String,
    },
    /// Several jobs of the same name write to the store at the same time.
    #[error("several jobs with this name write to it at the same time, [{}] and [{}]; {remedy}", jobs[0], jobs[1])]
    Ambiguous {
        /// What distinguishes two of them.
        jobs: [String; 2],
        /// How to name the one that is meant.
        remedy: &'static str,
    },
    /// The folder of the store cannot be listed.
    #[error("{}: cannot be listed", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A part of the folder cannot be listed, so that it is not known what runs.
    #[error(
        "{}: cannot read its series ({reason}); make it readable, move it away, or use Flink's graph (source.graph)",
        path.display()
    )]
    Unlisted {
        /// The folder, or the entry in it.
        path: PathBuf,
        /// The operating system's reason, or the bound that was exceeded.
        reason: String,
    },
    /// A file cannot be read, so that it is not known what runs.
    #[error(
        "cannot read a series of the job; make the file readable, remove it (carbon recreates it), or use Flink's graph (source.graph)"
    )]
    File(#[source] whisper::FetchError),
    /// The thread that reads files is gone.
    #[error("reading the files was interrupted")]
    Interrupted,
}
