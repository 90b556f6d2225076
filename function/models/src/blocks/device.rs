//! Where networks run.

use std::sync::Arc;

use segmenter_imaging::normalise::Pixel;
use segmenter_kernels::{Buffer, Context, Isa, Span};

/// Where networks run, and with whose operations.
#[derive(Clone, Debug)]
pub enum Device {
    /// On burn's tensors, wherever these live.
    Burn(burn::tensor::Device),
    /// On this processor, with the kernels made for it.
    Kernels(Arc<Context>, Precision),
    /// On a GPU, with the kernels made for those. What is done in host memory has a context of its own.
    #[cfg(feature = "gpu")]
    Gpu(Arc<segmenter_gpu::Gpu>, Arc<Context>),
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A processor.
    Cpu,
    /// A GPU.
    Gpu,
}

/// Inputs that a GPU is given together. Its throughput grows with them until all of it is busy, but each is answered
/// only when all are.
const GPU_BATCH: usize = 8;

/// Bytes of a map to a pixel of its network's input, of the largest map of any network: 2048 channels at a stride of 8.
const BYTES_OF_PIXEL: u64 = 2048 * 4 / (8 * 8);

impl DeviceKind {
    /// How many inputs of one shape are worth running together. One keeps all of a processor busy, and its caches.
    pub fn preferred_batch(self) -> usize {
        match self {
            Self::Cpu => 1,
            Self::Gpu => GPU_BATCH,
        }
    }
}

/// As metrics and settings have it.
impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        })
    }
}

/// What networks calculate with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats in maps and in the factors of dense convolutions, 32 in what is computed of them; on GPUs alone.
    F16,
    /// 8-bit integers: convolutions and linear layers, and the maps between them.
    Int8,
}

/// As it is written in settings.
impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

impl Device {
    /// burn's own operations on this processor: what the kernels are checked against.
    pub fn stock() -> Self {
        Self::Burn(burn::tensor::Device::flex())
    }

    /// The kernels, with these instructions, for floats.
    pub fn kernels(isa: Isa) -> Self {
        Self::Kernels(Context::new(isa), Precision::F32)
    }

    /// The kernels, with these instructions, for 8-bit integers. Networks that have no such weights cannot be
    /// loaded on it.
    pub fn integers(isa: Isa) -> Self {
        Self::Kernels(Context::new(isa), Precision::Int8)
    }

    /// The kernels for GPUs, on this one, in the precision that it was opened for.
    #[cfg(feature = "gpu")]
    pub fn gpu(gpu: Arc<segmenter_gpu::Gpu>) -> Self {
        Self::Gpu(gpu, Context::new(Isa::best()))
    }

    /// As this one, noting every call of a kernel for [`spans`](Self::spans). A GPU does if it was opened so.
    #[must_use]
    pub fn traced(self) -> Self {
        match self {
            Self::Burn(device) => Self::Burn(device),
            Self::Kernels(context, precision) => {
                Self::Kernels(Context::traced(context.isa), precision)
            }
            #[cfg(feature = "gpu")]
            gpu @ Self::Gpu(..) => gpu,
        }
    }

    /// The calls of kernels since this was last asked for, on a GPU those whose results were read; none of a device that
    /// is not traced.
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Self::Burn(_) => Vec::new(),
            Self::Kernels(context, _) => context.spans(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu, _) => gpu.spans(),
        }
    }

    /// Why it computes nothing any more, if it failed.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Burn(_) | Self::Kernels(..) => None,
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu, _) => gpu.fault().map(|fault| fault.to_string()),
        }
    }

    /// What it is.
    pub fn kind(&self) -> DeviceKind {
        match self {
            Self::Burn(_) | Self::Kernels(..) => DeviceKind::Cpu,
            #[cfg(feature = "gpu")]
            Self::Gpu(..) => DeviceKind::Gpu,
        }
    }

    /// What networks calculate with.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Burn(_) => Precision::F32,
            Self::Kernels(_, precision) => *precision,
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu, _) if gpu.half() => Precision::F16,
            #[cfg(feature = "gpu")]
            Self::Gpu(..) => Precision::F32,
        }
    }

    /// How many inputs of `[height, width]` are run together at most: as many as are worth it, and as fit into one map.
    pub(crate) fn together(&self, [height, width]: [usize; 2]) -> usize {
        let bytes = (height * width) as u64 * BYTES_OF_PIXEL;
        let fitting = self.largest_map() / bytes.max(1);
        let preferred = self.kind().preferred_batch();
        preferred
            .min(usize::try_from(fitting).unwrap_or(usize::MAX))
            .max(1)
    }

    /// Bytes of the largest map that its kernels can be given.
    fn largest_map(&self) -> u64 {
        match self {
            Self::Burn(_) | Self::Kernels(..) => u64::MAX,
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu, _) => gpu.largest_map(),
        }
    }

    /// Room for the pixels of an input, which are anything, in the memory that maps lie in, too.
    pub(crate) fn pixels(&self, [height, width]: [usize; 2]) -> Buffer<Pixel> {
        self.host().arena.take(height * width)
    }

    /// What operations on host memory run with.
    pub(crate) fn host(&self) -> Arc<Context> {
        match self {
            Self::Burn(_) => Context::new(Isa::best()),
            Self::Kernels(context, _) => Arc::clone(context),
            #[cfg(feature = "gpu")]
            Self::Gpu(_, context) => Arc::clone(context),
        }
    }
}

/// In a few words, for people.
impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Burn(_) => f.write_str("processor, stock kernels"),
            Self::Kernels(context, precision) => {
                write!(f, "processor, fast {precision} kernels for {}", context.isa)
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu, _) => write!(f, "GPU, {}, {}", gpu.name(), self.precision()),
        }
    }
}
