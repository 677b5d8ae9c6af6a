//! Jars on the JobManager, and submission of a job from one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Client, Error, JobId};

/// Size limit of a jar, in bytes: a job with all dependencies has about 100 MB.
const JAR_BYTES: u64 = 1 << 30;

/// An uploaded jar (`/jars`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Jar {
    /// Flink's id: a random prefix and the name.
    pub id: String,
    /// The file name at upload.
    pub name: String,
}

/// Submission of a job (`/jars/:jarid/run`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRequest {
    /// The class with `main`; `None`: the main class in the jar's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_class: Option<String>,
    /// Arguments of `main`.
    pub program_args_list: Vec<String>,
    /// Id of the new job. Flink rejects a second submission under one id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Path of the savepoint to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savepoint_path: Option<String>,
    /// Whether state of removed operators may be dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_non_restored_state: Option<bool>,
    /// Flink settings of this job only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub flink_configuration: BTreeMap<String, String>,
}

/// Reads a jar from disk.
///
/// # Errors
/// [`Error::File`] if it cannot be read, is not a regular file, or has more than 1 GiB.
pub async fn read_jar(path: &Path) -> Result<Vec<u8>, Error> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || files::read(&file, JAR_BYTES)).await;
    let read = read.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()));
    read.map_err(|source| Error::File { path: path.display().to_string(), source })
}

impl Client {
    /// Fetches the list of jars on the JobManager.
    ///
    /// # Errors
    /// Any [`Error`] of the transport; `/jars` is absent where `web.submit.enable` is off.
    pub async fn jars(&self) -> Result<Vec<Jar>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            files: Vec<Jar>,
        }
        Ok(self.get::<Answer>("jars", &[]).await?.files)
    }

    /// Uploads a jar under the given name and returns its id.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, else any [`Error`] of the transport.
    pub async fn upload_jar(&self, path: &Path, name: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Answer {
            filename: String,
        }
        let bytes = read_jar(path).await?;
        // As long as a random UUID, so that it cannot occur in a jar.
        let boundary = format!("rescaler-{:032x}", rand::random::<u128>());
        let (media_type, body) = form(name, &bytes, &boundary);
        let answer: Answer = self.upload("jars/upload", &media_type, body).await?;
        let id = answer.filename.rsplit('/').next().unwrap_or_default();
        Ok(id.to_owned())
    }

    /// Runs the program's `main` up to the point where it would submit a job, as a dry run: validates its arguments
    /// before anything is stopped for it.
    ///
    /// # Errors
    /// [`Error::Status`] with the program's own message if its `main` fails, else any [`Error`] of the transport.
    pub async fn plan_jar(
        &self,
        jar_id: &str,
        entry_class: Option<&str>,
        program_args: &[String],
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Plan<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            entry_class: Option<&'a str>,
            program_args_list: &'a [String],
        }
        let path = format!("jars/{jar_id}/plan");
        let plan = Plan { entry_class, program_args_list: program_args };
        self.submit::<serde_json::Value>(&path, &plan).await.map(drop)
    }

    /// Submits a job; returns when the JobManager has accepted it, long before it runs.
    ///
    /// # Errors
    /// [`Error::Status`] with the program's own message if its `main` fails, else any [`Error`] of the transport.
    pub async fn run_jar(&self, jar_id: &str, run: &RunRequest) -> Result<JobId, Error> {
        #[derive(Deserialize)]
        struct Answer {
            jobid: JobId,
        }
        let path = format!("jars/{jar_id}/run");
        Ok(self.submit::<Answer>(&path, run).await?.jobid)
    }
}

/// Builds a form with one file (RFC 7578): returns its media type and its bytes. The boundary must not occur in the
/// file.
fn form(name: &str, file: &[u8], boundary: &str) -> (String, Vec<u8>) {
    // Escapes the characters that would end the quoted name, as in the WHATWG's standard for forms.
    let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"{name}\"\r\n\
         Content-Type: application/x-java-archive\r\n\r\n"
    );
    let end = format!("\r\n--{boundary}--\r\n");
    (format!("multipart/form-data; boundary={boundary}"), [head.as_bytes(), file, end.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the form conforms to RFC 7578, whatever the name.
    #[test]
    fn a_jar_becomes_a_form() {
        let (media_type, body) = form("a\"b.jar", b"PK", "x-1");
        assert_eq!(media_type, "multipart/form-data; boundary=x-1");
        let expected = "--x-1\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"a%22b.jar\"\r\n\
            Content-Type: application/x-java-archive\r\n\r\nPK\r\n--x-1--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
