//! The GPU that is measured on: which it is, and how much of its memory is in use.

use std::{fmt, process::Command};

use serde::Serialize;

#[cfg(feature = "gpu")]
pub(crate) use self::supported::{look, open};

/// A GPU, as its driver describes it.
#[derive(Debug, Serialize)]
pub(crate) struct Gpu {
    /// The name of the device.
    pub(crate) name: String,
    /// How it is spoken to.
    pub(crate) interface: &'static str,
    /// Name and version of its driver.
    pub(crate) driver: String,
    /// Whether it is a driver that computes on the processor.
    pub(crate) software: bool,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            interface,
            driver,
            ..
        } = self;
        write!(f, "{name} ({interface}, {driver})")
    }
}

/// What is said where this build has none.
#[cfg(not(feature = "gpu"))]
const UNSUPPORTED: &str = "this build has no GPU support: `make bench-gpu` has, \
                           and `cargo build --release --package segmenter-bench --features gpu`";

/// The one that is measured on.
#[cfg(not(feature = "gpu"))]
pub(crate) fn look() -> anyhow::Result<Gpu> {
    anyhow::bail!(UNSUPPORTED)
}

/// The same, to run networks on: with factors of 16 bits or without, and noting how long kernels take or not.
#[cfg(not(feature = "gpu"))]
pub(crate) fn open(_half: bool, _traced: bool) -> anyhow::Result<segmenter_models::Device> {
    anyhow::bail!(UNSUPPORTED)
}

#[cfg(feature = "gpu")]
mod supported {
    use anyhow::Context as _;
    use segmenter_gpu::{Adapter, Kind, Options, adapters};
    use segmenter_models::Device;

    use super::Gpu;

    /// The one that is measured on.
    pub(crate) fn look() -> anyhow::Result<Gpu> {
        first().map(|adapter| Gpu {
            software: adapter.kind == Kind::Software,
            name: adapter.name,
            interface: adapter.interface,
            driver: adapter.driver,
        })
    }

    /// The same, to run networks on: with factors of 16 bits or without, and noting how long kernels take or not.
    pub(crate) fn open(half: bool, traced: bool) -> anyhow::Result<Device> {
        let adapter = first()?;
        if adapter.kind == Kind::Software {
            eprintln!("warning: {} computes on the processor", adapter.name);
        }
        Ok(Device::gpu(adapter.open(&Options {
            half,
            traced,
            kept: None,
        })?))
    }

    /// As the server takes it, but also what computes on the processor, to try things out.
    fn first() -> anyhow::Result<Adapter> {
        let first = adapters().into_iter().next();
        first.context("no GPU is here that has a driver for Vulkan or Metal")
    }
}

/// How much of the GPUs' memory a process has, in MiB, as `nvidia-smi` counts; `None` where it does not tell.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    /// What is listed under its number: as a rule nothing where it uses Vulkan, or has another number outside of its
    /// container.
    pub(crate) listed: Option<u64>,
    /// How much more was in use by all together than before it was started.
    pub(crate) grown: Option<u64>,
}

impl Memory {
    /// Of this process, which was started when so much was [in use](in_use).
    pub(crate) fn of(pid: u32, before: Option<u64>) -> Self {
        let processes = nvidia_smi("--query-compute-apps=pid,used_memory");
        Self {
            listed: processes.and_then(|lines| listed(&lines, pid)),
            grown: before
                .zip(in_use())
                .map(|(before, now)| now.saturating_sub(before)),
        }
    }
}

/// MiB in use by all together.
pub(crate) fn in_use() -> Option<u64> {
    total(&nvidia_smi("--query-gpu=memory.used")?)
}

fn nvidia_smi(query: &str) -> Option<String> {
    let output = Command::new("nvidia-smi")
        .args([query, "--format=csv,noheader,nounits"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Of lines `PID, MIB`, one for each GPU that a process uses.
fn listed(lines: &str, pid: u32) -> Option<u64> {
    let own = lines.lines().filter_map(|line| {
        let (process, memory) = line.split_once(',')?;
        (process.trim().parse() == Ok(pid)).then_some(memory)
    });
    total(&own.collect::<Vec<_>>().join("\n"))
}

/// Of lines with a number each; `None` where there are none, or one is no number.
fn total(lines: &str) -> Option<u64> {
    if lines.is_empty() {
        return None;
    }
    lines
        .lines()
        .map(|line| line.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{listed, total};

    #[test]
    fn a_process_has_what_is_listed_under_its_number() {
        let lines = "123, 1010\n1234, 530\n123, 20\n";
        assert_eq!(listed(lines, 123), Some(1030));
        assert_eq!(listed(lines, 1234), Some(530));
        assert_eq!(listed(lines, 12), None);
        assert_eq!(listed("123, [N/A]\n", 123), None);
        assert_eq!(listed("", 123), None);
    }

    #[test]
    fn memory_of_several_gpus_is_summed() {
        assert_eq!(total("4\n530\n"), Some(534));
        assert_eq!(total("[N/A]\n"), None);
        assert_eq!(total(""), None);
    }
}
