//! Measures the default model's answers and says whether they are good enough.

use std::process::ExitCode;

use segmenter_tests::{Server, quality, shared};

#[tokio::main]
async fn main() -> ExitCode {
    let (Some(shared), Some(server)) = (shared("quality"), Server::start("quality", &[]).await)
    else {
        return ExitCode::FAILURE;
    };
    let report = quality::measure(&server, &shared).await;
    print!("{report}");
    if report.passes() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
