//! Python, where a test needs what only exists there.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::shared::skipped;

/// The interpreter named by `SEGMENTER_PYTHON` (`make test` sets it to an environment with the packages
/// of `tests/python/requirements.txt`), else `python3`. Where it lacks one of `modules`, says so as a
/// skipped test and answers `None`.
pub fn python(test: &str, modules: &[&str]) -> Option<PathBuf> {
    let interpreter =
        env::var_os("SEGMENTER_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let imports = format!("import {}", modules.join(", "));
    let found = Command::new(&interpreter)
        .args(["-c", &imports])
        .output()
        .is_ok_and(|output| output.status.success());
    if found {
        return Some(interpreter);
    }
    skipped(
        test,
        &format!("no Python with {} (SEGMENTER_PYTHON)", modules.join(", ")),
    );
    None
}

/// Runs a script of `tests/python`; one that fails fails the test.
pub fn run(interpreter: &Path, script: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .join(script);
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(interpreter)
        .arg(&path)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", interpreter.display()));
    assert!(
        status.success(),
        "{script} ended with {status}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8_lossy(&stdout).trim().to_owned()
}
