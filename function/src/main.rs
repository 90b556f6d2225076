//! The `segmenter` command.

use std::process::ExitCode;

/// Gives memory back under changing loads of large pictures better than the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    segmenter::cli::run()
}
