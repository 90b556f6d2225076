//! The folder of a control plane.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::error::Error;

const PREFIX: &str = "segmenter-cluster-";

/// Whoever holds the lock of this file in a folder still uses it.
const LOCK: &str = "lock";

/// Keeps the folder after the end where it is set to anything, for a look at logs and data.
const KEEP: &str = "SEGMENTER_CLUSTER_KEEP";

/// A folder that is deleted when this is dropped, unless it is another's.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _own: Option<(TempDir, File)>,
}

impl Folder {
    /// Makes one, and deletes those of test processes that were killed.
    pub(crate) fn create() -> Result<Self, Error> {
        sweep(&env::temp_dir());
        let keep = env::var_os(KEEP).is_some_and(|value| !value.is_empty());
        let mut folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .map_err(Error::file("make a folder in", env::temp_dir()))?;
        folder.disable_cleanup(keep);
        // The lock is taken before the file has its name: a folder without the file is nobody's to sweep, and
        // a folder to keep never gets one.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed).map_err(Error::file("make", &unnamed))?;
        lock.lock().map_err(Error::file("lock", &unnamed))?;
        if !keep {
            let named = folder.path().join(LOCK);
            fs::rename(&unnamed, &named).map_err(Error::file("make", &named))?;
        }
        Ok(Self {
            path: folder.path().to_owned(),
            _own: Some((folder, lock)),
        })
    }

    /// One that somebody else deletes.
    pub(crate) fn given(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _own: None,
        }
    }

    /// Whether a folder made here may have that name.
    pub(crate) fn is_named(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, and the folders that lead to it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        }
        fs::write(&path, content).map_err(Error::file("write", &path))?;
        Ok(path)
    }
}

/// Deletes the folders in `parent` whose owners are gone. What cannot be deleted is left to others.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !Folder::is_named(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_an_owner_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, lock: bool| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).unwrap();
            if lock {
                fs::write(folder.join(LOCK), "").unwrap();
            }
            folder
        };
        let left = make("segmenter-cluster-left", true);
        let used = make("segmenter-cluster-used", true);
        let unfinished = make("segmenter-cluster-unfinished", false);
        let foreign = make("foreign", true);
        let lock = File::open(used.join(LOCK)).unwrap();
        lock.lock().unwrap();
        sweep(parent.path());
        assert!(!left.exists());
        assert!(used.exists() && unfinished.exists() && foreign.exists());
    }
}
