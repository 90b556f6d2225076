//! The operator's binary.

fn main() -> std::process::ExitCode {
    segmenter_operator::cli::main()
}
