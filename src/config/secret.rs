//! Secrets, given directly or in a file that may be read again.
//!
//! Must not: print a secret, or compare one.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::files;

/// A secret, and where to read it again when it was rotated.
#[derive(Debug, Clone)]
pub enum Secret {
    /// Given in the settings or the environment.
    Value(SecretString),
    /// Read from a file, again on SIGHUP and on authentication failure.
    File {
        /// Where.
        path: PathBuf,
        /// What it held when it was last read, without the final line break.
        value: SecretString,
    },
}

/// A file that should hold a secret and does not.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file is missing, unreadable, not UTF-8, too large or no regular file.
    #[error("cannot read the secret in {path}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why, never with any content.
        #[source]
        source: std::io::Error,
    },
    /// Nothing but white space in it.
    #[error("the secret file {path} is empty")]
    Empty {
        /// Where.
        path: PathBuf,
    },
}

impl Secret {
    /// Reads a secret from a file, without its final line break.
    ///
    /// May block for the ten seconds that a disk has to answer.
    ///
    /// # Errors
    /// When the file cannot be read or holds nothing.
    pub fn from_file(path: &Path) -> Result<Self, SecretFileError> {
        let text = files::secret(path).map_err(|source| SecretFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        // Editors and `echo` end a file with a line break that is no part of
        // the secret; any other white space may be.
        let text = text.expose_secret();
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() {
            return Err(SecretFileError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self::File {
            path: path.to_owned(),
            value: SecretString::from(line),
        })
    }

    /// The secret as it was last read.
    #[must_use]
    pub fn value(&self) -> &SecretString {
        match self {
            Self::Value(value) | Self::File { value, .. } => value,
        }
    }

    /// The same secret, read again if it lives in a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds nothing; the old one stays valid.
    pub fn reread(&self) -> Result<Self, SecretFileError> {
        match self {
            Self::Value(_) => Ok(self.clone()),
            Self::File { path, .. } => Self::from_file(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_loses_its_final_line_break_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (held, read) in [
            ("s3", "s3"),
            ("s3\n", "s3"),
            ("s3\r\n", "s3"),
            (" s 3 \n\n", " s 3 \n"),
        ] {
            std::fs::write(&path, held).unwrap();
            assert_eq!(
                Secret::from_file(&path).unwrap().value().expose_secret(),
                read
            );
        }
    }

    #[test]
    fn a_rotated_secret_is_seen_when_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "old\n").unwrap();
        let secret = Secret::from_file(&path).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(secret.value().expose_secret(), "old");
        assert_eq!(secret.reread().unwrap().value().expose_secret(), "new");
    }

    #[test]
    fn a_missing_or_empty_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let missing = Secret::from_file(&path).unwrap_err();
        assert_eq!(
            missing.to_string(),
            format!("cannot read the secret in {}", path.display())
        );
        std::fs::write(&path, "\n").unwrap();
        let empty = Secret::from_file(&path).unwrap_err();
        assert_eq!(
            empty.to_string(),
            format!("the secret file {} is empty", path.display())
        );
    }
}
