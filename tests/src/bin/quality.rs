//! Measures the default model's answers, in either precision, and says whether they are good enough.

use std::process::ExitCode;

use segmenter_tests::{
    Server,
    quality::{self, Numbers},
    shared,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(shared) = shared("quality") else {
        return ExitCode::FAILURE;
    };
    let mut passes = true;
    for numbers in [Numbers::Int8, Numbers::F32] {
        let Some(server) = Server::start("quality", &[numbers.argument()]).await else {
            return ExitCode::FAILURE;
        };
        let report = quality::measure(&server, numbers, &shared).await;
        println!("{report}");
        passes &= report.passes();
    }
    if passes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
