//! References to secrets in a configuration: a file or an environment variable.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Secret, SecretError, read};

/// Location of a secret. The first line counts, without trailing white space.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In an environment variable of this name.
    Env(String),
}

/// Why a secret cannot be read. The secret itself is never part of the message.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] SecretError),
    /// The environment variable is not set.
    #[error("the environment variable {variable} is not set, or is not text")]
    Variable {
        /// Name of the variable.
        variable: String,
    },
    /// The first line is blank.
    #[error("{origin} has an empty first line")]
    Empty {
        /// Description of the file or the variable.
        origin: String,
    },
}

impl SecretSource {
    /// Describes the file or the variable.
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Env(variable) => format!("the environment variable {variable}"),
        }
    }

    /// Reads the first line, without trailing white space.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn first_line(&self) -> Result<Secret, SourceError> {
        let text = match self {
            Self::File(path) => read(path)?.reveal().to_owned(),
            Self::Env(variable) => {
                std::env::var(variable).map_err(|_| SourceError::Variable { variable: variable.clone() })?
            }
        };
        let line = text.lines().next().map(str::trim_end).filter(|line| !line.is_empty());
        let line = line.ok_or_else(|| SourceError::Empty { origin: self.origin() })?;
        Ok(Secret::from(line.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Goal: the first line counts, and each error is reported without the text.
    #[test]
    fn the_first_line_counts() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |name: &str, text: &str| {
            let path = folder.path().join(name);
            crate::write_new(&path, text).unwrap();
            SecretSource::File(path)
        };
        assert_eq!(kept("two", "open sesame \r\nnot this\n").first_line().unwrap().reveal(), "open sesame");
        let empty = kept("empty", " \nhidden\n").first_line().unwrap_err().to_string();
        assert!(empty.contains("first line") && !empty.contains("hidden"), "{empty}");
        let missing = SecretSource::File(Path::new("/none").to_owned()).first_line().unwrap_err();
        assert!(missing.to_string().contains("/none"), "{missing}");
        let unset = SecretSource::Env("NO_SUCH_VARIABLE_HERE".to_owned()).first_line().unwrap_err();
        assert!(unset.to_string().contains("NO_SUCH_VARIABLE_HERE is not set"), "{unset}");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(SecretSource::Env("PATH".to_owned()).first_line().unwrap().reveal(), path);
    }
}
