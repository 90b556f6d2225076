//! Which GPUs there are.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use crate::gpu::{Gpu, GpuError, has_halves, multiplies_matrices};

/// A GPU, or what pretends to be one, as its driver describes it.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The name of the device.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Name and version of its driver.
    pub driver: String,
    /// How it is spoken to: Vulkan or Metal.
    pub interface: &'static str,
    /// Bytes of its own memory, or of what it may have of the processor's; `None` where the driver does not say.
    pub memory: Option<u64>,
    /// Whether it has 16-bit floats, so that [`Options::half`] can be had.
    pub halves: bool,
    /// Whether it has units that multiply matrices of such, which are many times as fast.
    pub matrices: bool,
    inner: wgpu::Adapter,
}

/// How an adapter is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maps, and the factors of dense convolutions, are rounded to 16 bits, which have as many digits as the 32 that others
    /// call TF32; sums, and all else that is computed, have 32. Several times as fast where there are
    /// [units](Adapter::matrices) for it, and half as much memory.
    pub half: bool,
    /// How long every kernel takes is noted for [`Gpu::spans`]; each runs alone then, and all together more slowly.
    pub traced: bool,
    /// A folder in which compiled kernels are kept for the next start, where the driver lets them be.
    pub kept: Option<PathBuf>,
}

/// What an adapter is. The first are the ones to prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A part of a GPU, or one that is reached through a virtual machine.
    Virtual,
    /// What its driver does not say.
    Unknown,
    /// A driver that computes on the processor.
    Software,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Unknown => "unknown",
            Self::Software => "software",
        })
    }
}

/// All adapters of this machine, the ones to prefer first, in the same order every time.
pub fn adapters() -> Vec<Adapter> {
    // Kept, since Vulkan's loader fails where instances come and go on several threads.
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL;
    let instance = INSTANCE.get_or_init(|| {
        wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        })
    });
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let mut adapters: Vec<_> = found.into_iter().map(Adapter::new).collect();
    adapters.sort_by_key(|adapter| adapter.kind);
    adapters
}

/// The heaps that are nearest to it.
#[expect(unsafe_code, reason = "wgpu does not tell")]
fn memory(adapter: &wgpu::Adapter) -> Option<u64> {
    const NEAR: u32 = 1;
    // SAFETY: the handle is only asked for its properties, while the adapter is there.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance().raw_instance();
    // SAFETY: the device is one of this instance.
    let properties =
        unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = properties.memory_heaps_as_slice().iter();
    let near = heaps.filter(|heap| heap.flags.as_raw() & NEAR != 0);
    Some(near.map(|heap| heap.size).sum())
}

impl Adapter {
    fn new(inner: wgpu::Adapter) -> Self {
        let info = inner.get_info();
        let driver = [info.driver, info.driver_info].join(" ");
        Self {
            name: info.name,
            kind: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
                wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
                wgpu::DeviceType::VirtualGpu => Kind::Virtual,
                wgpu::DeviceType::Other => Kind::Unknown,
                wgpu::DeviceType::Cpu => Kind::Software,
            },
            driver: driver.trim().to_owned(),
            interface: match info.backend {
                wgpu::Backend::Metal => "Metal",
                _ => "Vulkan",
            },
            memory: memory(&inner),
            halves: has_halves(&inner),
            matrices: multiplies_matrices(&inner),
            inner,
        }
    }

    /// Opens it for computing. Each call makes a device of its own, with memory of its own.
    ///
    /// # Errors
    /// If it lacks what the kernels need, or its driver refuses.
    pub fn open(&self, options: &Options) -> Result<Arc<Gpu>, GpuError> {
        Gpu::open(&self.name, &self.inner, options)
    }
}
