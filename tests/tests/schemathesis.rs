//! Thousands of requests that the API's own description allows, and thousands that it does not.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{path::Path, process::Command};

use segmenter_tests::{Server, python};

/// Cases of each kind for each route, which make more than [`LEAST`] in all.
const CASES: &str = "400";
const LEAST: u32 = 5000;

#[tokio::test]
async fn no_request_has_an_answer_that_is_not_documented() {
    let test = "no_request_has_an_answer_that_is_not_documented";
    let Some(interpreter) = python::python(test, &["schemathesis"]) else {
        return;
    };
    let more = ["--more-models", "deeplabv3_mnv2_pascal"];
    let Some(server) = Server::start(test, &more).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/schemathesis.toml");
    let output = Command::new(interpreter)
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(config)
        .args(["run", &server.url("/openapi.json")])
        .args(["--checks", "not_a_server_error,status_code_conformance"])
        .args(["--max-examples", CASES, "--workers", "2"])
        .args(["--continue-on-failure", "--no-color"])
        .args(["--generation-database", "none"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let generated = report
        .lines()
        .filter_map(|line| line.trim().split_once(" generated"))
        .find_map(|(count, _)| count.parse::<u32>().ok());
    println!("{generated:?} cases");
    assert!(generated.is_some_and(|count| count >= LEAST), "{report}");
}
