//! Which GPU networks run on.

#[cfg(feature = "gpu")]
pub use segmenter_gpu::{Adapter, Kind, adapters};

/// Whether this build can use GPUs at all.
pub const SUPPORTED: bool = cfg!(feature = "gpu");

/// What is said where it cannot.
pub const UNSUPPORTED: &str = "this build has no GPU support, which the image segmenter-gpu has";

/// The GPU that is asked for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; use --device auto or cpu, or see `segmenter devices`")]
pub struct NoGpu(String);

/// The GPU that is taken where none is named; `None` where the processor is better.
#[cfg(not(feature = "gpu"))]
pub fn best() -> Option<segmenter_models::Device> {
    None
}

/// The GPU of this number, or the best.
#[cfg(not(feature = "gpu"))]
pub fn open(_: Option<usize>) -> Result<segmenter_models::Device, NoGpu> {
    Err(NoGpu(UNSUPPORTED.to_owned()))
}

#[cfg(feature = "gpu")]
pub use self::supported::{best, choose, open, why_none};

#[cfg(feature = "gpu")]
mod supported {
    use std::{
        collections::BTreeMap,
        sync::{Mutex, PoisonError},
    };

    use segmenter_models::Device;

    use super::{Adapter, Kind, NoGpu, adapters};

    /// The number of the adapter that is taken where none is named: the first that is a GPU.
    pub fn choose(adapters: &[Adapter]) -> Option<usize> {
        adapters
            .iter()
            .position(|adapter| adapter.kind != Kind::Software)
    }

    /// The GPU that is taken where none is named; `None` where the processor is better.
    pub fn best() -> Option<Device> {
        let adapters = adapters();
        let number = choose(&adapters)?;
        let opened = opened(number, &adapters[number]);
        opened
            .inspect_err(|NoGpu(error)| tracing::warn!("{error}; going on with the processor"))
            .ok()
    }

    /// The GPU of this number, or the best.
    ///
    /// # Errors
    /// If there is none, or its driver refuses.
    pub fn open(number: Option<usize>) -> Result<Device, NoGpu> {
        let adapters = adapters();
        let number = match number {
            Some(number) => number,
            None => choose(&adapters).ok_or_else(|| NoGpu(why_none(&adapters)))?,
        };
        let adapter = adapters.get(number).ok_or_else(|| {
            NoGpu(format!(
                "there is no gpu:{number}, only {} of them",
                adapters.len()
            ))
        })?;
        opened(number, adapter)
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

    /// Opened once for all models; again if it failed.
    fn opened(number: usize, adapter: &Adapter) -> Result<Device, NoGpu> {
        static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = opened
            .get(&number)
            .filter(|device| device.fault().is_none())
        {
            return Ok(device.clone());
        }
        let gpu = adapter.open().map_err(|error| NoGpu(error.to_string()))?;
        let device = Device::gpu(gpu);
        opened.insert(number, device.clone());
        Ok(device)
    }
}
