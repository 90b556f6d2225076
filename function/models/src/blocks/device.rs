//! Where networks run.

use std::sync::Arc;

use segmenter_kernels::{Context, Isa};

/// Where networks run, and with whose operations.
#[derive(Clone, Debug)]
pub enum Device {
    /// On burn's tensors, wherever these live.
    Burn(burn::tensor::Device),
    /// On this processor, with the kernels made for it.
    Kernels(Arc<Context>),
}

impl Device {
    /// burn's own operations on this processor: what the kernels are checked against.
    pub fn stock() -> Self {
        Self::Burn(burn::tensor::Device::flex())
    }

    /// The kernels, with these instructions.
    pub fn kernels(isa: Isa) -> Self {
        Self::Kernels(Context::new(isa))
    }

    /// What operations on host memory run with.
    pub(super) fn host(&self) -> Arc<Context> {
        match self {
            Self::Burn(_) => Context::new(Isa::best()),
            Self::Kernels(context) => Arc::clone(context),
        }
    }
}

/// In a few words, for people.
impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Burn(_) => f.write_str("processor, stock kernels"),
            Self::Kernels(context) => write!(f, "processor, fast kernels for {}", context.isa),
        }
    }
}
