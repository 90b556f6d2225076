//! The folder of data that is not part of the repository: weights, pictures, reference detections.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The folder named by `SEGMENTER_SHARED`, else `shared` beside the checkout. Where there is none, says
/// so as a skipped test of the name `test` and answers `None`.
pub fn shared(test: &str) -> Option<PathBuf> {
    let folder = env::var_os("SEGMENTER_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(test, "no folder of shared data (SEGMENTER_SHARED)");
    None
}

/// Says that a test did not run, and why, in the form that `make test` counts.
///
/// Straight to stderr: the test runner would swallow what a passing test prints.
pub fn skipped(test: &str, why: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
