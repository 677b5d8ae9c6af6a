//! Secrets that a configuration names instead of holding: in a file, or in a variable of the environment.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Secret, SecretError, read};

/// Where a secret is kept. The first line counts, without white space at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In an environment variable of this name.
    Env(String),
}

/// Why a secret cannot be had from where it is kept. The secret itself is never part of the message.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file is refused.
    #[error(transparent)]
    File(#[from] SecretError),
    /// The environment variable is not set.
    #[error("the environment variable {variable} is not set, or is not text")]
    Variable {
        /// Its name.
        variable: String,
    },
    /// There is nothing but white space on the first line.
    #[error("{origin} has nothing on its first line")]
    Empty {
        /// The file or the variable, in words.
        origin: String,
    },
}

impl SecretSource {
    /// The file or the variable, in words.
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Env(variable) => format!("the environment variable {variable}"),
        }
    }

    /// The first line, without white space at its end.
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

    /// Goal: the first line is what counts, and each reason why there is none is told without the text.
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
