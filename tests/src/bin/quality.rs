//! Measures the default model's answers, in every precision of the processor, or with the argument `gpu` in those of a
//! GPU, and says whether they are good enough.

use std::{env, process::ExitCode};

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
    let measured = match env::args().nth(1).as_deref() {
        None => [Numbers::Int8, Numbers::F32],
        Some("gpu") => [Numbers::GpuF32, Numbers::GpuF16],
        Some(other) => {
            eprintln!("{other} is not known: gpu, or nothing for the processor");
            return ExitCode::FAILURE;
        }
    };
    let mut passes = true;
    for numbers in measured {
        let Some(server) = Server::start("quality", &numbers.arguments()).await else {
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
