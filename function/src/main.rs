//! The `segmenter` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: segmenter_allocator::Allocator = segmenter_allocator::Allocator;

fn main() -> ExitCode {
    segmenter_allocator::give_back_soon();
    segmenter::cli::run()
}
