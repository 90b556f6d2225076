//! The machine that is measured on.

use std::{fs, process::Command, thread};

use serde::Serialize;

use crate::gpu::Gpu;

/// What a reader has to know of it.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's own name.
    pub(crate) processor: String,
    /// The widest vectors that it calculates with, among those that matter here.
    pub(crate) vectors: &'static str,
    /// How many processors there are.
    pub(crate) processors: usize,
    /// The GPU, where networks ran on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gpu: Option<Gpu>,
    /// Processes that wanted to run during the last minute, on average.
    pub(crate) load: f64,
}

impl Machine {
    /// This one, now, with the GPU that is measured on, if one is.
    pub(crate) fn look(gpu: Option<Gpu>) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown processor", |(_, model)| model.trim());
        let flags: Vec<&str> = info
            .lines()
            .find_map(|line| line.strip_prefix("flags"))
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let vectors = [
            ("amx_int8", "AMX"),
            ("avx512_vnni", "AVX-512 with VNNI"),
            ("avx512f", "AVX-512"),
            ("avx2", "AVX2"),
        ];
        Self {
            processor: processor.to_owned(),
            vectors: vectors
                .into_iter()
                .find(|(flag, _)| flags.contains(flag))
                .map_or("no AVX2", |(_, name)| name),
            processors: thread::available_parallelism().map_or(1, usize::from),
            gpu,
            load: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split(' ').next()?.parse().ok())
                .unwrap_or_default(),
        }
    }
}

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

/// Seconds that all processors together were busy since they started, time that the hypervisor took included;
/// 0 where the system does not tell.
pub(crate) fn busy_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_ticks(&text).unwrap_or_default() as f64 / TICKS
}

/// Seconds that a process and those of its threads that ended were busy; 0 where the system does not tell.
pub(crate) fn process_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    process_ticks(&text).unwrap_or_default() as f64 / TICKS
}

/// A second of `/proc`, on every Linux of today.
const TICKS: f64 = 100.0;

/// Of `/proc/stat`.
fn busy_ticks(text: &str) -> Option<u64> {
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user and nice already.
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks = line.split_whitespace().take(8);
    let busy = ticks
        .enumerate()
        .filter(|(index, _)| ![3, 4].contains(index));
    busy.map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()
}

/// Of `/proc/PID/stat`.
fn process_ticks(text: &str) -> Option<u64> {
    // The name, in parentheses, may have anything in it. utime and stime are the fields 14 and 15 of proc(5).
    let (_, rest) = text.rsplit_once(')')?;
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::{busy_ticks, process_ticks};

    #[test]
    fn ticks_are_found_where_proc_has_them() {
        let stat = "cpu  1 20 300 9999 9999 4000 50000 600000 7 7\ncpu0 1 1 1";
        assert_eq!(busy_ticks(stat), Some(654_321));
        assert_eq!(busy_ticks(""), None);
        let stat = "7 (a) S) S 1 7 7 0 -1 4194304 100 0 0 0 40 2 9 9 20 0";
        assert_eq!(process_ticks(stat), Some(42));
        assert_eq!(process_ticks("7"), None);
    }
}
