//! The model directory: where weights lie, and how they are known to be the right ones.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use etcetera::BaseStrategy;
use segmenter_models::catalogue::WeightsFile;
use sha2::{Digest, Sha256};

/// The directory of a user's weights files.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
}

impl ModelDir {
    /// The directory at `path`, or else `segmenter` in the user's cache directory. It need not exist.
    pub fn new(path: Option<&Path>) -> Result<Self, StoreError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => etcetera::choose_base_strategy()
                .map_err(|_| StoreError::NoDirectory)?
                .cache_dir()
                .join("segmenter"),
        };
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the entry's weights lie, if they are installed.
    pub fn weights_path(&self, weights: &WeightsFile) -> PathBuf {
        self.path.join(weights.file_name)
    }

    /// Whether the entry's weights are there, by their size only.
    pub fn has(&self, weights: &WeightsFile) -> bool {
        fs::metadata(self.weights_path(weights)).is_ok_and(|found| {
            found.is_file()
                && weights
                    .size
                    .exactly()
                    .is_none_or(|expected| found.len() == expected)
        })
    }

    /// The entry's weights, if they have this SHA-256; `None` if they are not there.
    pub fn find(&self, weights: &WeightsFile, sha256: &str) -> Result<Option<PathBuf>, StoreError> {
        let path = self.weights_path(weights);
        match verify(&path, sha256) {
            Ok(()) => Ok(Some(path)),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Verifies the file at `part`, which lies in this directory, and gives it its name: whoever looks
    /// for the weights finds either none or all of them.
    pub fn install(
        &self,
        part: &Path,
        weights: &WeightsFile,
        sha256: &str,
    ) -> Result<PathBuf, StoreError> {
        verify(part, sha256)?;
        let path = self.weights_path(weights);
        File::open(part)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(part, &path))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(StoreError::io("install", &path))?;
        Ok(path)
    }

    /// What to do when the weights of `model` are not there and may not be downloaded.
    pub fn missing(&self, model: &'static str, weights: &'static WeightsFile) -> StoreError {
        StoreError::Missing {
            model,
            file_name: weights.file_name,
            url: weights.url,
            dir: self.path.clone(),
        }
    }
}

/// Checks that the SHA-256 of the file at `path` begins with the hex digits `expected`.
pub fn verify(path: &Path, expected: &str) -> Result<(), StoreError> {
    let found = sha256(path).map_err(StoreError::io("read", path))?;
    compare(|| path.display().to_string(), found, expected)
}

/// Checks that the SHA-256 of these bytes, which are called `what`, begins with the hex digits `expected`.
pub fn verify_bytes(what: &str, bytes: &[u8], expected: &str) -> Result<(), StoreError> {
    compare(|| what.to_owned(), hex(&Sha256::digest(bytes)), expected)
}

fn compare(what: impl FnOnce() -> String, found: String, expected: &str) -> Result<(), StoreError> {
    if found.starts_with(expected) {
        return Ok(());
    }
    Err(StoreError::Checksum {
        what: what(),
        expected: expected.to_owned(),
        found,
    })
}

/// The SHA-256 of the file as 64 hex digits.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(bytes))
}

/// Why weights could not be found or installed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no place to look.
    #[error(
        "no cache directory is known for this user: say where models are kept with --model-dir"
    )]
    NoDirectory,
    /// The weights are not there.
    #[error(
        "the weights of {model} are not in {dir}; get them with `segmenter pull {model}`, or put \
         {file_name} there ({url}), or say where they are with --weights FILE",
        dir = .dir.display()
    )]
    Missing {
        /// The catalogue's name.
        model: &'static str,
        /// The file's name in the directory.
        file_name: &'static str,
        /// Where it is from.
        url: &'static str,
        /// The directory.
        dir: PathBuf,
    },
    /// The weights are not the ones they should be.
    #[error(
        "{what} has SHA-256 {found}, expected {expected}{}",
        if expected.len() < 64 { "..." } else { "" }
    )]
    Checksum {
        /// The file, or what is none.
        what: String,
        /// The first hex digits it should have.
        expected: String,
        /// Those it has.
        found: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Makes an I/O error into one that says what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use segmenter_models::catalogue::FileSize;

    use super::*;

    /// Of "abc", from FIPS 180-4's examples.
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    const WEIGHTS: WeightsFile = WeightsFile {
        file_name: "abc.pth",
        url: "https://example.org/abc.pth",
        sha256: SHA256,
        size: FileSize::Exactly(3),
    };

    #[test]
    fn weights_are_found_by_name_and_known_by_their_sum() {
        let dir = tempfile::tempdir().unwrap();
        let models = ModelDir::new(Some(dir.path())).unwrap();
        assert!(!models.has(&WEIGHTS));
        assert_eq!(models.find(&WEIGHTS, WEIGHTS.sha256).unwrap(), None);

        let path = dir.path().join("abc.pth");
        fs::write(&path, "abd").unwrap();
        assert!(models.has(&WEIGHTS));
        let error = models
            .find(&WEIGHTS, WEIGHTS.sha256)
            .unwrap_err()
            .to_string();
        assert!(error.contains("abc.pth has SHA-256 a52d159f"), "{error}");
        assert!(error.ends_with(SHA256), "{error}");

        fs::write(&path, "abc").unwrap();
        assert_eq!(models.find(&WEIGHTS, WEIGHTS.sha256).unwrap(), Some(path));
    }

    #[test]
    fn the_first_digits_of_a_sum_are_enough_where_no_more_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert!(verify(&path, "ba7816bf").is_ok());
        let error = verify(&path, "ba7816be").unwrap_err().to_string();
        assert!(error.ends_with("expected ba7816be..."), "{error}");
        assert!(verify_bytes("abc", b"abc", SHA256).is_ok());
    }

    #[test]
    fn what_is_installed_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let models = ModelDir::new(Some(dir.path())).unwrap();
        let part = dir.path().join("abc.pth.part");
        fs::write(&part, "ab").unwrap();
        assert!(models.install(&part, &WEIGHTS, SHA256).is_err());
        assert!(!models.weights_path(&WEIGHTS).exists());
        fs::write(&part, "abc").unwrap();
        let path = models.install(&part, &WEIGHTS, SHA256).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "abc");
        assert!(!part.exists());
    }
}
