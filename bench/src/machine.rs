//! The machine that is measured on.

use std::{fs, process::Command, thread};

/// The command that binds a process to the first `threads` processors; empty where it does not work.
pub(crate) fn pinning(threads: usize) -> Vec<String> {
    let last = threads.saturating_sub(1);
    let command = ["taskset".to_owned(), "-c".to_owned(), format!("0-{last}")];
    let works = Command::new(&command[0])
        .args(&command[1..])
        .arg("true")
        .status()
        .is_ok_and(|status| status.success());
    if works { command.to_vec() } else { Vec::new() }
}

/// Its processor, in words.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let extension = ["avx512f", "avx2"]
        .into_iter()
        .find(|name| info.split_whitespace().any(|flag| flag == *name))
        .unwrap_or("no AVX2");
    let count = thread::available_parallelism().map_or(1, usize::from);
    format!("{model} ({extension}), {count} processors")
}
