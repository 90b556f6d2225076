//! The `segmenter` command.

fn main() {}
