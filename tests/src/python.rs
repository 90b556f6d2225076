//! Python, where a test needs what only exists there.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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

/// Runs a script of `tests/python` and answers what it prints; one that fails fails the test.
pub fn run(interpreter: &Path, script: &str, arguments: &[&str]) -> String {
    run_with_input(interpreter, script, arguments, "")
}

/// The same, with `input` on its standard input.
pub fn run_with_input(interpreter: &Path, script: &str, arguments: &[&str], input: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .join(script);
    let mut process = Command::new(interpreter)
        .arg(&path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", interpreter.display()));
    let mut stdin = process.stdin.take().expect("stdin is piped");
    // A script that does not read its input may be gone already, which is its own affair.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().expect("the output of a child");
    assert!(
        output.status.success(),
        "{script} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
