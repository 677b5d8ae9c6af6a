//! `rescaler keygen`: generates the key pair for signing and verifying documents.

use std::path::{Path, PathBuf};

use job_config::PrivateKey;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrets::SecretError;
use thiserror::Error;

/// Why a key cannot be generated or read.
#[derive(Debug, Error)]
pub(crate) enum KeyFileError {
    /// A file exists, cannot be written, or is accessible to others.
    #[error(transparent)]
    File(#[from] SecretError),
    /// The file does not contain a key.
    #[error("{}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The expected content.
        #[source]
        source: job_config::KeyError,
    },
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
}

/// Writes a new private key to `path`, readable only by its owner, and the public key beside it. Overwrites nothing.
///
/// # Errors
/// See [`KeyFileError`].
pub(crate) fn generate(path: &Path) -> Result<String, KeyFileError> {
    let public_path = public_path(path);
    if public_path.exists() {
        return Err(SecretError::Exists { path: public_path }.into());
    }
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| KeyFileError::Random)?;
    let bad = |source| KeyFileError::Key { path: path.to_owned(), source };
    let key = PrivateKey::from_seed(seed).map_err(bad)?;
    let public = key.public_key();
    secrets::write_new(path, &format!("{}\n", key.to_secret_text()))?;
    std::fs::write(&public_path, format!("{public}\n")).map_err(|source| SecretError::Io {
        action: "write",
        path: public_path.clone(),
        source,
    })?;
    Ok(format!(
        "# private key: {} (for the rescaler: [drop] signing_key_file)\n\
         # public key: {} (for every agent: add the next line to [drop])\n\
         public_keys = [\"{public}\"]",
        path.display(),
        public_path.display(),
    ))
}

/// Reads a private key, which must be readable only by its owner.
///
/// # Errors
/// See [`KeyFileError`].
pub(crate) fn read(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let bad = |source| KeyFileError::Key { path: path.to_owned(), source };
    secrets::read(path)?.reveal().parse().map_err(bad)
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".pub");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the key is usable, the printed line is what an agent's configuration needs, and no key is ever overwritten.
    #[test]
    fn a_key_pair_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.key");
        let printed = generate(&path).unwrap();
        let key = read(&path).unwrap();
        let table: toml::Table = toml::from_str(&printed).unwrap();
        let public = key.public_key().to_string();
        assert_eq!(table["public_keys"].as_array().unwrap()[0].as_str(), Some(public.as_str()));
        assert_eq!(std::fs::read_to_string(folder.path().join("rescaler.key.pub")).unwrap().trim(), public);
        let secret = key.to_secret_text();
        assert!(!printed.contains(&secret["ed25519-private:".len()..]));
        assert!(generate(&path).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(read(&path).unwrap().to_secret_text(), secret);
        std::fs::remove_file(&path).unwrap();
        assert!(generate(&path).unwrap_err().to_string().contains("rescaler.key.pub"));
    }
}
