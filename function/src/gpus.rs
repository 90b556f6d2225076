//! Which GPU networks run on.

#[cfg(not(feature = "gpu"))]
use std::path::Path;

#[cfg(feature = "gpu")]
pub use segmenter_gpu::{Adapter, Kind, adapters};

/// Whether this build can use GPUs at all.
pub const SUPPORTED: bool = cfg!(feature = "gpu");

/// What is said where it cannot.
pub const UNSUPPORTED: &str = "this build has no GPU support, which the image segmenter-gpu has";

/// The GPU that is asked for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; use {instead}, or see `segmenter devices`")]
pub struct NoGpu {
    why: String,
    instead: &'static str,
}

impl NoGpu {
    fn new(why: String) -> Self {
        Self {
            why,
            instead: "--device auto or cpu",
        }
    }
}

/// Whether a GPU computes with 16-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// It does not.
    Never,
    /// It does where it has units that multiply matrices of them.
    WhereFast,
    /// It does, and one that cannot is none.
    Always,
}

/// The GPU that is taken where none is named; `None` where the processor is better.
#[cfg(not(feature = "gpu"))]
pub fn best(_: Halves, _: Option<&Path>) -> Option<segmenter_models::Device> {
    None
}

/// The GPU of this number, or the best.
#[cfg(not(feature = "gpu"))]
pub fn open(
    _: Option<usize>,
    _: Halves,
    _: Option<&Path>,
) -> Result<segmenter_models::Device, NoGpu> {
    Err(NoGpu::new(UNSUPPORTED.to_owned()))
}

#[cfg(feature = "gpu")]
pub use self::supported::{best, choose, open, why_none};

#[cfg(feature = "gpu")]
mod supported {
    use std::{
        collections::BTreeMap,
        path::Path,
        sync::{Mutex, PoisonError},
    };

    use segmenter_gpu::Options;
    use segmenter_models::Device;

    use super::{Adapter, Halves, Kind, NoGpu, adapters};

    /// The number of the adapter that is taken where none is named: the first that is a GPU.
    pub fn choose(adapters: &[Adapter]) -> Option<usize> {
        adapters
            .iter()
            .position(|adapter| adapter.kind != Kind::Software)
    }

    /// The GPU that is taken where none is named; `None` where the processor is better. Its compiled kernels are kept in
    /// this folder.
    pub fn best(halves: Halves, kept: Option<&Path>) -> Option<Device> {
        let adapters = adapters();
        let number = choose(&adapters)?;
        let opened = opened(number, &adapters[number], halves, kept);
        opened
            .inspect_err(|NoGpu { why, .. }| tracing::warn!("{why}; going on with the processor"))
            .ok()
    }

    /// The GPU of this number, or the best. Its compiled kernels are kept in this folder.
    ///
    /// # Errors
    /// If there is none, or its driver refuses.
    pub fn open(
        number: Option<usize>,
        halves: Halves,
        kept: Option<&Path>,
    ) -> Result<Device, NoGpu> {
        let adapters = adapters();
        let number = match number {
            Some(number) => number,
            None => choose(&adapters).ok_or_else(|| NoGpu::new(why_none(&adapters)))?,
        };
        let adapter = adapters.get(number).ok_or_else(|| {
            NoGpu::new(format!(
                "there is no gpu:{number}, only {} of them",
                adapters.len()
            ))
        })?;
        opened(number, adapter, halves, kept)
    }

    /// Why none of these is chosen.
    pub fn why_none(adapters: &[Adapter]) -> String {
        match adapters {
            [] => "no GPU is here that has a driver for Vulkan or Metal".to_owned(),
            [software, ..] => format!(
                "no GPU is here: {} computes on the processor, more slowly than segmenter does (gpu:0 takes it even so)",
                software.name
            ),
        }
    }

    /// Opened once for all models of a precision; again if it failed.
    fn opened(
        number: usize,
        adapter: &Adapter,
        halves: Halves,
        kept: Option<&Path>,
    ) -> Result<Device, NoGpu> {
        static OPENED: Mutex<BTreeMap<(usize, bool), Device>> = Mutex::new(BTreeMap::new());
        if halves == Halves::Always && !adapter.halves {
            return Err(NoGpu {
                why: format!("{} has no 16-bit floats", adapter.name),
                instead: "--precision f32 or auto",
            });
        }
        let half = match halves {
            Halves::Never => false,
            Halves::WhereFast => adapter.matrices,
            Halves::Always => adapter.halves,
        };
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = opened
            .get(&(number, half))
            .filter(|device| device.fault().is_none())
        {
            return Ok(device.clone());
        }
        let options = Options {
            half,
            kept: kept.map(Path::to_owned),
            ..Options::default()
        };
        let gpu = adapter.open(&options);
        let device = Device::gpu(gpu.map_err(|error| NoGpu::new(error.to_string()))?);
        opened.insert((number, half), device.clone());
        Ok(device)
    }
}
